// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"slices"
	"strings"
)

// The ways from the client to the origin.
const (
	direct    = "direct"
	originate = "originate"
	tunnelled = "tunnel"
	intercept = "intercept"
	relay     = "relay"
)

var allColumns = []string{direct, originate, tunnelled, intercept, relay}

// maxBody is the limit that the policy sets where it is asked for one, in bytes.
const maxBody = 64_000

// user is who proves to be somebody, and what by.
const (
	user     = "eva"
	password = "demonstration"
)

// policyText is a policy in which the hosts of each way have the rules of a mode: its
// own, unless modes says another.
func policyText(ways []Way, modes map[string]string) string {
	var b strings.Builder
	b.WriteString("version: 1\nclients: {users: {user: " + user + "}}\norigins:\n")
	profiles := func(of string, more string) {
		for _, p := range []struct{ name, keys string }{
			{"demo", ""},
			{"ours", "client_cert: {cert: gateway.crt, key: gateway.key}"},
			{"delegated", "client_cert: {mint: {}}"},
		} {
			fmt.Fprintf(&b, "  %s: {%s}\n", p.name+of, listed("roots: roots.pem", p.keys, more))
		}
	}
	profiles("", "")
	for _, w := range ways {
		if w.Origin != "" {
			profiles("-"+w.ID, w.Origin)
		}
	}
	b.WriteString("rules:\n")
	for _, w := range ways {
		if w.Mode == direct || w.Peer != "" {
			continue
		}
		for _, rule := range rulesOf(w, modeOf(w, modes)) {
			fmt.Fprintf(&b, "  - {%s}\n", rule)
		}
	}
	return b.String()
}

func modeOf(w Way, modes map[string]string) string {
	if m, ok := modes[w.ID]; ok {
		return m
	}
	return w.Mode
}

// mainRule is the one that most exchanges of a way are about.
func mainRule(w Way, mode string) string {
	return "{" + allowing(w, mode, ruleFor{from: "127.0.0.0/8", origin: "demo"}) + "}"
}

// rulesOf are what a way's hosts have: what one would write to have there, in the
// mode, what is asked for. Where the mode cannot have it, it goes without.
func rulesOf(w Way, mode string) []string {
	deny := func(host, what string) string {
		return listed("name: "+w.ID+"-"+host, "from: any", "to: "+hostOf(host, w.ID), what, "mode: deny")
	}
	upload := ruleFor{host: uploadHost, from: "127.0.0.0/8", origin: "demo"}
	if mode == tunnelled {
		upload.tunnel = fmt.Sprintf("max_bytes: %d", maxBody)
	} else {
		upload.limits = fmt.Sprintf("request_body: %d", maxBody)
	}
	out := []string{
		deny(deniedHost, ""),
		deny(methodHost, "methods: DELETE"),
		deny(pathHost, "paths: /private/**"),
		allowing(w, mode, upload),
		allowing(w, mode, ruleFor{host: oursHost, from: "127.0.0.0/8", origin: "ours"}),
		allowing(w, mode, ruleFor{host: delegatedHost, from: "users", origin: "delegated"}),
	}
	if !w.own() && mode == tunnelled { // who has a rule has decided it
		out = append(out, allowing(w, mode, ruleFor{host: sshHost, from: "127.0.0.0/8", tunnel: "tls: optional"}))
	}
	return append(out, allowing(w, mode, ruleFor{from: "127.0.0.0/8", origin: "demo"}))
}

// A ruleFor is what differs between the rules of a way.
type ruleFor struct {
	host           string // "": all of the way's
	from, origin   string
	tunnel, limits string // keys of these sections
}

// allowing is a rule, without its braces.
func allowing(w Way, mode string, r ruleFor) string {
	name, to := w.ID, "."+hostOf("", w.ID)
	if r.host != "" {
		name, to = w.ID+"-"+r.host, hostOf(r.host, w.ID)
	}
	section := func(name, keys string, goes bool) string {
		if keys == "" || !goes {
			return ""
		}
		return name + ": {" + keys + "}"
	}
	verifies, origin := mode == originate || mode == intercept, ""
	if verifies {
		origin = "origin: " + r.origin
		if w.Origin != "" {
			origin += "-" + w.ID
		}
	}
	return listed("name: "+name, "from: "+r.from, "to: "+to, "ports: any", "mode: "+mode, origin,
		section("tunnel", listed(w.Tunnel, r.tunnel), mode == tunnelled),
		section("intercept", w.Intercept, mode == intercept),
		section("response", section("rewrite", w.Rewrite, true), mode == originate),
		section("limits", r.limits, true), "allow_private: true")
}

// listed are the parts that there are, as a policy lists them.
func listed(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), ", ")
}

// hostOf is the name of an origin in a column; "" is the domain of all of them.
func hostOf(first, column string) string {
	if first == "" {
		return column + "." + zone
	}
	return first + "." + column + "." + zone
}
