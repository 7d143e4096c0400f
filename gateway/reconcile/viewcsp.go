// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"slices"
	"strings"

	"sallyport/gateway/h1"
)

// contentPolicy is the value of a Content-Security-Policy field as the client has to
// have it. An empty result is none.
func (x *Exchange) contentPolicy(value []byte) (out []byte, changed bool) {
	if x.Plain {
		value, changed = contentPolicy(value)
	}
	if x.View == nil {
		return value, changed
	}
	policies := bytes.Split(value, []byte{','})
	for i, one := range policies {
		directives := bytes.Split(one, []byte{';'})
		for n, directive := range directives {
			name := bytes.TrimLeft(directive, space)
			end := bytes.IndexAny(name, space)
			if end < 0 || !listsSources(name[:end]) {
				continue
			}
			if added := x.viewSources(name[end:]); len(added) > 0 {
				directives[n] = append(bytes.TrimRight(bytes.Clone(directive), space), added...)
				changed = true
			}
		}
		policies[i] = bytes.Join(directives, []byte{';'})
	}
	return bytes.Join(policies, []byte{','}), changed
}

// viewSources are, with a space in front of each, where the client has what sources
// name. Those stay: a page may be taken to the origin itself.
func (x *Exchange) viewSources(sources []byte) (added []byte) {
	var have []string
	for _, source := range bytes.Fields(sources) {
		scheme, rest, ok := strings.Cut(string(source), "://")
		if !ok {
			scheme, rest = "https", scheme
		}
		socket := h1.EqualFold([]byte(scheme), "wss") || h1.EqualFold([]byte(scheme), "ws")
		if !socket && !h1.EqualFold([]byte(scheme), "https") && !h1.EqualFold([]byte(scheme), "http") {
			continue
		}
		l, ok := readLink([]byte(https + rest))
		if !ok || bytes.ContainsAny(l.rest, "?#") {
			continue
		}
		path := ""
		if len(l.rest) > 0 {
			path = asked(l.rest)
		}
		for _, url := range x.View.Parts(string(l.host), l.port, path) {
			if socket {
				url = "ws" + strings.TrimPrefix(url, "http") // with the s that it may have
			}
			url = asSource.Replace(url)
			if !slices.Contains(have, url) {
				have = append(have, url)
				added = append(append(added, ' '), url...)
			}
		}
	}
	return added
}

// asSource writes what ends a source in one (CSP level 3 §2.3.1).
var asSource = strings.NewReplacer(";", "%3B", ",", "%2C")
