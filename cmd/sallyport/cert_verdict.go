// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/certs/inspect"
)

// A chainVerdict is what cert verify prints; its JSON is in docs/certificates.md.
type chainVerdict struct {
	Target   string                `json:"target"`
	Trusted  bool                  `json:"trusted"`
	For      string                `json:"for"`
	Name     string                `json:"name,omitempty"`
	At       time.Time             `json:"at"`
	Path     []inspect.Certificate `json:"path"` // leaf first
	Root     bool                  `json:"root"` // the last of path is trusted by itself
	Findings []chainFinding        `json:"findings"`
	Expiring bool                  `json:"expiring"` // something on path, within --within
	within   time.Duration
}

type chainFinding struct {
	Code    string `json:"code"`
	Level   string `json:"level"` // "error" or "warning"
	Link    int    `json:"link"`  // place in path; -1: about none of it
	Subject string `json:"subject,omitempty"`
	What    string `json:"what"`
	Next    string `json:"next,omitempty"`
}

func (r *chainVerdict) add(f certs.Finding) {
	g := chainFinding{Code: f.Code, Level: "error", Link: f.Link, What: f.What, Next: f.Next}
	if f.Warning {
		g.Level = "warning"
	}
	if f.Link >= 0 && f.Link < len(r.Path) {
		g.Subject = r.Path[f.Link].Name()
	}
	r.Findings = append(r.Findings, g)
}

// disorder tells when the first certificate is not the one that was meant: a
// server that is given the file would show the wrong one.
func disorder(t *certTarget) []certs.Finding {
	chain := t.chain()
	for i, up := range inspect.Issuers(chain) {
		if up == 0 {
			return []certs.Finding{{
				Code: "order", Link: 0, Warning: true,
				What: fmt.Sprintf("comes first and is the issuer of certificate %d", i+1), Next: "put the leaf first, then its issuer, and so on",
			}}
		}
	}
	return nil
}

func (r *chainVerdict) print(b *strings.Builder) {
	verdict := "holds"
	if !r.Trusted {
		verdict = "does NOT hold"
	}
	what := "a server"
	if r.For == "clientAuth" {
		what = "a client"
	}
	if r.Name != "" {
		what += " named " + line(r.Name)
		if net.ParseIP(strings.Trim(r.Name, "[]")) != nil {
			what = strings.Replace(what, "named", "at", 1)
		}
	}
	fmt.Fprintf(b, "%s: the chain %s for %s on %s\n", line(r.Target), verdict, what, r.At.UTC().Format(certTime))
	for i := range r.Path {
		c := &r.Path[i]
		role := "leaf"
		switch {
		case i == len(r.Path)-1 && r.Root:
			role = "trusted"
		case i > 0:
			role = "link"
		}
		fmt.Fprintf(b, "  %d  %-8s %s  (%s)\n", i, role, line(c.Name()), timeLeft(c, r.At))
		r.printFindings(b, i)
	}
	r.printFindings(b, -1)
}

func (r *chainVerdict) printFindings(b *strings.Builder, link int) {
	for _, f := range r.Findings {
		if f.Link != link {
			continue
		}
		fmt.Fprintf(b, "     %-8s %s\n", f.Level, line(f.What))
		if f.Next != "" {
			fmt.Fprintf(b, "              %s\n", line(f.Next))
		}
	}
}

func (r *chainVerdict) exit() error {
	switch {
	case !r.Trusted:
		return &exitError{code: exitNegative}
	case r.Expiring:
		return &exitError{code: exitExpiring}
	}
	return nil
}
