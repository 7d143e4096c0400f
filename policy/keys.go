// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// This file is the table of the language: every key, what may stand there and
// what it is for. The decoder reads nothing that is not in it.

// A form is what a value may look like; several may be allowed at once.
type form uint8

const (
	text    form = 1 << iota
	number       // digits, with or without a fraction
	boolean      // true, false
	mapping      // the keys of a section
	names        // a mapping whose keys are names the author chooses
	list         // a list of what the other bits allow
	empty        // may be left empty: a heading whose entries are all commented out
)

// A value is what may stand behind a key.
type value struct {
	form    form
	section *section // of mapping
	each    *value   // of names
	words   []string // the only texts allowed; nil: any
	syntax  *syntax  // how its texts and numbers are written; nil: anyhow
}

// A key is one key of a section.
type key struct {
	name string
	value
	required bool
	pending  string // why the gateway does not enforce it yet; "": it does
	doc      string
	def      string // what holds without the key, as it would be written; "": nothing, or doc says
	example  string // a value as it would be written; "": doc, def or words say enough

	// Of a rule: the modes beside which the key says something.
	modes  []string // one of the rule's is among them; nil: any
	only   bool     // all of the rule's are
	misfit string   // what is wrong with it beside others; "": the compiler says it
}

// about is the doc with what else there is to know before one writes the key.
func (k *key) about() string {
	about := k.doc
	if k.def != "" {
		about += "; default " + k.def
	}
	switch rest := without(modeWords, k.modes); {
	case k.modes == nil:
	case k.only:
		about += "; not with " + anyOf(rest)
	case len(rest) == 1:
		about += "; with any mode but " + rest[0]
	default:
		about += "; with mode " + anyOf(k.modes)
	}
	if k.pending != "" {
		about += "; " + k.pending
	}
	return about
}

