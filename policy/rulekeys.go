// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

var (
	modeWords = []string{"deny", "tunnel", "intercept", "originate", "relay"}
	allowing  = modeWords[1:]
	seenModes = []string{"deny", "intercept", "originate", "relay"} // the gateway sees the request
	sentModes = seenModes[1:]                                       // and sends it on
)

// The keys of a rule. Each condition that is written must hold.
var ruleSection = &section{title: "a rule", keys: []key{
	{name: "name", value: one(nameSyntax), required: true, doc: "unique; stands in logs, in explain and in answers", example: "web"},
	{name: "description", value: aText, doc: "for people"},
	{name: "from", value: some(clientsSyntax), required: true, doc: "client groups, networks, addresses; any for everybody", example: "[lan, 10.9.0.0/16]"},
	{name: "from_except", value: some(clientsSyntax), doc: "clients taken out of from"},
	{name: "to", value: some(destinationSyntax), required: true, doc: "destination lists, hosts, .domains, networks, addresses; any for everything public", example: "[partners, .github.com, 203.0.113.0/24]"},
	{name: "to_except", value: some(destinationSyntax), doc: "destinations taken out of to"},
	{name: "ports", value: value{form: text | number | list, syntax: portsSyntax}, doc: "ports at the origin; default 443, for relay 80, for deny any", example: "[443, 8000-8099]"},
	{name: "methods", value: some(methodSyntax), doc: "request methods; needs to see the request", example: "[GET, HEAD]", modes: seenModes, only: true},
	{name: "paths", value: some(pathSyntax), doc: "/exact, /dir/** with everything below, * inside one segment; needs to see the request", example: `[/v1/**, "/a/*/b"]`, modes: seenModes, only: true},
	{name: "when", value: aText, doc: "a CEL expression over client, dest, request and now", example: "dest.port == 8443 && client.groups.exists(g, g == 'sre')"},
	{name: "schedule", value: one(nameSyntax), doc: "the name of a schedule", example: "office-hours"},
	{name: "until", value: one(dateSyntax), doc: "the last day the rule applies, in the schedule's time zone or UTC", example: "2026-12-31"},
	{name: "mode", value: words(modeWords...), required: true, doc: "what to do; at most one of tunnel and intercept and one of originate and relay", example: "[originate, tunnel]"},
	{name: "tunnel", value: value{form: mapping, section: tunnelSection}, doc: "how a tunnel is held", example: "{tls: optional, idle: 5m}", modes: []string{"tunnel"}, misfit: "goes with mode tunnel"},
	{name: "intercept", value: value{form: mapping, section: interceptSection}, doc: "how the client is met", example: "{alpn: http/1.1, leaf_ttl: 1d}", modes: []string{"intercept"}, misfit: "goes with mode intercept"},
	{name: "origin", value: value{form: text | mapping, section: originSection, syntax: nameSyntax}, doc: "the trust profile: its name, or the profile itself", example: "bank", modes: []string{"originate", "intercept"}, misfit: "goes with mode originate or intercept"},
	{name: "request", value: value{form: mapping, section: requestSection}, doc: "changes to the request", modes: sentModes, only: true, misfit: "cannot be kept in a tunnel or a deny: nobody sees the request there"},
	{name: "response", value: value{form: mapping, section: responseSection}, doc: "changes to the response", modes: sentModes, only: true, misfit: "cannot be kept in a tunnel or a deny: nobody sees the response there"},
	{name: "plain_http", value: word("explain", "redirect"), doc: "what an http:// request gets from a rule that serves only CONNECT", def: "explain", modes: []string{"tunnel", "intercept"}, only: true, misfit: "goes with a rule that serves only CONNECT"},
	{name: "client_leg", value: word("any", "tls"), doc: "tls: who does not speak TLS to the gateway is refused, and told to", def: "any", modes: allowing, misfit: "does not go with mode deny, which refuses by either leg"},
	{name: "deny", value: value{form: mapping, section: denySection}, doc: "how a denial is told", example: `{status: 451, message: "Not from here (rule {rule})."}`, modes: []string{"deny"}, misfit: "goes with mode deny"},
	{name: "limits", value: value{form: text | mapping, section: limitSection, syntax: nameSyntax}, doc: "the name of limits, or the limits themselves", example: "{rate: 20/s, concurrent: 8, per: client}", modes: allowing, misfit: "does not go with mode deny, which lets nothing through"},
	{name: "log", value: word("none", "meta", "full"), doc: "what the access log keeps: nothing, everything but the query string, or all", def: "meta"},
	{name: "audit", value: aFlag, doc: "only count and log what the rule would decide, and go on", def: "false"},
	{name: "visible_only", value: aFlag, doc: "the deny is content to apply where the request is visible", def: "false", modes: []string{"deny"}, misfit: "goes with mode deny"},
	{name: "allow_private", value: aFlag, doc: "lets the rule reach private addresses", def: "false", modes: allowing, misfit: "does not go with mode deny, which reaches nothing"},
}}

