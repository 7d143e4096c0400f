// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// A within is what every rule of an included file is limited to. The rules are
// somebody else's: what the including file does not give, they do not have.
type within struct {
	from    clientSet
	to      hostSet
	modes   []string // beside deny, which opens nothing; nil: any
	origins []string // trust profiles, and with them client certificates; nil: none
	print   string
}

// holds is one more condition of an included rule.
func (w *within) holds(q *Query) verdict {
	if w == nil {
		return yes
	}
	return min(w.from.has(&q.Client, q.MayAsk), verdictOf(w.to.has(q.Host)))
}

// named keeps of the prefixes that a rule names those that its within names too:
// only both together open a special address. The exact address of a metadata
// service has to stand in both.
func (w *within) named(prefixes []netip.Prefix) []netip.Prefix {
	if w == nil {
		return prefixes
	}
	var both []netip.Prefix
	for _, q := range w.to.named() {
		for _, p := range prefixes {
			if !p.Overlaps(q) {
				continue
			}
			narrow := p
			if q.Bits() > p.Bits() {
				narrow = q
			}
			if s := specialBlock(narrow.Addr()); s == nil || !s.metadata || p == q {
				both = append(both, narrow)
			}
		}
	}
	return both
}

// include reads the file that n names and returns its compiler, with its names
// defined; nil when there is nothing to go on with.
func (c *compiler) include(n *node) *compiler {
	at, limits := n.get("file"), n.get("within")
	if at == nil || limits == nil {
		return nil
	}
	w := &within{}
	var prints, more []string
	w.from, prints = c.from(limits.get("from"))
	w.to, more = c.to(limits.get("to"))
	prints = append(prints, more...)
	for _, e := range limits.get("modes").each() {
		w.modes = append(w.modes, e.text)
	}
	for _, e := range limits.get("origins").each() {
		if d := refer(c, e, "origin", c.origins, c.buildOrigin); d != nil {
			w.origins = append(w.origins, e.text)
			prints = append(prints, d.print)
		}
	}
	w.print = fingerprint(limits, prints...)
	if w.to.hasPaths() {
		c.errorf(limits.get("to"), "P090", "name the hosts, and give paths in the rules", "URLs cannot limit an included file")
	}
	c.needClients(&w.from, limits.get("from"), "what is included from "+at.text)

	path := c.abs(at.text)
	src, _, err := c.read(path, maxFile)
	if err != nil {
		c.errorf(at, "P005", "", "%s cannot be read: %v", at.text, bare(err))
		return nil
	}
	text := bytes.TrimPrefix(src, []byte("\ufeff"))
	shown := at.text
	if !filepath.IsAbs(shown) {
		shown = filepath.Join(c.dir, shown)
	}
	in := &compiler{
		reporter: newReporter(shown, text), dir: filepath.Dir(shown), read: c.read, listCache: c.listCache,
		parent: c, within: w, name: at.text, path: path, src: src, lists: c.lists, never: c.never,
	}
	c.included = append(c.included, in)
	root := in.parseYAML(text)
	if root == nil {
		return nil
	}
	in.shape(root, value{form: mapping, section: policySection}, "the file")
	in.root = root
	for _, k := range []string{"never_intercept", "contact", "direct", "origins", "mappings", "include"} {
		if key := root.keyNode(k); key != nil {
			in.errorf(key, "P090", hintDelegated, "%s cannot stand in an included file", k)
		}
	}
	in.define(root)
	return in
}

const hintDelegated = "it belongs into the file that includes this one, which can give it under within:"

// delegated holds a rule of an included file to what it was given. What it says
// of clients and destinations is cut down to that when it is asked; the rest is
// an error, because its author meant something and would not get it.
func (c *compiler) delegated(r *Rule, n *node) {
	w := c.within
	if w == nil {
		return
	}
	r.within, r.File = w, c.name
	for _, e := range n.get("mode").each() {
		if w.modes != nil && e.text != Deny.String() && !slices.Contains(w.modes, e.text) {
			c.errorf(e, "P091", "given are "+strings.Join(w.modes, ", ")+", and deny", "%s is not given to the rules of this file", e.text)
		}
	}
	if o := n.get("origin"); o != nil {
		switch {
		case o.kind == mapNode:
			c.errorf(o, "P090", hintDelegated, "a trust profile cannot stand in an included file")
		case !slices.Contains(w.origins, o.text):
			c.errorf(o, "P091", "the file that includes this one gives it by within: {origins: "+o.text+"}", "origin %q is not given to the rules of this file", o.text)
		}
	}
	if key := n.keyNode("allow_private"); key != nil {
		c.errorf(key, "P090", "name the range in to:, and in the to: of within:", "allow_private cannot stand in an included file")
	}
	if e := n.get("request").find(func(e *node) bool { return strings.Contains(e.text, "{secret:") }); e != nil {
		c.errorf(e, "P090", hintDelegated, "a secret cannot stand in an included file")
	}
}

// find is the first value in n for which ok holds; nil when there is none.
func (n *node) find(ok func(*node) bool) *node {
	if n == nil || ok(n) {
		return n
	}
	for _, i := range n.items {
		if found := i.find(ok); found != nil {
			return found
		}
	}
	for _, p := range n.pairs {
		if found := p.value.find(ok); found != nil {
			return found
		}
	}
	return nil
}
