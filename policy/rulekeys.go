// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

var modeWords = []string{"deny", "tunnel", "intercept", "originate", "relay"}

// The keys of a rule. Each condition that is written must hold.
var ruleSection = &section{title: "a rule", keys: []key{
	{name: "name", value: aText, required: true, doc: "unique; stands in logs, in explain and in answers"},
	{name: "description", value: aText, doc: "for people"},
	{name: "from", value: texts, required: true, doc: "client groups, networks, addresses; any for everybody"},
	{name: "from_except", value: texts, doc: "clients taken out of from"},
	{name: "to", value: texts, required: true, doc: "destination lists, hosts, .domains, networks, addresses; any for everything public"},
	{name: "to_except", value: texts, doc: "destinations taken out of to"},
	{name: "ports", value: ports, doc: "ports at the origin, such as [443, 8000-8099] or any; default 443, for relay 80, for deny any"},
	{name: "methods", value: texts, doc: "request methods; needs to see the request"},
	{name: "paths", value: texts, doc: "/exact, /dir/** with everything below, * inside one segment; needs to see the request"},
	{name: "when", value: aText, doc: "a CEL expression over client, dest, request and now"},
	{name: "schedule", value: aText, doc: "the name of a schedule"},
	{name: "until", value: aText, doc: "the last day the rule applies, YYYY-MM-DD, in the schedule's time zone or UTC"},
	{name: "mode", value: words(modeWords...), required: true, doc: "what to do; at most one of tunnel and intercept and one of originate and relay"},
	{name: "tunnel", value: value{form: mapping, section: tunnelSection}, doc: "how a tunnel is held"},
	{name: "intercept", value: value{form: mapping, section: interceptSection}, pending: notYet, doc: "how the client is met"},
	{name: "origin", value: value{form: text | mapping, section: originSection}, doc: "the trust profile: its name, or the profile itself"},
	{name: "request", value: value{form: mapping, section: messageSection}, pending: notYet, doc: "changes to the request"},
	{name: "response", value: value{form: mapping, section: messageSection}, pending: notYet, doc: "changes to the response"},
	{name: "plain_http", value: word("explain", "redirect"), doc: "what an http:// request gets from a rule that serves only CONNECT; default explain"},
	{name: "deny", value: value{form: mapping, section: denySection}, doc: "how a denial is told"},
	{name: "limits", value: value{form: text | mapping, section: limitSection}, pending: notYet, doc: "the name of limits, or the limits themselves"},
	{name: "log", value: word("none", "meta", "full"), doc: "what the access log keeps: nothing, no query string (default), everything"},
	{name: "audit", value: aFlag, doc: "only count and log what the rule would decide, and go on"},
	{name: "visible_only", value: aFlag, doc: "a deny that is content to apply where the request is visible"},
	{name: "allow_private", value: aFlag, doc: "lets the rule reach private addresses"},
}}

var tunnelSection = &section{title: "tunnel", keys: []key{
	{name: "sni", value: word("match", "any"), doc: "match (default): the SNI must be the CONNECT host"},
	{name: "tls", value: word("required", "optional"), doc: "required (default): only TLS may pass"},
	{name: "alpn", value: texts, doc: "protocols the client may offer; default any"},
	{name: "idle", value: aText, doc: "close after so long without a byte, such as 5m"},
	{name: "max_duration", value: aText, doc: "close after so long, such as 8h"},
	{name: "max_bytes", value: amount, doc: "close after so many bytes in both directions, such as 1GB"},
}}

var interceptSection = &section{title: "intercept", keys: []key{
	{name: "alpn", value: words("h2", "http/1.1"), doc: "protocols offered to the client"},
	{name: "leaf_ttl", value: aText, doc: "lifetime of minted leaves"},
}}

var denySection = &section{title: "deny", keys: []key{
	{name: "status", value: aCount, doc: "400 to 599; default 403"},
	{name: "message", value: aText, doc: "for the client; {rule} stands for the rule's name"},
	{name: "page", value: aText, pending: notYet, doc: "a page of the gateway's own"},
}}

var messageSection = &section{title: "request or response", keys: []key{
	{name: "headers", value: value{form: mapping, section: &section{title: "headers", keys: []key{
		{name: "set", value: pairs, doc: "fields to set; {secret:NAME} stands for a secret"},
		{name: "remove", value: texts, doc: "fields to remove"},
	}}}, doc: "header fields"},
	{name: "rewrite", value: value{form: mapping, section: &section{title: "rewrite", keys: []key{
		{name: "location", value: aFlag, doc: "links in Location"},
		{name: "cookies", value: aFlag, doc: "cookie attributes"},
		{name: "hsts", value: aFlag, doc: "Strict-Transport-Security"},
		{name: "alt_svc", value: aFlag, doc: "Alt-Svc"},
		{name: "bodies", value: aFlag, doc: "links in bodies"},
	}}}, doc: "scheme reconciliation"},
}}
