// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A listChange is what editing did to a list, in words.
type listChange struct {
	done []string // entries
	told []string // what there was to say
}

// add puts words on the list: in their place when its entries are sorted, else
// at the end.
func (t *listText) add(words []string) (c listChange, err error) {
	for _, w := range words {
		k, err := t.newKey(w)
		if err != nil {
			return c, err
		}
		if at := t.first[k]; at > 0 {
			c.told = append(c.told, fmt.Sprintf("%s is on the list already, on line %d", w, at))
			continue
		}
		if over, at := t.above(k); at > 0 {
			c.told = append(c.told, fmt.Sprintf("%s is on the list already: %s on line %d covers it", w, over, at))
			continue
		}
		t.insert(w)
		c.done = append(c.done, w)
		if under := t.below(k); len(under) > 0 {
			others := ""
			if len(under) > 1 {
				others = fmt.Sprintf(" and %d others", len(under)-1)
			}
			c.told = append(c.told, fmt.Sprintf("%s covers %s (line %d)%s, which can be removed now", w, under[0].word, under[0].line, others))
		}
	}
	return c, nil
}

// newKey reads a word that is to come on the list.
func (t *listText) newKey(word string) (listKey, error) {
	k, err := t.key(word)
	if err != nil {
		return k, fmt.Errorf("%q cannot be on a list of %s: %w", word, t.what(), err)
	}
	if t.format == "hosts" && isOwnName(word) {
		return k, fmt.Errorf("%q cannot be on a list of hosts: it is a name every machine has for itself", word)
	}
	return k, nil
}

func (t *listText) what() string {
	switch t.format {
	case "cidr":
		return "networks"
	case "urls":
		return "URLs"
	case "hosts":
		return "hosts"
	}
	return "domains"
}

// below are the entries that k covers.
func (t *listText) below(k listKey) (under []listEntry) {
	for _, e := range t.entries {
		switch {
		case e.key == k:
		case k.net.IsValid() && e.key.net.IsValid() && k.net.Bits() <= e.key.net.Bits() && k.net.Contains(e.key.net.Addr()),
			k.below && (e.key.name == k.name || strings.HasSuffix(e.key.name, "."+k.name)):
			under = append(under, e)
		}
	}
	return under
}

// insert writes a line for a word that is new.
func (t *listText) insert(word string) {
	end := "\n"
	if len(t.lines) > 0 && strings.HasSuffix(t.lines[0], "\r\n") {
		end = "\r\n"
	}
	at := len(t.lines) // lines before it
	if len(t.entries) > 1 && slices.IsSortedFunc(t.entries, func(a, b listEntry) int { return strings.Compare(a.word, b.word) }) {
		i, _ := slices.BinarySearchFunc(t.entries, word, func(e listEntry, w string) int { return strings.Compare(e.word, w) })
		if i > 0 {
			at = t.entries[i-1].line
		} else {
			at = t.entries[0].line - 1
		}
	}
	if at == len(t.lines) && at > 0 && !strings.HasSuffix(t.lines[at-1], "\n") {
		t.lines[at-1] += end
	}
	line := word + end
	if t.format == "hosts" {
		line = "0.0.0.0 " + line
	}
	t.reread(slices.Insert(t.lines, at, line))
}

// remove takes words off the list.
func (t *listText) remove(words []string) (c listChange, err error) {
	for _, w := range words {
		k, err := t.newKey(w)
		if err != nil {
			return c, err
		}
		over, at := t.above(k)
		if t.first[k] == 0 {
			if at > 0 {
				return c, fmt.Errorf("%s is not on the list by itself: %s on line %d covers it; to let it be, name it under to_except in the rule", w, over, at)
			}
			return c, fmt.Errorf("%s is not on the list", w)
		}
		lines := slices.Clone(t.lines)
		for _, e := range t.entries {
			if e.key == k {
				lines[e.line-1] = withoutWord(lines[e.line-1], e.word, t.format == "hosts")
			}
		}
		t.reread(slices.DeleteFunc(lines, func(l string) bool { return l == "" }))
		c.done = append(c.done, w)
		if over, at := t.above(k); at > 0 {
			c.told = append(c.told, fmt.Sprintf("%s is still covered by %s on line %d", w, over, at))
		}
	}
	return c, nil
}

// withoutWord is a line without a word, "" when nothing remains of it.
func withoutWord(line, word string, hosts bool) string {
	if !hosts {
		return ""
	}
	text, comment, _ := strings.Cut(line, "#")
	words := strings.Fields(text)
	rest := slices.DeleteFunc(slices.Clone(words[1:]), func(w string) bool { return w == word })
	if len(rest) == 0 {
		return ""
	}
	out := words[0] + " " + strings.Join(rest, " ")
	if len(comment) > 0 {
		return out + " #" + comment
	}
	return out + text[len(strings.TrimRight(text, "\r\n")):]
}

func (t *listText) reread(lines []string) {
	*t = *readListText([]byte(strings.Join(lines, "")), t.format, t.match)
}

func (t *listText) bytes() []byte { return []byte(strings.Join(t.lines, "")) }
