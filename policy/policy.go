// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"time"
)

// A Mode is what the gateway does with a request. The zero value denies.
type Mode uint8

const (
	Deny      Mode = iota // nothing leaves
	Originate             // plain HTTP in, verified TLS out
	Tunnel                // CONNECT, bytes passed through unread
	Intercept             // CONNECT, TLS ends at the gateway
	Relay                 // plain HTTP in, plain HTTP out
)

// A Kind says how a request reached the gateway.
type Kind uint8

const (
	Plain   Kind = iota // absolute-form (or reverse-mapped origin-form) request in the clear
	Connect             // CONNECT host:port
	Inner               // a request inside an intercepted connection
)

// A Client is what is proven about who asks. Empty fields are unproven, and
// unproven never matches. A Client is not modified after it was made.
type Client struct {
	Addr   netip.Addr // unmapped, without zone
	User   string
	Groups []string
	Certs  []string // URI, email or DNS names of a verified client certificate
	Claims []string // "key=value" of a verified token
}

// A Query is one question to the policy. It holds no pointer into a
// connection; deciding it cannot block.
type Query struct {
	Client Client
	Kind   Kind
	Scheme string // "http" or "https" as the client named it; "" for Connect
	Method string // "" for Connect
	Host   Host
	Port   uint16 // as the client named it, or the scheme's default
	Path   string // the raw path as it stood on the wire, without the query; "" for Connect
	At     time.Time
}

// A Reason says why a Decision came out as it did. Every Reason but ByRule
// with an allowing mode means that the request is refused.
type Reason uint8

const (
	NoPolicy       Reason = iota // there is no policy: nothing is allowed
	ByRule                       // Rule is the first whose conditions hold; Mode is its mode
	NoRule                       // no rule matched: default deny
	WrongKind                    // Rule matched but serves only the other kind of request (policy.md §4.4)
	Blind                        // Rule, a deny, must see the request, and the tunnel that follows would hide it
	ToLookInside                 // Rule intercepts because it needs to see the request (Mode is Intercept)
	PrivateAddress               // the address literal asked for is private or special, and Rule does not name it
	BadPath                      // the path cannot be brought to one canonical form (answer 400)
	NeedIdentity                 // Rule cannot be judged before the client says who it is (answer 407)
)

// A Decision is the policy's answer. The zero value denies.
type Decision struct {
	Mode       Mode
	Reason     Reason
	Rule       *Rule  // the rule that decided; nil when none did
	Generation uint64 // Policy.Generation of the policy that was asked
	Port       uint16 // port to connect to at the origin; 0 when denied
	Path       string // canonical path, when a rule looked at the path: send this one; else ""
}

// A Rule is one entry of the policy file's rules. It is immutable once loaded.
type Rule struct {
	Name   string
	Line   int // in the policy file, from 1
	Modes  []Mode
	Origin *Origin // nil: system roots and defaults

	Tunnel        TunnelOptions
	Deny          DenyOptions
	RedirectPlain bool // plain_http: redirect
	Log           LogLevel
	AllowPrivate  bool

	// matching: unexported fields follow
}

// TunnelOptions are a rule's tunnel: section. The zero value is the strictest.
type TunnelOptions struct {
	AnySNI      bool          // sni: any; otherwise the SNI must equal the CONNECT host
	OptionalTLS bool          // tls: optional; otherwise a payload that is not TLS is cut
	ALPN        []string      // empty: any
	Idle        time.Duration // 0: the gateway's default
	MaxDuration time.Duration // 0: none
	MaxBytes    int64         // both directions together; 0: none
}

// DenyOptions are a rule's deny: section.
type DenyOptions struct {
	Status  int    // 0: 403
	Message string // for the client; "{rule}" stands for the rule's name
}

// A LogLevel is how much of a request the access log keeps.
type LogLevel uint8

const (
	LogMeta LogLevel = iota // the default: no query string
	LogNone
	LogFull // with the query string
)

// An Origin is a trust profile: how a rule's origins are verified and met.
type Origin struct {
	Name       string
	Roots      []string   // PEM files; empty: the system's roots
	Pins       [][32]byte // SHA-256 of SubjectPublicKeyInfo; empty: none
	MinTLS     uint16     // tls.VersionTLS12 (also when 0) or tls.VersionTLS13
	ALPN       []string   // empty: http/1.1
	Port       uint16     // 0: as asked
	SNI        string     // sent and verified instead of the host asked for; "": the host
	ClientCert *ClientCert
}

// A ClientCert names the certificate the gateway shows an origin.
type ClientCert struct {
	Cert, Key string // PEM files
	Secret    string // or the name of a secret
}
