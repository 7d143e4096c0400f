// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// A compiler turns the checked tree of a policy file into what Decide walks.
type compiler struct {
	*reporter
	dir       string // where files are looked for
	read      Reader // of every file but the policy's own
	listCache string // where compiled lists are; "": nowhere
	root      *node
	parent    *compiler // of the file that includes this one; nil: none does
	within    *within   // nil: no limits
	name      string    // as the including file has it
	path      string    // of an included file, absolute
	src       []byte    // of an included file
	included  []*compiler
	clients   map[string]*definition[clientSet]
	hosts     map[string]*definition[hostSet]
	origins   map[string]*definition[Origin]
	schedules map[string]*definition[schedule]
	limits    map[string]*definition[Limits]
	lists     map[string]*listFile // by path as written
	notes     []Diagnostic         // about list files
	needs     []Need               // of this file, in any order
	never     *never               // of the policy file, for all files; nil: nothing
}

// A definition is a thing with a name, made when it is first referred to.
type definition[T any] struct {
	node  *node
	state byte // 0 not begun, 1 being made, 2 made
	made  T
	print string
}

func definitions[T any](n *node) map[string]*definition[T] {
	m := make(map[string]*definition[T])
	if n == nil || n.kind != mapNode {
		return m
	}
	for _, p := range n.pairs {
		m[p.key.text] = &definition[T]{node: p.value}
	}
	return m
}

// refer finds what the text of n names, and makes it with build if that has
// not happened. It reports a name that is not defined, with the nearest that
// is, and a definition that needs itself.
func refer[T any](c *compiler, n *node, what string, m map[string]*definition[T], build func(*definition[T], string)) *definition[T] {
	d := m[n.text]
	switch {
	case d == nil:
		hint := suggest(n.text, slices.Sorted(maps.Keys(m)))
		if hint == "" && what == "destination list" {
			hint = fmt.Sprintf("for a host without a dot write {host: %s} under destinations", n.text)
		}
		c.errorf(n, "P030", hint, "%s %q is not defined", what, n.text)
		return nil
	case d.state == 1:
		c.errorf(n, "P031", "", "%s %q is defined by itself", what, n.text)
		return nil
	}
	if d.state == 0 {
		d.state = 1
		build(d, n.text)
		d.state = 2
	}
	return d
}

// compile makes a Policy of a tree. When something is wrong with it, that is
// reported, and the Policy is not to be used.
func (c *compiler) compile(root *node) *Policy {
	c.lists, c.root = make(map[string]*listFile), root
	c.define(root)
	// The rules of an included file stand where the file is included: before the
	// rules of this one, or behind them.
	files := []*compiler{c}
	for _, n := range root.get("include").each() {
		if in := c.include(n); in != nil {
			files = append(files, in)
		}
	}
	if root.before("include", "rules") {
		files = append(files[1:], c)
	}
	p := &Policy{Pages: c.pages(root)}
	c.mappings(p, root.get("mappings"))
	places := make(map[string]string)
	for _, f := range files {
		f.rules(p, places)
	}
	for _, name := range keysInOrder(root.get("origins")) {
		if o := &c.origins[name.text].made; !slices.Contains(p.Origins, o) {
			p.Origins = append(p.Origins, o)
		}
	}
	slices.SortFunc(p.Origins, func(a, b *Origin) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		for _, n := range f.root.get("tests").each() {
			f.test(p, n)
		}
		f.named(p)
	}
	return p
}

