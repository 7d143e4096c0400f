// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// A never is the hosts whose connections no rule opens. A name stands for all
// below it as well, because that is what a certificate can exclude (RFC 5280
// §4.2.1.10): what the policy keeps, the issuer keeps.
type never struct {
	hosts hostSet
	print string // hash of what is said, for Diff
}

// has reports whether h is one of them. A nil never has none.
func (n *never) has(h Host) bool {
	if n == nil {
		return false
	}
	if h.IsAddr() {
		return n.hosts.has(h)
	}
	for rest := h.Name; rest != ""; _, rest, _ = strings.Cut(rest, ".") {
		if n.hosts.has(Host{Name: rest}) {
			return true
		}
	}
	return false
}

// neverIntercept reads never_intercept.
func (c *compiler) neverIntercept(n *node) {
	if n == nil || n.bad || c.parent != nil { // an included file has another's
		return
	}
	v := &never{}
	var prints []string
	v.hosts, prints = c.to(n)
	for _, e := range n.each() {
		if e.text == "any" {
			c.errorf(e, "P040", "give no rule mode: intercept", "never_intercept: any leaves the rules nothing to intercept")
		}
	}
	if v.hosts.hasPaths() {
		c.errorf(n, "P072", "name the host", "never_intercept has URLs, and nobody sees a path in a connection that is not opened")
	}
	v.print = fingerprint(n, prints...)
	c.never = v
}
