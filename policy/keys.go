// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

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
}

// A key is one key of a section.
type key struct {
	name string
	value
	required bool
	pending  string // why the gateway does not enforce it yet; "": it does
	doc      string
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

var (
	aText  = value{form: text}
	texts  = value{form: text | list}
	aFlag  = value{form: boolean}
	aCount = value{form: number}
	ports  = value{form: text | number | list}
	amount = value{form: text | number} // with a unit: 10MB, 5/s
	pairs  = value{form: names, each: &value{form: text | number}}
)

func word(words ...string) value  { return value{form: text, words: words} }
func words(words ...string) value { return value{form: text | list, words: words} }

// The top level.
var policySection = &section{title: "a policy", keys: []key{
	{name: "version", value: aCount, required: true, doc: "1"},
	{name: "description", value: aText, doc: "what this policy is for and who owns it"},
	{name: "clients", value: value{form: names | empty, each: &value{form: text | mapping | list, section: clientSection}}, doc: "groups of clients: one alternative or a list of them"},
	{name: "destinations", value: value{form: names | empty, each: &value{form: text | mapping | list, section: destinationSection}}, doc: "lists of hosts: one entry or a list of them"},
	{name: "origins", value: value{form: names | empty, each: &value{form: mapping, section: originSection}}, doc: "trust profiles: how origins are verified and met"},
	{name: "schedules", value: value{form: names | empty, each: &value{form: mapping, section: scheduleSection}}, doc: "times of the week"},
	{name: "limits", value: value{form: names | empty, each: &value{form: mapping, section: limitSection}}, doc: "limits to refer to by name"},
	{name: "rules", value: value{form: mapping | list | empty, section: ruleSection}, required: true, doc: "the rules, in order: the first whose conditions hold decides"},
	{name: "tests", value: value{form: mapping | list | empty, section: testSection}, doc: "what must be so: a policy whose tests fail does not load"},
	{name: "include", value: value{form: mapping | list | empty, section: includeSection}, doc: "files of delegated rules: they stand before the rules of this file, or behind them, as this key does"},
}}

var clientSection = &section{title: "a client group", keys: []key{
	{name: "cidr", value: texts, doc: "networks or addresses"},
	{name: "user", value: texts, doc: "user names"},
	{name: "group", value: texts, doc: "groups of the user"},
	{name: "cert", value: texts, doc: "names in the client's certificate"},
	{name: "claim", value: texts, doc: "key=value of the client's token"},
	{name: "listener", value: texts, pending: notYet, doc: "the listener the client came in by"},
	{name: "description", value: aText, doc: "for people"},
}}

var destinationSection = &section{title: "a destination", keys: []key{
	{name: "host", value: aText, doc: "exactly this host, also one without a dot"},
	{name: "glob", value: aText, doc: "a host with stars, each for characters inside one label; the last two labels are literal"},
	{name: "url", value: aText, doc: "a host and everything below a path, such as https://host/path/; needs to see the request"},
	{name: "file", value: aText, doc: "a file of entries, relative to the policy file"},
	{name: "format", value: word("domains", "hosts", "cidr", "urls"), doc: "of the file; default domains"},
	{name: "match", value: word("below", "exact"), doc: "whether a name covers those below it; default below, for format hosts exact"},
	{name: "sha256", value: aText, doc: "of the file, in hex: any other content is refused"},
	{name: "max_age", value: aText, doc: "warn when the file is older"},
	{name: "description", value: aText, doc: "for people"},
}}

var originSection = &section{title: "an origin", keys: []key{
	{name: "roots", value: texts, doc: "PEM files of the only roots trusted; default the system's"},
	{name: "pins", value: texts, doc: "sha256//BASE64 of a public key that must be in the chain (RFC 7469 §2.4)"},
	{name: "min_tls", value: word("1.2", "1.3"), doc: "default 1.2"},
	{name: "max_tls", value: word("1.2", "1.3"), pending: notYet, doc: "the newest version offered"},
	{name: "alpn", value: words("h2", "http/1.1"), doc: "protocols offered; default http/1.1"},
	{name: "sni", value: aText, doc: "the name sent and verified instead of the host asked for"},
	{name: "verify_name", value: aText, pending: notYet, doc: "the name verified, when it is not the one sent"},
	{name: "client_cert", value: value{form: text | mapping, section: certSection}, doc: "the certificate the gateway shows: one PEM file with certificate and key, or a section"},
	{name: "revocation", value: aText, pending: notYet, doc: "how revocation is checked"},
	{name: "port", value: aCount, doc: "the port connected to instead of the one asked for"},
	{name: "via", value: aText, pending: notYet, doc: "a parent proxy"},
	{name: "source_ip", value: aText, pending: notYet, doc: "the local address to connect from"},
	{name: "description", value: aText, doc: "for people"},
}}

var certSection = &section{title: "client_cert", keys: []key{
	{name: "cert", value: aText, doc: "a PEM file of the certificate and its chain"},
	{name: "key", value: aText, doc: "a PEM file of the private key"},
	{name: "secret", value: aText, doc: "the name of a secret that holds both"},
	{name: "mint", value: value{form: mapping, section: &section{title: "mint", keys: []key{
		{name: "ca", value: aText, required: true, doc: "the name of the CA"},
		{name: "subject", value: aText, required: true, doc: "the subject; {user} stands for the user's name"},
		{name: "san", value: texts, doc: "subject alternative names"},
		{name: "ttl", value: aText, doc: "lifetime"},
	}}}, pending: notYet, doc: "a certificate minted for each user"},
}}

var scheduleSection = &section{title: "a schedule", keys: []key{
	{name: "tz", value: aText, doc: "a time zone such as Europe/Prague; default UTC"},
	{name: "days", value: texts, required: true, doc: "mon-fri, or a list of days and ranges"},
	{name: "hours", value: texts, required: true, doc: "07:00-19:00, or a list; 22:00-06:00 ends on the next day"},
	{name: "description", value: aText, doc: "for people"},
}}

var limitSection = &section{title: "limits", keys: []key{
	{name: "rate", value: amount, doc: "requests, such as 20/s"},
	{name: "burst", value: aCount, doc: "requests above the rate"},
	{name: "concurrent", value: aCount, doc: "requests at once"},
	{name: "bandwidth", value: aText, doc: "such as 20Mbit/s"},
	{name: "request_body", value: amount, doc: "such as 10MB"},
	{name: "response_body", value: amount, doc: "such as 500MB"},
	{name: "per", value: word("user", "client", "rule"), doc: "what is counted together"},
	{name: "description", value: aText, doc: "for people"},
}}

var includeSection = &section{title: "an include", keys: []key{
	{name: "file", value: aText, required: true, doc: "the file"},
	{name: "within", value: value{form: mapping, section: &section{title: "within", keys: []key{
		{name: "from", value: texts, required: true, doc: "clients its rules are about; any for everybody"},
		{name: "to", value: texts, required: true, doc: "destinations its rules are about; any for everything public"},
		{name: "modes", value: words(modeWords...), doc: "modes its rules may have, beside deny; default any"},
		{name: "origins", value: texts, doc: "trust profiles its rules may name; default none"},
	}}}, required: true, doc: "what every rule of the file is limited to"},
}}

var testSection = &section{title: "a test", keys: []key{
	{name: "name", value: aText, doc: "shown when it fails"},
	{name: "as", value: value{form: mapping, section: &section{title: "as", keys: []key{
		{name: "ip", value: aText, required: true, doc: "the client's address"},
		{name: "user", value: aText, doc: "the user proven"},
		{name: "group", value: texts, doc: "groups proven"},
		{name: "cert", value: texts, doc: "certificate names proven"},
		{name: "claim", value: texts, doc: "claims proven, key=value"},
	}}}, required: true, doc: "who asks"},
	{name: "at", value: aText, doc: "when, as 2026-11-24T10:00:00+01:00; default noon UTC of Monday 2026-01-05"},
	{name: "deny", value: cases, doc: "requests that must be denied"},
	{name: "tunnel", value: cases, doc: "requests that must be tunnelled"},
	{name: "intercept", value: cases, doc: "requests that must be intercepted"},
	{name: "originate", value: cases, doc: "requests that must be originated"},
	{name: "relay", value: cases, doc: "requests that must be relayed"},
}}

var cases = value{form: text | mapping | list, section: &section{title: "a test case", keys: []key{
	{name: "request", value: aText, required: true, doc: "CONNECT host:port, or [METHOD] URL"},
	{name: "rule", value: aText, doc: "the rule that must decide"},
}}}