var tunnelSection = &section{title: "tunnel", keys: []key{
	{name: "sni", value: word("match", "any"), doc: "match: the SNI must be the CONNECT host", def: "match"},
	{name: "ech", value: word("allow", "deny"), doc: "allow: a ClientHello whose name is encrypted (ECH) may show another name outside than the CONNECT host; what it hides nobody sees. deny: it may not, even with sni: any; GREASE passes; default deny, and allow with sni: any"},
	{name: "tls", value: word("required", "optional"), doc: "required: only TLS may pass", def: "required"},
	{name: "alpn", value: some(filledSyntax), doc: "protocols the client may offer; default any", example: "h2"},
	{name: "idle", value: one(durationSyntax), doc: "close after so long without a byte", example: "5m"},
	{name: "max_duration", value: one(durationSyntax), doc: "close after so long", example: "8h"},
	{name: "max_bytes", value: aSize, doc: "close after so many bytes in both directions", example: "1GB"},
}}

var interceptSection = &section{title: "intercept", keys: []key{
	{name: "alpn", value: words("h2", "http/1.1"), doc: "protocols offered to the client; default what the origin speaks", example: "[h2, http/1.1]"},
	{name: "leaf_ttl", value: one(durationSyntax), doc: "how long a minted certificate is good, 10m to 7d", def: "7d", example: "1d"},
	{name: "bad_origin", value: word("page", "alert"), doc: "what the client of an origin that does not verify gets: the page that says why as the answer to its CONNECT, or a TLS alert behind a 200", def: "page"},
}}

var denySection = &section{title: "deny", keys: []key{
	{name: "status", value: value{form: number, syntax: statusSyntax}, doc: "of the answer, 400 to 599", def: "403"},
	{name: "message", value: aText, doc: "for the client; {rule} stands for the rule's name", example: "Ask Jana (rule {rule})."},
	{name: "page", value: aText, pending: notYet, doc: "a page of the gateway's own"},
}}

var headersKey = key{name: "headers", value: value{form: mapping, section: &section{title: "headers", keys: []key{
	{name: "set", value: pairs, doc: "fields to set, in place of all of that name; in a request {secret:NAME} stands for a secret", example: `{Authorization: "Bearer {secret:model-key}"}`},
	{name: "remove", value: texts, doc: "fields to remove", example: "[Cookie, Referer]"},
}}}, doc: "header fields"}

var requestSection = &section{title: "request", keys: []key{headersKey}}

var responseSection = &section{title: "response", keys: []key{
	headersKey,
	{name: "rewrite", value: value{form: mapping, section: &section{title: "rewrite", keys: []key{
		{name: "location", value: aFlag, doc: "https links in Location, Content-Location, Refresh and Link, sources in Content-Security-Policy, and who may read (Access-Control-Allow-Origin); in requests Origin and Referer", def: "true"},
		{name: "cookies", value: aFlag, doc: "cookies that a client without TLS would not keep", def: "true"},
		{name: "hsts", value: aFlag, doc: "Strict-Transport-Security is taken out, and remembered: the host is not relayed to", def: "true"},
		{name: "alt_svc", value: aFlag, doc: "Alt-Svc is taken out", def: "true"},
		{name: "bodies", value: aFlag, doc: "https links in bodies that are HTML, CSS or JSON", def: "false"},
	}}}, doc: "what of an https site a client without TLS could not use; with mode originate"},
}}