// fits reports whether the key says something in a rule of these modes.
func (k *key) fits(modes []Mode) bool {
	among := func(m Mode) bool { return slices.Contains(k.modes, m.String()) }
	if k.only {
		return !slices.ContainsFunc(modes, func(m Mode) bool { return !among(m) })
	}
	return k.modes == nil || slices.ContainsFunc(modes, among)
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// anyOf is a list of words as people say it: tunnel, intercept or relay.
func anyOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// A section is a mapping with known keys.
type section struct {
	title string // "a client group", for messages
	keys  []key
}

func (s *section) key(name string) *key {
	for i := range s.keys {
		if s.keys[i].name == name {
			return &s.keys[i]
		}
	}
	return nil
}

func (s *section) names() []string {
	out := make([]string, len(s.keys))
	for i, k := range s.keys {
		out[i] = k.name
	}
	return out
}

const notYet = "not yet supported"

// echWords are the ECHs, in their order.
var echWords = []string{"prefer", "off", "require"}

// revocationWords are the Revocations, in their order.
var revocationWords = []string{"off", "prefer", "require"}

var (
	aText   = value{form: text}
	texts   = value{form: text | list}
	aFlag   = value{form: boolean}
	aPort   = value{form: number, syntax: portSyntax}
	aNumber = value{form: number, syntax: countSyntax}
	aSize   = value{form: text | number, syntax: sizeSyntax}
	pairs   = value{form: names, each: &value{form: text | number}}
)

func word(words ...string) value  { return value{form: text, words: words} }
func words(words ...string) value { return value{form: text | list, words: words} }
func one(s *syntax) value         { return value{form: text, syntax: s} }
func some(s *syntax) value        { return value{form: text | list, syntax: s} }

// The top level.
var policySection = &section{title: "a policy", keys: []key{
	{name: "version", value: value{form: number, syntax: versionSyntax}, required: true, doc: "of the language"},
	{name: "description", value: aText, doc: "what this policy is for and who owns it", example: "Small office; netsec@acme.example owns this policy."},
	{name: "clients", value: value{form: names | empty, each: &value{form: text | mapping | list, section: clientSection, syntax: clientsSyntax}}, doc: "groups of clients: one alternative or a list of them", example: `{lan: [10.0.0.0/8, "fd00:10::/32"], finance: {group: finance, cidr: 10.20.0.0/16}}`},
	{name: "destinations", value: value{form: names | empty, each: &value{form: text | mapping | list, section: destinationSection, syntax: destinationSyntax}}, doc: "lists of hosts: one entry or a list of them", example: "{partners: [api.bank.example, .customs.example], ads: {file: lists/ads.txt}}"},
	{name: "never_intercept", value: some(destinationSyntax), doc: "destinations, with all below their names, whose connections no rule opens; a rule that would is refused there", example: "[banks, .health.example]"},
	{name: "origins", value: value{form: names | empty, each: &value{form: mapping, section: originSection}}, doc: "trust profiles: how origins are verified and met", example: `{bank: {roots: certs/bank-ca.pem, min_tls: "1.3"}}`},
	{name: "schedules", value: value{form: names | empty, each: &value{form: mapping, section: scheduleSection}}, doc: "times of the week", example: `{office-hours: {tz: Europe/Prague, days: mon-fri, hours: "07:00-19:00"}}`},
	{name: "contact", value: aText, doc: "whom people are to ask about what was refused, for the gateway's own pages", example: "netsec@acme.example, ext. 4711"},
	{name: "direct", value: some(destinationSyntax), doc: "destinations that the gateway's PAC file has clients reach without it; advice, and no decision", example: "[.intern.example, 10.0.0.0/8]"},
	{name: "limits", value: value{form: names | empty, each: &value{form: mapping, section: limitSection}}, doc: "limits to refer to by name", example: "{gentle: {rate: 5/s, per: user}}"},
	{name: "mappings", value: value{form: mapping | list | empty, section: mappingSection}, doc: "origins for clients that know no proxy: under a path of the gateway, or under a host name that leads to it", example: "[{at: /bank/, to: \"https://api.bank.example/v1/\"}]"},
	{name: "rules", value: value{form: mapping | list | empty, section: ruleSection}, required: true, doc: "the rules, in order: the first whose conditions hold decides"},
	{name: "tests", value: value{form: mapping | list | empty, section: testSection}, doc: "what must be so: a policy whose tests fail does not load"},
	{name: "include", value: value{form: mapping | list | empty, section: includeSection}, doc: "files of delegated rules: they stand before the rules of this file, or behind them, as this key does"},
}}

var clientSection = &section{title: "a client group", keys: []key{
	{name: "cidr", value: some(networkSyntax), doc: "networks or addresses", example: `[10.20.0.0/16, "2001:db8:ac::/48"]`},
	{name: "user", value: some(filledSyntax), doc: "user names", example: "eva"},
	{name: "group", value: some(filledSyntax), doc: "groups of the user", example: "[engineering, sre]"},
	{name: "cert", value: some(filledSyntax), doc: "names in the client's certificate", example: "spiffe://acme.example/erp"},
	{name: "claim", value: some(claimSyntax), doc: "key=value of the client's token", example: "role=agent"},
	{name: "listener", value: texts, pending: notYet, doc: "the listener the client came in by"},
	{name: "description", value: aText, doc: "for people"},
}}

var destinationSection = &section{title: "a destination", keys: []key{
	{name: "host", value: one(hostSyntax), doc: "exactly this host, also one without a dot", example: "intranet"},
	{name: "glob", value: one(globSyntax), doc: "a host with stars, each for characters inside one label; the last two labels are literal", example: "bucket-*.s3.*.amazonaws.com"},
	{name: "url", value: one(urlSyntax), doc: "a host and everything below a path; needs to see the request", example: "https://www.example.com/downloads/"},
	{name: "file", value: aText, doc: "a file of entries, relative to the policy file", example: "lists/ads.txt"},
	{name: "format", value: word("domains", "hosts", "cidr", "urls"), doc: "of the file", def: "domains"},
	{name: "match", value: word("below", "exact"), doc: "whether a name covers those below it; default below, for format hosts exact"},
	{name: "sha256", value: one(sha256Syntax), doc: "of the file, in hex: any other content is refused"},
	{name: "max_age", value: one(durationSyntax), doc: "warn when the file is older", example: "36h"},
	{name: "description", value: aText, doc: "for people"},
}}

var originSection = &section{title: "an origin", keys: []key{
	{name: "roots", value: texts, doc: "PEM files of the only roots trusted; default the system's", example: "certs/bank-ca.pem"},
	{name: "pins", value: some(pinSyntax), doc: "sha256//BASE64 of a public key that must be in the chain (RFC 7469 §2.4)", example: "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="},
	{name: "min_tls", value: word("1.2", "1.3"), doc: "the oldest version accepted", def: `"1.2"`},
	{name: "max_tls", value: word("1.2", "1.3"), doc: "the newest version offered; default what there is"},
	{name: "alpn", value: words("h3", "h2", "http/1.1"), doc: "protocols offered; h3 where the origin is known to have it, and beside others with them to fall back on", def: "http/1.1"},
	{name: "sni", value: one(hostSyntax), doc: "the name sent and verified instead of the host asked for", example: "api.bank.example"},
	{name: "verify_name", value: one(hostSyntax), doc: "the name the certificate has to be for, when it is not the one sent", example: "inner.bank.example"},
	{name: "ech", value: word(echWords...), doc: "Encrypted Client Hello, by the keys in the origin's HTTPS record: prefer uses it where there are some, require refuses origins without", def: "prefer"},
	{name: "client_cert", value: value{form: text | mapping, section: certSection}, doc: "the certificate the gateway shows: one PEM file with certificate and key, or a section", example: "{secret: acme-at-bank}"},
	{name: "revocation", value: word(revocationWords...), doc: "off looks at what the origin staples alone, prefer at CRLs and OCSP responders too but goes on when they are silent, require refuses then", def: "off"},
	{name: "aia", value: aFlag, doc: "fetch intermediate certificates that the origin should have sent", def: "false"},
	{name: "fetch_private", value: some(networkSyntax), doc: "networks that are not public in which CRLs, OCSP responders and issuers of this profile may be; default none", example: "10.20.0.0/16"},
	{name: "port", value: aPort, doc: "the port connected to instead of the one asked for", example: "8443"},
	{name: "via", value: aText, pending: notYet, doc: "a parent proxy"},
	{name: "source_ip", value: aText, pending: notYet, doc: "the local address to connect from"},
	{name: "description", value: aText, doc: "for people"},
}}

var certSection = &section{title: "client_cert", keys: []key{
	{name: "cert", value: aText, doc: "a PEM file of the certificate and its chain", example: "certs/acme.crt"},
	{name: "key", value: aText, doc: "a PEM file of the private key", example: "certs/acme.key"},
	{name: "pkcs12", value: aText, doc: "a PKCS #12 file of both", example: "certs/acme.p12"},
	{name: "secret", value: one(nameSyntax), doc: "the name of a secret that holds both", example: "acme-at-bank"},
	{name: "password_secret", value: one(nameSyntax), doc: "the name of a secret with the password of pkcs12, or of a secret that is PKCS #12 and not PEM; default an empty password", example: "acme-password"},
	{name: "mint", value: value{form: mapping, section: &section{title: "mint", keys: []key{
		{name: "subject", value: one(subjectSyntax), doc: "the subject: CN={user}, and an organizational unit behind it, {rule} or a word", def: "CN={user}", example: `"CN={user},OU={rule}"`},
		{name: "san", value: some(sanSyntax), doc: "the SPIFFE ID, with user/{user} in it and rule/{rule} if it is to be, and email:{user} where users' names are addresses", def: "spiffe://{trust_domain}/user/{user}", example: `"spiffe://{trust_domain}/team/payments/user/{user}/rule/{rule}"`},
		{name: "ttl", value: one(durationSyntax), doc: "how long it is good, 1m to 1h", def: "10m", example: "5m"},
	}}}, doc: "a certificate that the gateway's CA mints for each user, for some minutes: write {} for one with nothing but the user's name", example: "{}"},
}}

var scheduleSection = &section{title: "a schedule", keys: []key{
	{name: "tz", value: aText, doc: "a time zone", def: "UTC", example: "Europe/Prague"},
	{name: "days", value: some(daysSyntax), required: true, doc: "days, ranges of days, or daily", example: "mon-fri"},
	{name: "hours", value: some(hoursSyntax), required: true, doc: "from and to; 22:00-06:00 ends on the next day", example: `["07:00-12:00", "13:00-19:00"]`},
	{name: "description", value: aText, doc: "for people"},
}}

var limitSection = &section{title: "limits", keys: []key{
	{name: "rate", value: one(rateSyntax), doc: "requests and CONNECTs: so many a second, minute, hour or day", example: "100/min"},
	{name: "burst", value: aNumber, doc: "how many of them may come at once; default as many as the rate's number", example: "40"},
	{name: "concurrent", value: aNumber, doc: "requests in progress, open tunnels and WebSockets", example: "8"},
	{name: "bandwidth", value: one(bandwidthSyntax), doc: "of bodies and tunnels, both directions together", example: "20Mbit/s"},
	{name: "request_body", value: aSize, doc: "of one request", example: "10MB"},
	{name: "response_body", value: aSize, doc: "of one answer", example: "500MB"},
	{name: "per", value: word(perWords...), doc: "whose rate, concurrent and bandwidth it is", def: "rule"},
	{name: "description", value: aText, doc: "for people"},
}}

var mappingSection = &section{title: "a mapping", keys: []key{
	{name: "host", value: one(hostSyntax), doc: "by which clients ask, whatever the port; default the names and addresses of the gateway itself, and then it needs at", example: "bank.corp.example"},
	{name: "at", value: one(pathSyntax), doc: "the path there, canonical and with / at its end; no mapping's is below another's of the same host", def: "/", example: "/bank/"},
	{name: "to", value: one(urlSyntax), required: true, doc: "the https URL that takes its place, with / at its end", example: "https://api.bank.example/v1/"},
	{name: "description", value: aText, doc: "for people"},
}}

var includeSection = &section{title: "an include", keys: []key{
	{name: "file", value: aText, required: true, doc: "a policy file, relative to this one", example: "departments/marketing.yaml"},
	{name: "within", value: value{form: mapping, section: &section{title: "within", keys: []key{
		{name: "from", value: some(clientsSyntax), required: true, doc: "clients its rules are about; any for everybody", example: "marketing"},
		{name: "to", value: some(destinationSyntax), required: true, doc: "destinations its rules are about; any for everything public", example: "[social, .ads.example]"},
		{name: "modes", value: words(modeWords...), doc: "modes its rules may have, beside deny; default any", example: "[tunnel, relay]"},
		{name: "origins", value: some(nameSyntax), doc: "trust profiles its rules may name; default none"},
	}}}, required: true, doc: "what every rule of the file is limited to"},
}}

var testSection = &section{title: "a test", keys: []key{
	{name: "name", value: aText, doc: "shown when it fails", example: "the lan"},
	{name: "as", value: value{form: mapping, section: &section{title: "as", keys: []key{
		{name: "ip", value: one(addressSyntax), required: true, doc: "the client's address", example: "10.1.1.1"},
		{name: "user", value: aText, doc: "the user proven"},
		{name: "group", value: some(filledSyntax), doc: "groups proven"},
		{name: "cert", value: some(filledSyntax), doc: "certificate names proven"},
		{name: "claim", value: some(filledSyntax), doc: "claims proven, key=value"},
		{name: "tls", value: aFlag, doc: "the client speaks TLS to the gateway", def: "false"},
	}}}, required: true, doc: "who asks"},
	{name: "at", value: one(timeSyntax), doc: "when; default noon UTC of Monday, 2026-01-05", example: "2026-11-24T10:00:00+01:00"},
	{name: "deny", value: cases, doc: "requests that must be denied", example: "CONNECT 10.20.5.7:443"},
	{name: "tunnel", value: cases, doc: "requests that must be tunnelled", example: "CONNECT github.com:22"},
	{name: "intercept", value: cases, doc: "requests that must be intercepted", example: "GET https://www.dropbox.com/s/abc"},
	{name: "originate", value: cases, doc: "requests that must be originated", example: "POST http://api.bank.example/v2/payments"},
	{name: "relay", value: cases, doc: "requests that must be relayed", example: "http://neverssl.com/"},
}}

var cases = value{form: text | mapping | list, syntax: requestSyntax, section: &section{title: "a test case", keys: []key{
	{name: "request", value: one(requestSyntax), required: true, doc: "CONNECT host:port, or [METHOD] URL", example: "POST https://api.bank.example/v2/payments"},
	{name: "rule", value: one(nameSyntax), doc: "the rule that must decide"},
}}}