// define makes what root gives names to, and checks it, also where nobody refers
// to it. An included file sees the names of the file that includes it.
func (c *compiler) define(root *node) {
	c.clients = definitions[clientSet](root.get("clients"))
	c.hosts = definitions[hostSet](root.get("destinations"))
	c.origins = definitions[Origin](root.get("origins"))
	c.schedules = definitions[schedule](root.get("schedules"))
	c.limits = definitions[Limits](root.get("limits"))
	if up := c.parent; up != nil {
		inherit(c, root.get("clients"), c.clients, up.clients)
		inherit(c, root.get("destinations"), c.hosts, up.hosts)
		inherit(c, root.get("origins"), c.origins, up.origins)
		inherit(c, root.get("schedules"), c.schedules, up.schedules)
		inherit(c, root.get("limits"), c.limits, up.limits)
	}
	c.neverIntercept(root.get("never_intercept"))
	if v := root.get("version"); v != nil && v.text != "1" {
		c.errorf(v, "P026", "write version: 1", "version %s is not known to this program", v.text)
	}
	for _, name := range keysInOrder(root.get("clients")) {
		refer(c, name, "client group", c.clients, c.buildClients)
	}
	for _, name := range keysInOrder(root.get("destinations")) {
		refer(c, name, "destination list", c.hosts, c.buildHosts)
	}
	for _, name := range keysInOrder(root.get("origins")) {
		refer(c, name, "origin", c.origins, c.buildOrigin)
	}
	for _, name := range keysInOrder(root.get("schedules")) {
		refer(c, name, "schedule", c.schedules, c.buildSchedule)
	}
	for _, name := range keysInOrder(root.get("limits")) {
		refer(c, name, "limits", c.limits, c.buildLimits)
	}
}

// inherit adds what the including file has named. A name means one thing.
func inherit[T any](c *compiler, own *node, names, up map[string]*definition[T]) {
	for _, key := range keysInOrder(own) {
		if d := up[key.text]; d != nil {
			c.errorf(key, "P032", "give it another name", "%q is defined on line %d of %s already", key.text, d.node.line, c.parent.reporter.file)
		}
	}
	for name, d := range up {
		if names[name] == nil {
			names[name] = d
		}
	}
}

// rules adds the rules of c's file to p; places knows those that are there.
func (c *compiler) rules(p *Policy, places map[string]string) {
	for _, n := range c.root.get("rules").each() {
		r := c.rule(n)
		if first, twice := places[r.Name]; twice && r.Name != "" {
			c.errorf(n.get("name"), "P032", "", "rule %q stands on %s already", r.Name, first)
		}
		places[r.Name] = r.place()
		p.Rules = append(p.Rules, r)
		if r.Origin != nil && !slices.Contains(p.Origins, r.Origin) {
			p.Origins = append(p.Origins, r.Origin)
		}
	}
}

// place is where a rule stands.
func (r *Rule) place() string {
	if r.File == "" {
		return fmt.Sprintf("line %d", r.Line)
	}
	return fmt.Sprintf("line %d of %s", r.Line, r.File)
}

func keysInOrder(n *node) []*node {
	if n == nil {
		return nil
	}
	var keys []*node
	for _, p := range n.pairs {
		if !p.value.bad {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// named adds the groups and lists of c's file by name, for explanations.
func (c *compiler) named(p *Policy) {
	for _, name := range slices.Sorted(maps.Keys(c.clients)) {
		if c.parent == nil || c.parent.clients[name] == nil {
			p.groups = append(p.groups, namedClients{name, &c.clients[name].made})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.hosts)) {
		if c.parent == nil || c.parent.hosts[name] == nil {
			p.lists = append(p.lists, &c.hosts[name].made)
		}
	}
}

type namedClients struct {
	name string
	set  *clientSet
}

// abs is a file named in the policy.
func (c *compiler) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	full, err := filepath.Abs(filepath.Join(c.dir, path))
	if err != nil {
		return filepath.Join(c.dir, path)
	}
	return full
}

// fingerprint is a hash of what n says, whatever the layout, and of what the
// things it names say.
func fingerprint(n *node, referred ...string) string {
	h := sha256.New()
	n.dump(func(kind nodeKind, s string) { fmt.Fprintf(h, "%d %d %s\n", kind, len(s), s) })
	for _, r := range referred {
		fmt.Fprintf(h, "%s\n", r)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (n *node) dump(emit func(nodeKind, string)) {
	emit(n.kind, n.text)
	for _, i := range n.items {
		i.dump(emit)
	}
	for _, p := range n.pairs {
		p.key.dump(emit)
		p.value.dump(emit)
	}
	emit(nullNode, "end")
}
