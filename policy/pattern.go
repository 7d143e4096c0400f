// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A pathPattern is an entry of paths: a canonical path whose segments may hold
// stars.
type pathPattern struct {
	segments []string
	below    bool // ended in /**
}

// parsePattern reads a pattern as a person writes it: international
// characters are escaped as a client would, the rest is brought to the
// canonical form of CleanPath, with which it will be compared.
func parsePattern(s string) (pathPattern, error) {
	if strings.ContainsAny(s, "?#") {
		return pathPattern{}, errors.New("paths are compared without query and fragment")
	}
	var b strings.Builder
	for _, c := range s {
		if c < utf8.RuneSelf {
			b.WriteRune(c)
			continue
		}
		for _, octet := range []byte(string(c)) {
			fmt.Fprintf(&b, "%%%02X", octet)
		}
	}
	if s == "" || s[0] != '/' {
		return pathPattern{}, errPathRelative
	}
	clean, err := CleanPath(b.String())
	if err != nil {
		return pathPattern{}, err
	}
	var p pathPattern
	clean, p.below = strings.CutSuffix(clean, "/**")
	if strings.Contains(clean, "**") {
		return pathPattern{}, errors.New("** stands only at the end, as /**")
	}
	if clean != "" {
		p.segments = strings.Split(clean[1:], "/")
	}
	return p, nil
}

// has reports whether a canonical path is the pattern's, or below it. What is
// below /dir is /dir itself too, as .example.com is example.com too.
func (p *pathPattern) has(path string) bool {
	rest, more := strings.CutPrefix(path, "/")
	for _, pattern := range p.segments {
		if !more {
			return false
		}
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if pattern == "*" && segment == "" || !starMatch(pattern, segment) {
			return false
		}
	}
	return p.below || !more
}

// A pathSet is the OR of patterns.
type pathSet []pathPattern

func (s pathSet) has(path string) bool {
	for i := range s {
		if s[i].has(path) {
			return true
		}
	}
	return false
}

// holds judges a canonical path. Many servers read // as /, many do not, and
// the gateway cannot know which this one is: what denies must match by either
// reading, what allows by both.
func (s pathSet) holds(path string, deny bool) bool {
	ok := s.has(path)
	if !strings.Contains(path, "//") {
		return ok
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if deny {
		return ok || s.has(path)
	}
	return ok && s.has(path)
}
