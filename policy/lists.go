// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A List is what a policy has under one name of its destinations.
type List struct {
	Name    string     `json:"name"`
	Policy  string     `json:"policy"` // the file that defines it
	Line    int        `json:"line"`
	Entries int        `json:"entries"`         // that stand in the policy itself
	Lists   []string   `json:"lists,omitempty"` // other lists in it
	Files   []ListFile `json:"files,omitempty"`
	Rules   []string   `json:"rules"` // that are about it, by its name or by a list it is in
}

// A ListFile is a file of entries.
type ListFile struct {
	File    string    `json:"file"` // as the policy names it
	Path    string    `json:"path"` // absolute
	Line    int       `json:"line"` // of the policy
	Format  string    `json:"format"`
	Match   string    `json:"match,omitempty"` // "" for networks and URLs
	Entries int       `json:"entries"`
	Bad     int       `json:"bad_lines"` // that are left out
	SHA256  string    `json:"sha256"`
	Pinned  bool      `json:"pinned"` // any other content is refused
	Changed time.Time `json:"changed"`
	MaxAge  string    `json:"max_age,omitempty"` // as written; "" when it may be of any age
	Old     bool      `json:"old"`               // older than MaxAge

	Notes []Diagnostic `json:"-"` // bad lines and what is on the list twice, by line
}

// ReadLists are the lists of the policy at path, which must load, in the order
// of the file, then those of the files it includes. Every file is read by read.
func ReadLists(path string, read Reader) ([]List, error) {
	files, err := policyTexts(path, read)
	if err != nil {
		return nil, err
	}
	var lists []List
	for _, f := range files {
		if n := f.tree.get("destinations"); n != nil {
			for _, p := range n.pairs {
				l, err := f.list(p, read)
				if err != nil {
					return nil, err
				}
				l.Rules = []string{}
				for _, g := range files {
					if g == f || f == files[0] { // names of an included file are its own
						l.Rules = append(l.Rules, g.users(p.key.text, files)...)
					}
				}
				lists = append(lists, l)
			}
		}
	}
	return lists, nil
}

// A policyText is a file of a policy that loads.
type policyText struct {
	shown string // in messages
	path  string // absolute
	src   []byte
	tree  *node
}

// policyTexts are the policy file at path, which must load, and those it
// includes.
func policyTexts(path string, read Reader) ([]*policyText, error) {
	if _, err := LoadWith(path, read); err != nil {
		return nil, err
	}
	main, err := readPolicyText(path, read)
	if err != nil {
		return nil, err
	}
	files := []*policyText{main}
	for _, n := range main.tree.get("include").each() {
		f, err := readPolicyText(main.beside(n.get("file").str()), read)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func readPolicyText(path string, read Reader) (*policyText, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	src, _, err := read(full, maxFile)
	if err != nil {
		return nil, unreadable(path, err)
	}
	f := &policyText{shown: path, path: full, src: src}
	text := bytes.TrimPrefix(src, []byte("\ufeff"))
	r := newReporter(path, text)
	if f.tree = r.parseYAML(text); f.tree == nil || r.failed() { // it was changed between two looks
		return nil, &Error{byPlace(r.found)}
	}
	return f, nil
}

// beside is a file that f names, as it is shown.
func (f *policyText) beside(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(f.shown), name)
}

func (f *policyText) list(p pair, read Reader) (List, error) {
	l := List{Name: p.key.text, Policy: f.shown, Line: p.key.line}
	for _, n := range p.value.each() {
		switch {
		case n.has("file"):
			file, err := f.listFile(n, read)
			if err != nil {
				return l, err
			}
			l.Files = append(l.Files, file)
		case isListName(n):
			l.Lists = append(l.Lists, n.text)
		default:
			l.Entries++
		}
	}
	return l, nil
}

// isListName reports whether a destination is the name of a list.
func isListName(n *node) bool {
	return n.kind != mapNode && !strings.ContainsAny(n.text, ".:/") && n.text != "any"
}

func (f *policyText) listFile(n *node, read Reader) (ListFile, error) {
	l := ListFile{File: n.get("file").text, Line: n.line, Pinned: n.has("sha256"), MaxAge: n.get("max_age").str()}
	l.Format, l.Match = listReading(n)
	full, err := filepath.Abs(f.beside(l.File))
	if err != nil {
		return l, err
	}
	l.Path = full
	src, changed, err := read(full, maxList)
	if err != nil {
		return l, unreadable(l.File, err)
	}
	sum := sha256.Sum256(src)
	l.SHA256, l.Changed = hex.EncodeToString(sum[:]), changed
	if limit, err := parseDuration(l.MaxAge); err == nil && limit > 0 {
		l.Old = time.Since(changed) > limit
	}
	text := readListText(src, l.Format, l.Match)
	l.Entries, l.Bad = len(text.first), text.bad
	l.Notes = text.notes(f.beside(l.File))
	return l, nil
}

// listReading is how the lines of the file that n names are read.
func listReading(n *node) (format, match string) {
	format, match = n.get("format").str(), n.get("match").str()
	switch {
	case format == "":
		format = "domains"
	case format == "cidr" || format == "urls":
		return format, ""
	}
	if match == "" {
		match = "below"
		if format == "hosts" {
			match = "exact"
		}
	}
	return format, match
}

// users are the rules of f that are about a list.
func (f *policyText) users(name string, files []*policyText) []string {
	names := map[string]bool{name: true}
	for grown := true; grown; { // lists that have it in them
		grown = false
		for _, g := range files {
			d := g.tree.get("destinations")
			if d == nil {
				continue
			}
			for _, p := range d.pairs {
				has := slices.ContainsFunc(p.value.each(), func(n *node) bool { return isListName(n) && names[n.text] })
				if has && !names[p.key.text] {
					names[p.key.text], grown = true, true
				}
			}
		}
	}
	var rules []string
	for _, r := range f.tree.get("rules").each() {
		for _, key := range []string{"to", "to_except"} {
			if slices.ContainsFunc(r.get(key).each(), func(n *node) bool { return isListName(n) && names[n.text] }) {
				rules = append(rules, r.get("name").str())
				break
			}
		}
	}
	return rules
}

// listNames are the names of destinations in the files.
func listNames(files []*policyText) []string {
	names := make(map[string]bool)
	for _, f := range files {
		for _, k := range keysInOrder(f.tree.get("destinations")) {
			names[k.text] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
