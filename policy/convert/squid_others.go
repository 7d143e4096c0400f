// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"
)

// elsewhere says of the directives that begin so where they have gone.
var elsewhere = []struct{ begins, why string }{
	{"http_reply_access", "it refused answers by what they are: nothing here does; look for what it kept out"},
	{"http_access2", "a second list of rules after redirectors: not converted; look for what it kept out"},
	{"adapted_http_access", "a second list of rules: not converted; look for what it kept out"},
	{"miss_access", "it refused what is not in the cache, which here is everything: not converted; look for what it kept out"},
	{"url_rewrite", "a program rewrote or refused requests: nothing here does; look for what it kept out"},
	{"redirect", "a program rewrote or refused requests: nothing here does; look for what it kept out"},
	{"icap", "another server saw requests and answers: nothing here does; look for what it kept out"},
	{"ecap", "a module saw requests and answers: nothing here does; look for what it kept out"},
	{"adaptation", "another server saw requests and answers: nothing here does; look for what it kept out"},
	{"request_body_max_size", "a limit: write it as limits: {request_body: ...} in the rules"},
	{"reply_body_max_size", "a limit: write it as limits: {response_body: ...} in the rules"},
	{"delay_", "a limit: write it as limits: {bandwidth: ...} in the rules"},
	{"client_delay", "a limit: write it as limits: {bandwidth: ...} in the rules"},
	{"request_header", "headers are not changed: look for what it kept private"},
	{"reply_header", "headers are not changed"},
	{"header_replace", "headers are not changed"},
	{"tcp_outgoing", "not converted: source addresses are chosen by the system"},
	{"cache_peer", "not converted: requests go to the origin itself"},
	{"never_direct", "not converted: requests go to the origin itself"},
	{"always_direct", "not converted: requests go to the origin itself"},
	{"hierarchy", "not applicable: requests go to the origin itself"},
	{"auth_param", "users are proven to the gateway, not in a policy"},
	{"authenticate_", "users are proven to the gateway, not in a policy"},
	{"external_acl_type", "not converted: a policy asks no programs"},
	{"deny_info", "write deny: {message: ...} in the rules that deny"},
	{"http_port", "where the gateway listens is for sallyport run --listen"},
	{"https_port", "where the gateway listens is for sallyport run --listen"},
	{"sslcrtd", "certificates for intercepting are the gateway's own matter"},
	{"sslproxy_cert_error", "origins are always verified: give those that need it roots or pins under origins"},
	{"sslproxy", "how origins are met is under origins"},
	{"tls_outgoing", "how origins are met is under origins"},
	{"if", "what is inside was converted as if it always held"},
	{"else", "what is inside was converted as if it always held"},
	{"refresh_pattern", "not applicable: there is no cache"},
	{"cache", "not applicable: there is no cache"},
	{"maximum_object", "not applicable: there is no cache"},
	{"minimum_object", "not applicable: there is no cache"},
	{"memory_", "not applicable: there is no cache"},
	{"store_", "not applicable: there is no cache"},
	{"icp_", "not applicable: there is no cache"},
	{"htcp_", "not applicable: there is no cache"},
	{"snmp_", "not applicable"},
	{"dns_", "names are resolved by the system"},
	{"access_log", "the gateway writes its own log"},
	{"logformat", "the gateway writes its own log"},
	{"logfile", "the gateway writes its own log"},
	{"log_", "the gateway writes its own log"},
}

// others tells of the directives that are not rules, a line for each kind.
func (s *squid) others(lines []directive) {
	first := make(map[string]directive)
	counts := make(map[string]int)
	var order []string
	for _, d := range lines {
		kind := d.words[0]
		switch kind {
		case "acl", "http_access", "ssl_bump":
			continue
		}
		if counts[kind] == 0 {
			first[kind], order = d, append(order, kind)
		}
		counts[kind]++
	}
	for _, kind := range order {
		why := "not converted: it is no matter of a policy"
		if i := slices.IndexFunc(elsewhere, func(e struct{ begins, why string }) bool { return strings.HasPrefix(kind, e.begins) }); i >= 0 {
			why = elsewhere[i].why
		}
		d := first[kind]
		lines := ""
		if counts[kind] > 1 {
			lines = fmt.Sprintf(" (%d lines)", counts[kind])
		}
		s.note(Note{File: d.file, Line: d.line, Text: printable(kind) + lines, Message: why})
	}
}
