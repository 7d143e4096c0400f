// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sallyport/cmd/sallyport/demo"
	"sallyport/policy"
)

// mostWays is how many columns are made of a policy: more, nobody compares.
const mostWays = 8

// demoWays reads a policy for the comparison. What is wrong with it is told as check
// does.
func demoWays(stderr io.Writer, path string) ([]demo.Way, []string, error) {
	p, err := policy.Loader{}.Load(path)
	if err != nil {
		return nil, nil, refused(stderr, err)
	}
	ways, notes := waysOf(p.Rules)
	if len(ways) == 0 {
		return nil, nil, &exitError{exitFailed, fmt.Errorf("%s: no rule lets anything through: there is nothing to compare", path)}
	}
	return ways, append(notes, "Origins, clients and limits are the demonstration's, whatever hosts, clients and times the rules of "+printable(path)+" are about."), nil
}

// A ruleWay is a column and the rules that it stands for.
type ruleWay struct {
	demo.Way
	rules, left []string
}

// waysOf makes a column of each mode and setting that rules let something through
// by, and tells what it left out.
func waysOf(rules []*policy.Rule) (ways []demo.Way, notes []string) {
	var all []*ruleWay
	var denies, audits int
	for _, r := range rules {
		if r.Audit {
			audits++
			continue
		}
		for _, mode := range r.Modes {
			if mode == policy.Deny {
				denies++
				continue
			}
			w := wayOf(r, mode)
			same := func(o *ruleWay) bool {
				return o.Mode == w.Mode && o.Tunnel == w.Tunnel && o.Intercept == w.Intercept && o.Rewrite == w.Rewrite && o.Origin == w.Origin
			}
			if i := slices.IndexFunc(all, same); i >= 0 {
				all[i].rules = append(all[i].rules, r.Name)
				all[i].left = union(all[i].left, w.left)
				continue
			}
			all = append(all, w)
		}
	}
	for i, w := range all {
		if i == mostWays {
			notes = append(notes, fmt.Sprintf("Left out, because there are more than %d: %s.", mostWays, named(all[i:])))
			break
		}
		w.ID = wayID(w, ways)
		w.Title = w.rules[0] + " " + w.Mode
		if len(w.rules) > 1 {
			w.Notes = append(w.Notes, "is "+some(w.rules[1:])+", too")
		}
		if len(w.left) > 0 {
			w.Notes = append(w.Notes, "without "+strings.Join(w.left, ", "))
		}
		ways = append(ways, w.Way)
	}
	if denies > 0 {
		notes = append(notes, "Not compared: "+count(denies, "rule that denies", "rules that deny")+".")
	}
	if audits > 0 {
		notes = append(notes, "Not compared: "+count(audits, "rule that only audits", "rules that only audit")+".")
	}
	return ways, notes
}

// wayOf is a rule in one of its modes. Left is what it says that cannot be had here:
// what is about the user's origins, and limits.
func wayOf(r *policy.Rule, mode policy.Mode) *ruleWay {
	w := &ruleWay{Way: demo.Way{Mode: mode.String()}, rules: []string{r.Name}}
	left := func(what string, is bool) {
		if is {
			w.left = append(w.left, what)
		}
	}
	switch mode {
	case policy.Tunnel:
		t := r.Tunnel
		w.Tunnel = keys(setting{"sni: any", t.AnySNI}, setting{"ech: allow", t.HiddenName}, setting{"tls: optional", t.OptionalTLS})
		left("tunnel.alpn", len(t.ALPN) > 0)
		left("tunnel.idle", t.Idle > 0)
		left("tunnel.max_duration", t.MaxDuration > 0)
		left("tunnel.max_bytes", t.MaxBytes > 0)
	case policy.Intercept:
		w.Intercept = keys(setting{"bad_origin: alert", r.Intercept.BadAlert}, alpn(r.Intercept.ALPN))
		left("intercept.alpn", onlyH2(r.Intercept.ALPN))
		left("intercept.leaf_ttl", r.Intercept.LeafTTL > 0)
	case policy.Originate:
		k := r.Rewrite
		w.Rewrite = keys(setting{"location: false", k.KeepLinks}, setting{"cookies: false", k.KeepCookies},
			setting{"hsts: false", k.KeepHSTS}, setting{"alt_svc: false", k.KeepAltSvc}, setting{"bodies: true", k.Bodies})
	}
	if o := r.Origin; o != nil && (mode == policy.Originate || mode == policy.Intercept) {
		w.Origin = keys(setting{`min_tls: "1.3"`, o.MinTLS == tls.VersionTLS13}, setting{`max_tls: "1.2"`, o.MaxTLS == tls.VersionTLS12},
			alpn(o.ALPN), setting{"revocation: prefer", o.Revocation == policy.RevocationPrefer})
		left("roots", len(o.Roots) > 0)
		left("pins", len(o.Pins) > 0)
		left("client_cert", o.ClientCert != nil)
		left("alpn", onlyH2(o.ALPN))
		left("port", o.Port != 0)
		left("sni", o.SNI != "")
		left("verify_name", o.VerifyName != "")
		left("revocation", o.Revocation == policy.RevocationRequire)
		left("aia", o.AIA)
	}
	left("request", len(r.Request.Set)+len(r.Request.Remove) > 0)
	left("response", len(r.Response.Set)+len(r.Response.Remove) > 0)
	left("limits", r.Limits != nil)
	left("client_leg", r.ClientTLS)
	left("plain_http", r.RedirectPlain)
	return w
}

// A setting is a key with its value, and whether the rule has it.
type setting struct {
	key string
	is  bool
}

func keys(all ...setting) string {
	var out []string
	for _, s := range all {
		if s.is {
			out = append(out, s.key)
		}
	}
	return strings.Join(out, ", ")
}

// alpn is there where HTTP/1.1 is among the protocols: who is compared speaks no other.
func alpn(protocols []string) setting {
	return setting{"alpn: [" + strings.Join(protocols, ", ") + "]", slices.Contains(protocols, "http/1.1")}
}

func onlyH2(protocols []string) bool {
	return len(protocols) > 0 && !slices.Contains(protocols, "http/1.1")
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// wayID is by what a column is called in host names: its first rule and the mode.
func wayID(w *ruleWay, taken []demo.Way) string {
	const room = 32 // of a label's 63; with the mode and what the comparison appends it fits
	rule := strings.ReplaceAll(w.rules[0], "_", "-")
	id := strings.Trim(rule[:min(len(rule), room)], "-") + "-" + w.Mode
	for n, first := 2, id; slices.ContainsFunc(taken, func(o demo.Way) bool { return o.ID == id }); n++ {
		id = first + "-" + strconv.Itoa(n)
	}
	return id
}

// named are the ways that were left out.
func named(list []*ruleWay) string {
	var out []string
	for _, w := range list {
		out = append(out, w.rules[0]+" "+w.Mode)
	}
	return some(out)
}

// some are the first names of a list, and how many more there are.
func some(names []string) string {
	const few = 6
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}
