// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
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

// policyText is a policy in which each column of hosts has the rules of a mode: its
// own, unless modes says another.
func policyText(columns []string, modes map[string]string) string {
	var b strings.Builder
	b.WriteString(`version: 1
clients: {users: {user: ` + user + `}}
origins:
  demo: {roots: roots.pem}
  ours: {roots: roots.pem, client_cert: {cert: gateway.crt, key: gateway.key}}
  delegated: {roots: roots.pem, client_cert: {mint: {}}}
rules:
`)
	for _, column := range columns {
		if column == direct {
			continue
		}
		mode := modeOf(column, modes)
		for _, rule := range rulesOf(column, mode) {
			fmt.Fprintf(&b, "  - %s\n", rule)
		}
	}
	return b.String()
}

func modeOf(column string, modes map[string]string) string {
	if m, ok := modes[column]; ok {
		return m
	}
	return column
}

// mainRule is the one that most exchanges of a column are about.
func mainRule(column, mode string) string {
	return allowing(column, column, "127.0.0.0/8", "."+hostOf("", column), mode, "demo", "")
}

// rulesOf are what a column's hosts have: what one would write to have there, in the
// mode, what is asked for. Where the mode cannot have it, it goes without.
func rulesOf(column, mode string) []string {
	rule := func(host, from, origin, extra string) string {
		return allowing(column+"-"+host, column, from, hostOf(host, column), mode, origin, extra)
	}
	deny := func(host, what string) string {
		return fmt.Sprintf("{name: %s-%s, from: any, to: %s, %smode: deny}", column, host, hostOf(host, column), what)
	}
	ssh, upload := "", "limits: {request_body: %d}"
	if mode == tunnelled {
		ssh, upload = "tunnel: {tls: optional}", "tunnel: {max_bytes: %d}"
	}
	return []string{
		deny(deniedHost, ""),
		deny(methodHost, "methods: DELETE, "),
		deny(pathHost, "paths: /private/**, "),
		rule(uploadHost, "127.0.0.0/8", "demo", fmt.Sprintf(upload, maxBody)),
		rule(sshHost, "127.0.0.0/8", "demo", ssh),
		rule(oursHost, "127.0.0.0/8", "ours", ""),
		rule(delegatedHost, "users", "delegated", ""),
		mainRule(column, mode),
	}
}

func allowing(name, column, from, to, mode, origin, extra string) string {
	parts := []string{"name: " + name, "from: " + from, "to: " + to, "ports: any", "mode: " + mode}
	if mode == originate || mode == intercept {
		parts = append(parts, "origin: "+origin)
	}
	if extra != "" {
		parts = append(parts, extra)
	}
	return "{" + strings.Join(append(parts, "allow_private: true"), ", ") + "}"
}

// hostOf is the name of an origin in a column; "" is the domain of all of them.
func hostOf(first, column string) string {
	if first == "" {
		return column + "." + zone
	}
	return first + "." + column + "." + zone
}
