// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A listText is a list file as people see it: lines, with comments, in an
// order. How the gateway sees it is a matter of hostSet.
type listText struct {
	format, match string
	lines         []string // with their ends
	entries       []listEntry
	first         map[listKey]int // line an entry stands on first, from 1
	bad           int
	badNotes      []Diagnostic
}

// A listEntry is a word of a list.
type listEntry struct {
	key  listKey
	word string
	line int // from 1
}

// A listKey is what an entry says, however it is written.
type listKey struct {
	name  string // of a host, or a whole URL
	below bool
	net   netip.Prefix
}

func readListText(src []byte, format, match string) *listText {
	t := &listText{format: format, match: match, first: make(map[listKey]int)}
	t.lines = strings.SplitAfter(string(src), "\n")
	if t.lines[len(t.lines)-1] == "" {
		t.lines = t.lines[:len(t.lines)-1]
	}
	for i, line := range t.lines {
		if err := t.line(i+1, line); err != nil {
			t.bad++
			text, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "#")
			t.badNotes = append(t.badNotes, Diagnostic{
				Line: i + 1, Col: 1, Len: len([]rune(strings.TrimSpace(text))), Code: "L010", Severity: SeverityWarning,
				Msg: "a bad line is left out: " + err.Error(), Source: text,
			})
		}
	}
	return t
}

// line reads one line. What stands before an error counts.
func (t *listText) line(no int, line string) error {
	words := listWords(line)
	if len(words) == 0 {
		return nil
	}
	switch t.format {
	case "hosts":
		if h, err := ParseHost(words[0]); (err != nil || !h.IsAddr()) && !strings.Contains(words[0], "%") {
			return fmt.Errorf("%q is not an address", words[0])
		}
		for i, w := range words[1:] {
			if isOwnName(w) || i == 0 && w == words[0] {
				continue
			}
			if err := t.entry(no, w); err != nil {
				return err
			}
		}
		return nil
	case "cidr": // what follows a network is a remark
	default:
		if len(words) > 1 {
			return errors.New("more than one word")
		}
	}
	return t.entry(no, words[0])
}

func listWords(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	return strings.Fields(line)
}

// isOwnName reports whether name is one that a machine has for itself in its
// hosts file.
func isOwnName(name string) bool {
	return name == "localhost" || name == "local" || name == "localhost.localdomain" || name == "broadcasthost" || strings.HasPrefix(name, "ip6-")
}

func (t *listText) entry(no int, word string) error {
	k, err := t.key(word)
	if err != nil {
		return err
	}
	t.entries = append(t.entries, listEntry{k, word, no})
	if t.first[k] == 0 {
		t.first[k] = no
	}
	return nil
}

// key is what a word says on such a list, or why it says nothing.
func (t *listText) key(word string) (listKey, error) {
	switch t.format {
	case "cidr":
		p, err := parseNetwork(word)
		return listKey{net: p.Masked()}, err
	case "urls":
		if !strings.Contains(word, "://") {
			word = "http://" + word
		}
		h, u, _, err := parseURL(word)
		return listKey{name: fmt.Sprintf("%s:%d%v", h, u.port, u.path)}, err
	}
	name := strings.TrimPrefix(word, ".")
	h, err := parsePolicyHost(name)
	if err != nil {
		return listKey{}, err
	}
	if h.IsAddr() {
		p, err := parseNetwork(name)
		return listKey{net: p}, err
	}
	return listKey{name: h.Name, below: t.match == "below" || name != word}, nil
}

// above is another entry that says what k says, and its line; 0 when there is
// none.
func (t *listText) above(k listKey) (entry string, line int) {
	if k.net.IsValid() {
		for bits := range k.net.Bits() {
			p := netip.PrefixFrom(k.net.Addr(), bits).Masked()
			if line := t.first[listKey{net: p}]; line > 0 {
				return p.String(), line
			}
		}
		return "", 0
	}
	if t.format == "urls" {
		return "", 0
	}
	for name := k.name; name != ""; {
		over := listKey{name: name, below: true}
		if line := t.first[over]; line > 0 && over != k {
			return name, line
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return "", 0
}

// notes are the bad lines, and the entries that say nothing new.
func (t *listText) notes(file string) []Diagnostic {
	notes := slices.Clone(t.badNotes)
	say := func(e listEntry, format string, args ...any) {
		line := strings.TrimRight(t.lines[e.line-1], "\r\n")
		notes = append(notes, Diagnostic{
			Line: e.line, Col: 1 + len([]rune(line[:max(0, strings.Index(line, e.word))])), Len: len([]rune(e.word)), Code: "L014",
			Severity: SeverityWarning, Msg: fmt.Sprintf(format, args...), Source: line,
		})
	}
	for _, e := range t.entries {
		if at := t.first[e.key]; at != e.line {
			say(e, "%s is on line %d already", e.word, at)
		} else if over, at := t.above(e.key); at > 0 {
			say(e, "%s is covered by %s on line %d", e.word, over, at)
		}
	}
	for i := range notes {
		notes[i].File = file
	}
	slices.SortStableFunc(notes, func(a, b Diagnostic) int { return cmp.Compare(a.Line, b.Line) })
	return notes
}
