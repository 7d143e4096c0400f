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
	clients   map[string]*definition[clientSet]
	hosts     map[string]*definition[hostSet]
	origins   map[string]*definition[Origin]
	schedules map[string]*definition[schedule]
	limits    map[string]*definition[struct{}]
	lists     map[string]*listFile // by path as written
	notes     []Diagnostic         // about list files
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
	c.clients = definitions[clientSet](root.get("clients"))
	c.hosts = definitions[hostSet](root.get("destinations"))
	c.origins = definitions[Origin](root.get("origins"))
	c.schedules = definitions[schedule](root.get("schedules"))
	c.limits = definitions[struct{}](root.get("limits"))
	c.lists = make(map[string]*listFile)

	if v := root.get("version"); v != nil && v.text != "1" {
		c.errorf(v, "P026", "write version: 1", "version %s is not known to this program", v.text)
	}
	// Definitions nobody refers to are checked as well.
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

	p := &Policy{}
	lines := make(map[string]int)
	for _, n := range root.get("rules").each() {
		r := c.rule(n)
		if first, twice := lines[r.Name]; twice && r.Name != "" {
			c.errorf(n.get("name"), "P032", "", "rule %q stands on line %d already", r.Name, first)
		}
		lines[r.Name] = r.Line
		p.Rules = append(p.Rules, r)
		if r.Origin != nil && !slices.Contains(p.Origins, r.Origin) {
			p.Origins = append(p.Origins, r.Origin)
		}
	}
	for _, name := range keysInOrder(root.get("origins")) {
		if o := &c.origins[name.text].made; !slices.Contains(p.Origins, o) {
			p.Origins = append(p.Origins, o)
		}
	}
	slices.SortFunc(p.Origins, func(a, b *Origin) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range root.get("tests").each() {
		c.test(p, n)
	}
	p.groups, p.lists = c.named()
	return p
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

// named are the groups and lists by name, for explanations.
func (c *compiler) named() (groups []namedClients, lists []*hostSet) {
	for _, name := range slices.Sorted(maps.Keys(c.clients)) {
		groups = append(groups, namedClients{name, &c.clients[name].made})
	}
	for _, name := range slices.Sorted(maps.Keys(c.hosts)) {
		lists = append(lists, &c.hosts[name].made)
	}
	return groups, lists
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
