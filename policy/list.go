// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxList bounds a list file; a million names are about 18 MB.
const maxList = 256 << 20

// A listFile is a file of destinations, read once however often it is named.
type listFile struct {
	path  string // absolute
	src   []byte
	sum   [32]byte
	mtime time.Time
	err   error
	sets  map[listFormat]*hostSet
}

// A listFormat is how the lines of a list are read.
type listFormat struct{ format, match string }

// formatOf fills in what is not written.
func formatOf(format, match string) listFormat {
	if format == "" {
		format = "domains"
	}
	if match == "" {
		match = "below"
		if format == "hosts" { // a hosts file speaks of hosts
			match = "exact"
		}
	}
	return listFormat{format, match}
}

func (c *compiler) readList(path string) *listFile {
	l := &listFile{path: path, sets: make(map[listFormat]*hostSet)}
	l.src, l.mtime, l.err = c.read(path, maxList)
	l.sum = sha256.Sum256(l.src)
	return l
}

// file adds the entries of the list file that n describes to s.
func (c *compiler) file(s *hostSet, n *node) (print string) {
	at := n.get("file")
	key := at.text
	if c.parent != nil && !filepath.IsAbs(key) { // as the policy file would name it
		key = filepath.Join(filepath.Dir(c.name), key)
	}
	l := c.lists[key]
	if l == nil {
		l = c.readList(c.abs(at.text))
		c.lists[key] = l
	}
	if l.err != nil {
		c.errorf(at, "P044", "", "the list %s cannot be read: %v", at.text, bare(l.err))
		return ""
	}
	sum := hex.EncodeToString(l.sum[:])
	if want := n.get("sha256"); want != nil && !strings.EqualFold(want.text, sum) {
		c.errorf(want, "P044", "", "%s is not the file that was approved: its SHA-256 is %s", at.text, sum)
		return ""
	}
	if age := n.get("max_age"); age != nil {
		if limit, ok := c.duration(age); ok && time.Since(l.mtime) > limit {
			c.warnf(at, "L011", "", "%s is older than %s: it was last changed on %s", at.text, age.text, l.mtime.UTC().Format(time.DateOnly))
		}
	}
	if format, match := n.get("format").str(), n.get("match"); format == "urls" && match != nil {
		c.errorf(match, "P040", "", "match goes with names: a URL covers what is below its path")
		return sum
	}
	how := formatOf(n.get("format").str(), n.get("match").str())
	if l.sets[how] == nil {
		set, err := l.parse(how, c.listCache)
		if err != nil {
			c.warnf(at, "L013", "", "%s: %v", at.text, err)
		}
		c.badLines(at.text, set.listed.bad)
		l.sets[how] = set
	}
	s.lists = append(s.lists, l.sets[how])
	return sum
}

// listSets are the lists that were read from files.
func (c *compiler) listSets() (all []*hostSet) {
	for _, l := range c.lists {
		for _, s := range l.sets {
			all = append(all, s)
		}
	}
	return all
}

// badLines tells of the lines of a list that are left out. Lists come from
// elsewhere and have bad lines now and then.
func (c *compiler) badLines(name string, bad badLines) {
	if bad.Count == 0 {
		return
	}
	d := Diagnostic{
		File: filepath.Join(c.dir, name), Line: bad.Line, Col: 1, Len: bad.Len, Code: "L010",
		Severity: SeverityWarning, Msg: "a bad line is left out: " + bad.Msg, Source: bad.Source,
	}
	if bad.Count > 1 {
		d.Msg = fmt.Sprintf("%d bad lines are left out; the first: %s", bad.Count, bad.Msg)
	}
	if !slices.Contains(c.notes, d) { // the file may be read in two ways
		c.notes = append(c.notes, d)
	}
}

