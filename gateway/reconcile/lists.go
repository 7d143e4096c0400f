// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"

	"sallyport/gateway/h1"
)

// links is down for the targets of a Link field (RFC 8288 §3): what stands in
// angle brackets outside of quoted strings. What follows the target is kept.
func (x *Exchange) links(value []byte) ([]byte, bool) {
	var out []byte
	from, changed := 0, false
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			for i++; i < len(value) && value[i] != '"'; i++ {
				if value[i] == '\\' {
					i++
				}
			}
		case '<':
			end := bytes.IndexByte(value[i:], '>')
			if end < 0 {
				i = len(value)
				break
			}
			if url, ok := x.down("GET", value[i+1:i+end]); ok {
				out = append(append(out, value[from:i+1]...), url...)
				from, changed = i+end, true
			}
			i += end
		}
	}
	return append(out, value[from:]...), changed
}

// refresh is down for the URL of a Refresh field (HTML, "shared declarative refresh
// steps"): seconds, a separator, and a URL, which url= and quotes may be around.
func (x *Exchange) refresh(value []byte) ([]byte, bool) {
	from := bytes.IndexAny(value, ";,")
	if from < 0 {
		return value, false
	}
	from = skip(value, from+1)
	if at := from + len("url"); at <= len(value) && h1.EqualFold(value[from:at], "url") {
		if at = skip(value, at); at < len(value) && value[at] == '=' {
			from = skip(value, at+1)
		}
	}
	to := len(value)
	if from < to && (value[from] == '"' || value[from] == '\'') {
		quote := value[from]
		from++
		if i := bytes.IndexByte(value[from:], quote); i >= 0 {
			to = from + i
		}
	}
	url, changed := x.down("GET", value[from:to])
	if !changed {
		return value, false
	}
	out := append(append([]byte(nil), value[:from]...), url...)
	return append(out, value[to:]...), true
}

// skip is where value goes on behind white space.
func skip(value []byte, at int) int {
	for at < len(value) && (value[at] == ' ' || value[at] == '\t') {
		at++
	}
	return at
}
