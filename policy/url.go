// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"slices"
	"strings"
)

// A urlPrefix is a path of one host with everything below it, segment by
// segment. Its scheme says nothing: the same page is asked for as http:// by one
// client and as https:// by the next.
type urlPrefix struct {
	port uint16 // 0: any that the rule has
	path pathSet
}

// parseURL reads a url entry. whole says that the path is the host's root, so
// that the entry is about the host and nobody has to see the request.
func parseURL(s string) (h Host, u urlPrefix, whole bool, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if scheme = strings.ToLower(scheme); !ok || scheme != "http" && scheme != "https" {
		return h, u, false, errors.New("a URL begins with http:// or https://")
	}
	switch {
	case strings.ContainsAny(rest, "?#"):
		return h, u, false, errors.New("URLs are compared without query and fragment")
	case strings.Contains(rest, "*"):
		return h, u, false, errors.New("a URL has no stars: it covers everything below its path")
	}
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return h, u, false, errors.New("a URL with a user name is not a destination")
	}
	host, digits, port := authority, "", false
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, digits, port = authority[:i], authority[i+1:], true
	}
	if h, err = parsePolicyHost(host); err != nil {
		return h, u, false, err
	}
	if port {
		if u.port, err = parsePort(digits); err != nil {
			return h, u, false, err
		}
	}
	p, err := parsePattern("/" + path)
	if err != nil {
		return h, u, false, err
	}
	if n := len(p.segments); n > 0 && p.segments[n-1] == "" { // /dir/ is the directory, as /dir/** is
		p.segments = p.segments[:n-1]
	}
	p.below = true
	u.path = pathSet{p}
	return h, u, len(p.segments) == 0 && u.port == 0, nil
}

// addURL adds the entry s.
func (s *hostSet) addURL(text string) error {
	h, u, whole, err := parseURL(text)
	switch {
	case err != nil:
		return err
	case whole && h.IsAddr():
		p, err := parseNetwork(h.String())
		s.nets = append(s.nets, p)
		return err
	case whole:
		s.exact = s.add(s.exact, h.Name)
		return nil
	}
	if s.urls == nil {
		s.urls = make(map[Host][]urlPrefix)
	}
	s.urls[h] = append(s.urls[h], u)
	return nil
}

// hasURLs reports whether s has URLs of the host, and so may depend on the path.
func (s *hostSet) hasURLs(h Host) bool {
	if len(s.urls[h]) > 0 {
		return true
	}
	for _, l := range s.lists {
		if l.hasURLs(h) {
			return true
		}
	}
	return false
}

// hasPaths reports whether s has URLs at all.
func (s *hostSet) hasPaths() bool {
	return len(s.urls) > 0 || slices.ContainsFunc(s.lists, (*hostSet).hasPaths)
}

// coversURL reports whether one of the URLs of s covers a request that can be
// seen. Like paths, a // is read either way when either must do.
func (s *hostSet) coversURL(q *Query, path string, either bool) bool {
	for _, u := range s.urls[q.Host] {
		if (u.port == 0 || u.port == q.Port || u.port == originPort(q)) && u.path.holds(path, either) {
			return true
		}
	}
	for _, l := range s.lists {
		if l.coversURL(q, path, either) {
			return true
		}
	}
	return false
}

// urlsHold judges the URLs in to and to_except, for a host that to has by its
// name or by a URL.
func (r *Rule) urlsHold(w *walk) verdict {
	q := &w.q
	need := !r.to.has(q.Host) // by a URL only
	except := r.toExcept.hasURLs(q.Host)
	if !need && !except {
		return yes
	}
	if q.Kind == Connect {
		return r.unseen(q)
	}
	path, err := w.cleanPath()
	if err != nil {
		return no // the walk refuses the request for its path
	}
	return verdictOf((!need || r.to.coversURL(q, path, r.denies())) && !(except && r.toExcept.coversURL(q, path, !r.denies())))
}