// parse reads the lines of l, or takes what it finds of them in the directory
// cache. The error says why a long list is not kept there; the list is read
// nevertheless.
func (l *listFile) parse(how listFormat, cache string) (*hostSet, error) {
	var (
		file   string
		set    *hostSet
		damage error
	)
	if cache != "" && len(l.src) > 2*longNames {
		file = filepath.Join(cache, compiledName(l.sum, how))
		var err error
		if set, err = openCompiled(file, l.sum, how); err == nil {
			return set, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			damage = &replacedError{err}
		}
	}
	r := listReader{listFormat: how, set: &hostSet{listed: &nameList{}}}
	r.read(view(l.src))
	names := r.set.listed
	if names.count <= longNames {
		return r.set, damage
	}
	names.compile()
	if file == "" {
		return r.set, nil
	}
	err := writeCompiled(file, l.sum, how, r.set)
	if err == nil {
		set, err = openCompiled(file, l.sum, how)
	}
	if err != nil {
		return r.set, fmt.Errorf("it is compiled at every start, because that cannot be kept in %s: %w", cache, bare(err))
	}
	return set, damage
}

// A listReader reads the lines of a list.
type listReader struct {
	listFormat
	set     *hostSet
	words   []string
	address string // the last that a line of a hosts file began with
}

// badLines are the lines of a list that say nothing.
type badLines struct {
	Count  int
	Line   int // of the first; what follows is about it
	Len    int
	Msg    string
	Source string
}

func (r *listReader) read(src string) {
	bad := &r.set.listed.bad
	for no := 1; src != ""; no++ {
		var line string
		line, src, _ = strings.Cut(src, "\n")
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		r.split(line)
		if len(r.words) == 0 {
			continue
		}
		if err := r.line(); err != nil {
			if bad.Count++; bad.Count == 1 {
				bad.Line, bad.Len, bad.Msg = no, len([]rune(strings.TrimSpace(line))), err.Error()
				bad.Source = strings.Clone(strings.TrimRight(line, "\r"))
			}
		}
	}
}

// split is strings.Fields without an allocation for each line.
func (r *listReader) split(line string) {
	r.words = r.words[:0]
	start := -1
	for i := range len(line) {
		switch c := line[i]; {
		case c >= 0x80:
			r.words = append(r.words[:0], strings.Fields(line)...)
			return
		case c == ' ' || '\t' <= c && c <= '\r':
			if start >= 0 {
				r.words = append(r.words, line[start:i])
			}
			start = -1
		case start < 0:
			start = i
		}
	}
	if start >= 0 {
		r.words = append(r.words, line[start:])
	}
}

// line reads a line that says something.
func (r *listReader) line() error {
	word := r.words[0]
	switch r.format {
	case "hosts":
		return r.hosts()
	case "cidr":
		p, err := parseNetwork(word)
		if err == nil {
			r.set.nets = append(r.set.nets, p.Masked())
		}
		return err
	}
	if len(r.words) > 1 {
		return fmt.Errorf("more than one word")
	}
	if r.format == "urls" {
		if !strings.Contains(word, "://") { // the url files of category lists have hosts with paths
			word = "http://" + word
		}
		return r.set.addURL(word)
	}
	return r.name(word)
}

func (r *listReader) name(entry string) error {
	name := strings.TrimPrefix(entry, ".")
	if !simpleName(name) {
		h, err := parsePolicyHost(name)
		if err != nil {
			return err
		}
		if h.IsAddr() {
			p, err := parseNetwork(name)
			r.set.nets = append(r.set.nets, p)
			return err
		}
		r.set.listed.add(h.Name, r.match == "below" || name != entry)
		return nil
	}
	r.set.listed.add(name, r.match == "below" || name != entry)
	return nil
}

// hosts reads a line of a hosts file: an address, which says nothing here, and
// names. The names a machine has for itself are not destinations.
func (r *listReader) hosts() error {
	words := r.words
	if words[0] != r.address {
		if h, err := ParseHost(words[0]); err != nil || !h.IsAddr() {
			if !strings.Contains(words[0], "%") { // fe80::1%lo0 localhost
				return fmt.Errorf("%q is not an address", words[0])
			}
		}
		r.address = words[0]
	}
	for _, name := range words[1:] {
		switch {
		case name == "localhost" || name == "local" || name == "localhost.localdomain" || name == "broadcasthost" || strings.HasPrefix(name, "ip6-"):
			continue
		case name == words[1] && name == words[0]: // 0.0.0.0 0.0.0.0
			continue
		}
		if err := r.name(name); err != nil {
			return err
		}
	}
	return nil
}

// simpleName reports whether s is a name that parsePolicyHost gives back as it
// is, without looking closely: of other texts, some are too.
func simpleName(s string) bool { return isNormal(s) && !strings.Contains(s, "xn--") }
