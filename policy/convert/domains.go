// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/policy"
)

// A Source is a file to be converted.
type Source struct {
	Name string
	Text []byte
}

// Domains makes of lists of domains, hosts files, lists of ad blockers
// (||example.com^) and lists of URLs a policy that denies what is on them. A
// line of domains or of an ad blocker is about the name and all below it, a line
// of a hosts file or a URL about the host.
func Domains(sources []Source, o Options) (*Result, error) {
	o.ListFiles = true
	d := &draft{Options: o, lists: map[string][]byte{}, names: map[string]bool{}}
	d.head = []string{"Denies what is on the lists, and whatever no rule below allows."}
	taken := unique{}
	var names, first []string
	total := 0
	for _, s := range sources {
		base := filepath.Base(s.Name)
		name := taken.name(strings.TrimSuffix(base, filepath.Ext(base)))
		entries, notes := domainEntries(s)
		d.review = append(d.review, notes...)
		if len(entries) == 0 {
			d.note(Note{File: s.Name, Message: "it has no entries: left out"})
			continue
		}
		slices.Sort(entries)
		entries = slices.Compact(entries)
		total += len(entries)
		file := "lists/" + name + ".txt"
		d.lists[file] = []byte("# from " + printable(s.Name) + "\n" + strings.Join(entries, "\n") + "\n")
		d.dests = append(d.dests, definition{name, "{file: " + file + ", match: exact}"})
		names, first = append(names, name), append(first, entries[0])
	}
	if names == nil {
		return nil, fmt.Errorf("there is not one entry in what was given")
	}
	d.rules = []rule{
		{name: d.ruleName("listed"), keys: [][2]string{{"from", "any"}, {"to", flow(names)}, {"mode", "deny"}}},
		{comments: []string{
			"REVIEW: here come the rules that allow, such as",
			"  - name: web",
			"    from: any",
			"    to: any",
			"    mode: [tunnel, originate]",
		}},
	}
	for _, e := range first {
		d.tests = append(d.tests, test{"{ip: 192.0.2.77}", "deny", "CONNECT " + hostPort(strings.TrimPrefix(e, "."))})
	}
	return d.finish()
}

func hostPort(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:443"
	}
	return host + ":443"
}

// domainEntries reads the lines of one file.
func domainEntries(s Source) (entries []string, notes []Note) {
	for i, line := range strings.Split(string(s.Text), "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == '!' || line[0] == '[' && strings.HasSuffix(line, "]") && !validEntry(strings.Trim(line, "[]")) {
			continue
		}
		if at := strings.Index(line, " #"); at >= 0 {
			line = strings.TrimSpace(line[:at])
		}
		more, why := domainLine(line)
		if why != "" {
			notes = append(notes, Note{File: s.Name, Line: i + 1, Text: printable(line), Message: why})
		}
		entries = append(entries, more...)
	}
	return entries, notes
}

// domainLine reads one line; why says what of it is left out.
func domainLine(line string) (entries []string, why string) {
	words := strings.Fields(line)
	if h, err := policy.ParseHost(words[0]); len(words) > 1 && (err == nil && h.IsAddr() || strings.Contains(words[0], "%")) { // a hosts file
		for _, w := range words[1:] {
			w = strings.ToLower(w)
			switch {
			case w == "localhost", w == "local", w == "localhost.localdomain", w == "broadcasthost", strings.HasPrefix(w, "ip6-"), w == words[0]:
			case normal(w) == "":
				why = fmt.Sprintf("%s is no host: left out", w)
			default:
				entries = append(entries, normal(w))
			}
		}
		return entries, why
	}
	word := words[0]
	switch {
	case len(words) > 1:
		return nil, "more than one word: left out"
	case strings.HasPrefix(word, "@@"):
		return nil, "an exception of an ad blocker: left out; name it under to_except in the rule"
	case strings.Contains(word, "##"), strings.Contains(word, "#@#"), strings.Contains(word, "#?#"):
		return nil, "it hides parts of pages: left out"
	case strings.HasPrefix(word, "||"):
		host, rest, _ := strings.Cut(word[2:], "^")
		if options, ok := strings.CutPrefix(rest, "$"); ok && options != "important" && options != "all" {
			return nil, "it is for some requests to the host only: left out"
		} else if rest != "" && !ok {
			return nil, "it has a path: left out"
		}
		word = "." + host
	case strings.Contains(word, "://"):
		_, rest, _ := strings.Cut(word, "://")
		host, path, _ := strings.Cut(rest, "/")
		if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
			return nil, "a URL with a port: left out; write a rule with ports"
		}
		if host = strings.Trim(host, "[]"); normal(host) == "" {
			return nil, "no host: left out"
		}
		if path != "" {
			return nil, "a URL with a path: left out; write {url: ...} under destinations"
		}
		return []string{normal(host)}, ""
	case strings.HasPrefix(word, "*."):
		word = word[1:]
	case !strings.HasPrefix(word, "."):
		word = "." + word
	}
	host := normal(strings.TrimPrefix(word, "."))
	switch {
	case host == "":
		return nil, "no host: left out"
	case strings.ContainsAny(host, ":") || isAddress(host):
		return []string{host}, ""
	}
	return []string{"." + host}, ""
}

// normal is a host in the one spelling it has in lists, "" when s is none.
func normal(s string) string {
	h, err := policy.ParseHost(strings.ToLower(s))
	if err != nil {
		return ""
	}
	return strings.Trim(h.String(), "[]")
}

func isAddress(s string) bool {
	h, err := policy.ParseHost(s)
	return err == nil && h.IsAddr()
}
