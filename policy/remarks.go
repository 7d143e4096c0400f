// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// A remarker reads the destinations that the rules of a file let through, as
// they are written, for names that may be more or other than was meant. What
// a file of a list has is not its author's.
type remarker struct {
	c     *compiler
	seen  map[*node]bool
	found []Diagnostic
}

// remarks are what Lint says about words of the file.
func (c *compiler) remarks() []Diagnostic {
	r := remarker{c: c, seen: make(map[*node]bool)}
	for _, rule := range c.root.get("rules").each() {
		if mode := rule.get("mode").each(); len(mode) != 1 || mode[0].text != Deny.String() {
			r.entries(rule.get("to"))
		}
	}
	return r.found
}

func (r *remarker) entries(n *node) {
	if n == nil || r.seen[n] {
		return
	}
	r.seen[n] = true
	for _, e := range n.each() {
		switch {
		case e.kind == mapNode:
			if v := e.get("glob"); v != nil {
				labels := strings.Split(v.text, ".")
				i := slices.IndexFunc(labels, func(l string) bool { return !strings.Contains(l, "*") })
				if i >= 0 {
					r.domain(v, strings.Join(labels[i:], "."))
				}
			}
			for _, key := range []string{"host", "glob", "url"} {
				if v := e.get(key); v != nil {
					r.likeness(v)
				}
			}
		case !strings.ContainsAny(e.text, ".:/"): // a list
			r.entries(r.c.root.get("destinations").get(e.text))
		default:
			if name, below := strings.CutPrefix(e.text, "."); below {
				r.domain(e, name)
			}
			r.likeness(e)
		}
	}
}

func (r *remarker) say(n *node, code, hint, format string, args ...any) {
	r.found = append(r.found, r.c.diagnostic(n.line, n.col, n.len, code, hint, fmt.Sprintf(format, args...)))
}

// domain says so when anybody can have a name below the domain.
func (r *remarker) domain(n *node, domain string) {
	h, err := parsePolicyHost(domain)
	if err != nil || h.IsAddr() {
		return
	}
	suffix, icann := publicsuffix.PublicSuffix(h.Name)
	if suffix == h.Name && (icann || strings.Contains(suffix, ".")) {
		r.say(n, "L040", "name the domains that are meant", "%q lets through every name below the public suffix %s, where anybody can have one", n.text, domain)
	}
}

// likeness says so when a name has letters that look like others.
func (r *remarker) likeness(n *node) {
	host := n.text
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host, _, _ = strings.Cut(rest, "/")
	}
	host = strings.TrimPrefix(host, ".")
	shown, err := idna.Punycode.ToUnicode(host)
	if err != nil || isASCII(shown) {
		return
	}
	ascii, err := idnaProfile.ToASCII(host)
	if err != nil {
		return
	}
	labels := strings.Split(shown, ".")
	for _, l := range labels {
		scripts := scriptsOf(l)
		if len(scripts) > 1 && !readTogether(scripts) {
			r.say(n, "L041", "", "%q mixes %s letters: it is %s, and may not be the host it looks like", host, strings.Join(scripts, " and "), ascii)
			return
		}
	}
	// A whole name in one foreign script is somebody's language, unless all its
	// letters have twins and the rest of the name is Latin.
	var b strings.Builder
	for _, c := range shown {
		if twin, ok := twins[c]; ok {
			c = twin
		}
		b.WriteRune(c)
	}
	if isASCII(b.String()) {
		r.say(n, "L041", "", "%q looks like %s, and is another host: %s", host, b.String(), ascii)
	}
}

// scriptsOf are the scripts of the letters of s, sorted.
func scriptsOf(s string) []string {
	var scripts []string
	for _, c := range s {
		for name, table := range unicode.Scripts {
			if name != "Common" && name != "Inherited" && unicode.Is(table, c) && !slices.Contains(scripts, name) {
				scripts = append(scripts, name)
			}
		}
	}
	slices.Sort(scripts)
	return scripts
}

// readTogether reports whether scripts are written together in some language:
// Japanese, Chinese and Korean, each with Latin (UTS 39 §5.2, highly
// restrictive).
func readTogether(scripts []string) bool {
	for _, group := range [][]string{{"Han", "Hiragana", "Katakana"}, {"Bopomofo", "Han"}, {"Han", "Hangul"}} {
		if !slices.ContainsFunc(scripts, func(s string) bool { return s != "Latin" && !slices.Contains(group, s) }) {
			return true
		}
	}
	return false
}

// twins are letters that cannot be told from a Latin one (UTS 39 §4, the
// exact ones).
var twins = map[rune]rune{
	'а': 'a', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'һ': 'h', 'і': 'i', 'ј': 'j', 'ӏ': 'l', 'о': 'o', 'р': 'p', 'ԛ': 'q', 'ѕ': 's',
	'у': 'y', 'ү': 'y', 'ѵ': 'v', 'ԝ': 'w', 'х': 'x', // Cyrillic
	'α': 'a', 'ο': 'o', 'ν': 'v', 'ι': 'i', 'ρ': 'p', 'ϲ': 'c', 'ϳ': 'j', // Greek
	'օ': 'o', 'ո': 'n', 'հ': 'h', 'ց': 'g', 'զ': 'q', 'ս': 'u', // Armenian
}
