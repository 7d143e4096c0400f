// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	sets  map[string]*hostSet // by format and match
}

func (c *compiler) readList(path string) *listFile {
	l := &listFile{path: path, sets: make(map[string]*hostSet)}
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
	format, match := n.get("format").str(), n.get("match").str()
	if format == "urls" && match != "" {
		c.errorf(n.get("match"), "P040", "", "match goes with names: a URL covers what is below its path")
		return sum
	}
	if format == "" {
		format = "domains"
	}
	if match == "" {
		match = "below"
		if format == "hosts" { // a hosts file speaks of hosts
			match = "exact"
		}
	}
	set := l.sets[format+match]
	if set == nil {
		set = c.parseList(l, at.text, format, match)
		l.sets[format+match] = set
	}
	s.lists = append(s.lists, set)
	return sum
}

// parseList reads the lines of a list. Lists come from elsewhere and have bad
// lines now and then; those are left out and told about.
func (c *compiler) parseList(l *listFile, name, format, match string) *hostSet {
	s := &hostSet{}
	bad, first := 0, Diagnostic{}
	no := 0
	for line := range strings.SplitSeq(string(l.src), "\n") {
		no++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var err error
		switch format {
		case "domains":
			if len(words) > 1 {
				err = fmt.Errorf("more than one word")
				break
			}
			err = s.addListed(words[0], match)
		case "hosts":
			err = s.addHosts(words, match)
		case "urls":
			if len(words) > 1 {
				err = fmt.Errorf("more than one word")
				break
			}
			url := words[0]
			if !strings.Contains(url, "://") { // the url files of category lists have hosts with paths
				url = "http://" + url
			}
			err = s.addURL(url)
		case "cidr":
			p, e := parseNetwork(words[0])
			if err = e; err == nil {
				s.nets = append(s.nets, p.Masked())
			}
		}
		if err != nil {
			if bad++; bad == 1 {
				first = Diagnostic{
					File: filepath.Join(c.dir, name), Line: no, Col: 1, Len: len([]rune(strings.TrimSpace(line))), Code: "L010",
					Severity: SeverityWarning, Msg: err.Error(), Source: strings.TrimRight(line, "\r"),
				}
			}
		}
	}
	if bad > 0 {
		first.Msg = fmt.Sprintf("%d bad lines are left out; the first: %s", bad, first.Msg)
		if bad == 1 {
			first.Msg = "a bad line is left out: " + strings.TrimPrefix(first.Msg, "1 bad lines are left out; the first: ")
		}
		if !slices.Contains(c.notes, first) { // the file may be read in two ways
			c.notes = append(c.notes, first)
		}
	}
	return s
}

func (s *hostSet) addListed(entry, match string) error {
	name := strings.TrimPrefix(entry, ".")
	h, err := parsePolicyHost(name)
	if err != nil {
		return err
	}
	switch {
	case h.IsAddr():
		p, err := parseNetwork(name)
		s.nets = append(s.nets, p)
		return err
	case match == "exact" && name == entry:
		s.exact = s.add(s.exact, h.Name)
	default:
		s.below = s.add(s.below, h.Name)
	}
	return nil
}

// addHosts reads a line of a hosts file: an address, which says nothing here,
// and names. The names a machine has for itself are not destinations.
func (s *hostSet) addHosts(words []string, match string) error {
	if h, err := ParseHost(words[0]); err != nil || !h.IsAddr() {
		if !strings.Contains(words[0], "%") { // fe80::1%lo0 localhost
			return fmt.Errorf("%q is not an address", words[0])
		}
	}
	for _, name := range words[1:] {
		switch {
		case name == "localhost" || name == "local" || name == "localhost.localdomain" || name == "broadcasthost" || strings.HasPrefix(name, "ip6-"):
			continue
		case name == words[1] && name == words[0]: // 0.0.0.0 0.0.0.0
			continue
		}
		if err := s.addListed(name, match); err != nil {
			return err
		}
	}
	return nil
}
