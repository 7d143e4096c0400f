// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// A syntax is how texts of one kind are written. The compiler reads them and
// says exactly what is wrong with one; the pattern is what editors know of it.
// It accepts every text the compiler accepts, and some that it does not.
type syntax struct {
	name    string // for the reference: "duration"
	pattern string // a regular expression both to Go and to JavaScript
	hint    string // how to write one
	digits  bool   // a number of YAML can be one
	min     int64  // of a number that stands for itself; 0: none
	max     int64  // the same
}

// What may stand in a host as people write it: anything but the ASCII
// characters that ParseHost refuses. Other scripts are left to UTS 46.
const hostChars = `[^\x00-,/:-@\[-\^\x60{-\x7f]`

const (
	namePattern    = `[a-z][a-z0-9_-]{0,63}`
	networkPattern = `[0-9A-Fa-f:.]+(/[0-9]{1,3})?|\[[0-9A-Fa-f:.]+\]`
	dayPattern     = `(sun|mon|tue|wed|thu|fri|sat)`
	clockPattern   = `([01][0-9]|2[0-3]):[0-5][0-9]`
	// time.Parse is lenient about the hour and the mark of the fraction.
	timePattern = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})`
)

const (
	hintName      = "names are lower-case letters, digits, - and _, and begin with a letter"
	hintDuration  = "write it as 90s, 5m, 36h or 7d"
	hintSize      = "write it as 64KiB, 10MB or 1GB"
	hintRate      = "write it as 20/s, 100/min, 5/h or 50/d"
	hintBandwidth = "write it as 20Mbit/s or 2MB/s"
	hintPorts     = "a port from 1 to 65535, a range such as 8000-8099, or any"
)

var (
	nameSyntax      = &syntax{name: "name", pattern: `^` + namePattern + `$`, hint: hintName}
	durationSyntax  = &syntax{name: "duration", pattern: `^([0-9]+d|\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`, hint: hintDuration}
	sizeSyntax      = &syntax{name: "size", pattern: `^\+?[0-9]+([kKMGT]B|[KMGT]iB|B)?$`, hint: hintSize, digits: true, min: 1}
	rateSyntax      = &syntax{name: "rate", pattern: `^[0-9]+/(s|min|h|d)$`, hint: hintRate}
	bandwidthSyntax = &syntax{name: "bandwidth", pattern: `^\+?[0-9]+([kKMGT]i?)?(bit|B)/s$`, hint: hintBandwidth}
	countSyntax     = &syntax{name: "number", digits: true, min: 1, max: maxCount}
	portSyntax      = &syntax{name: "port", pattern: `^[1-9][0-9]{0,4}$`, hint: "a port is a number from 1 to 65535", digits: true, min: 1, max: 65535}
	portsSyntax     = &syntax{name: "port or range", pattern: `^(any|[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?)$`, hint: hintPorts, digits: true, min: 1, max: 65535}
	statusSyntax    = &syntax{name: "status", digits: true, min: 400, max: 599}
	versionSyntax   = &syntax{name: "1", digits: true, min: 1, max: 1}
	networkSyntax   = &syntax{name: "network", pattern: `^(` + networkPattern + `)$`, hint: "write an address or a network such as 10.0.0.0/8"}
	addressSyntax   = &syntax{name: "address", pattern: `^[0-9A-Fa-f:.]+$`, hint: "write an address such as 10.1.1.1"}
	clientsSyntax   = &syntax{name: "name or network", pattern: `^(` + namePattern + `|` + networkPattern + `)$`, hint: "write the name of a client group, an address, a network such as 10.0.0.0/8, or any"}
	// A list, any, a host, a domain with its dot, or what is written as a network.
	destinationSyntax = &syntax{name: "name, host or network", pattern: `^(\.?` + hostChars + `+|` + networkPattern + `)$`, hint: "write the name of a list, a host, a domain such as .example.com, an address, a network, or any"}
	hostSyntax        = &syntax{name: "host", pattern: `^` + hostChars + `+$`, hint: "write a host name such as www.example.com"}
	globSyntax        = &syntax{name: "glob", pattern: `^[A-Za-z0-9_.-]*\*[A-Za-z0-9_.*-]*$`, hint: "write a host with stars inside labels, such as bucket-*.s3.amazonaws.com"}
	urlSyntax         = &syntax{name: "URL", pattern: `^[Hh][Tt][Tt][Pp][Ss]?://[^?#*]*$`, hint: "write a URL without query, such as https://www.example.com/downloads/"}
	sha256Syntax      = &syntax{name: "SHA-256", pattern: `^[0-9A-Fa-f]{64}$`, hint: "64 hexadecimal digits", digits: true}
	pinSyntax         = &syntax{name: "pin", pattern: `^sha256//[A-Za-z0-9+/\r\n]+=[\r\n]*$`, hint: "write sha256// and the Base64 of the SHA-256 of the public key"}
	subjectSyntax     = &syntax{name: "subject", pattern: `^\s*CN=\{user\}\s*(,\s*OU=(\{rule\}|[A-Za-z0-9._@ -]+)\s*)?$`, hint: hintSubject}
	sanSyntax         = &syntax{name: "name in a certificate", pattern: `^(email:\{user\}|spiffe://\{trust_domain\}/([A-Za-z0-9._@/-]|\{user\}|\{rule\})+)$`, hint: hintSAN}
	claimSyntax       = &syntax{name: "claim", pattern: `^[^=]+=`, hint: "write name=value"}
	methodSyntax      = &syntax{name: "method", pattern: `^[!#-'*+.0-9A-Z^_\x60|~-]+$`, hint: "methods are written in upper case, such as GET", digits: true}
	pathSyntax        = &syntax{name: "path", pattern: `^/[^?#]*$`, hint: "a path begins with / and has no query"}
	dateSyntax        = &syntax{name: "day", pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`, hint: "write it as 2026-12-31"}
	timeSyntax        = &syntax{name: "time", pattern: `^` + timePattern + `$`, hint: "write it as 2026-11-24T10:00:00+01:00"}
	daysSyntax        = &syntax{name: "days", pattern: `^(daily|` + dayPattern + `(-` + dayPattern + `)?)$`, hint: "days are sun, mon, tue, wed, thu, fri, sat, ranges such as mon-fri, or daily"}
	hoursSyntax       = &syntax{name: "hours", pattern: `^` + clockPattern + `-(` + clockPattern + `|24:00)$`, hint: "write them as 07:00-19:00"}
	requestSyntax     = &syntax{name: "request", pattern: `CONNECT|[Hh][Tt][Tt][Pp][Ss]?://|^\s*([!-~]+\s+)?/`, hint: "write CONNECT host:port, or [METHOD] URL; for what is asked of the gateway itself, [METHOD] /path"}
	filledSyntax      = &syntax{name: "text", pattern: `[\s\S]`, hint: "an empty text", digits: true}
)
