// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"

	"sallyport/gateway/h1"
)

// contentPolicy is a Content-Security-Policy (CSP level 3 §2.2, §4.1) for a page that
// is http to its reader: what would turn its links into https ones is taken out,
// and where https is allowed http is, too. Nothing is taken out that is a
// restriction beyond the scheme, and no host is added. An empty result is none.
func contentPolicy(value []byte) (out []byte, changed bool) {
	for n, one := range bytes.Split(value, []byte{','}) { // several policies in one field
		var kept [][]byte
		had := false
		for _, directive := range bytes.Split(one, []byte{';'}) {
			name, sources, _ := bytes.Cut(bytes.TrimLeft(directive, " \t"), []byte{' '})
			name = bytes.TrimRight(name, " \t")
			had = had || len(name) > 0
			switch {
			case h1.EqualFold(name, "upgrade-insecure-requests"), h1.EqualFold(name, "block-all-mixed-content"):
				changed = true
				continue
			case listsSources(name):
				if wider, ok := withPlain(directive, sources); ok {
					directive, changed = wider, true
				}
			}
			kept = append(kept, directive)
		}
		one = bytes.Join(kept, []byte{';'})
		if had && len(bytes.Trim(one, " \t;")) == 0 {
			continue
		}
		if n > 0 && len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, one...)
	}
	return bytes.TrimLeft(out, " \t"), changed
}

// listsSources reports whether a directive's value is a list of sources.
func listsSources(name []byte) bool {
	n := lower(name)
	for _, suffix := range []string{"-src", "-src-elem", "-src-attr"} {
		if len(n) > len(suffix) && n[len(n)-len(suffix):] == suffix {
			return true
		}
	}
	return n == "form-action" || n == "frame-ancestors" || n == "base-uri" || n == "navigate-to"
}

// plainSources are what means the same without TLS.
var plainSources = []struct{ secure, plain string }{{"https:", "http:"}, {"wss:", "ws:"}}

// withPlain is a directive with a source without TLS for each of its sources that
// is with TLS only.
func withPlain(directive, sources []byte) ([]byte, bool) {
	out, changed := directive, false
	for _, source := range bytes.Fields(sources) {
		for _, s := range plainSources {
			if len(source) < len(s.secure) || !h1.EqualFold(source[:len(s.secure)], s.secure) {
				continue
			}
			rest := source[len(s.secure):]
			if len(rest) > 0 {
				if rest = plainHost(rest); rest == nil {
					continue
				}
			}
			if !changed {
				out, changed = bytes.TrimRight(bytes.Clone(directive), " \t"), true
			}
			out = append(append(append(out, ' '), s.plain...), rest...)
		}
	}
	return out, changed
}

// plainHost is //host[:port][/path] of a source as the client names it; nil when
// there is no such name.
func plainHost(rest []byte) []byte {
	host, ok := bytes.CutPrefix(rest, []byte("//"))
	if !ok {
		return nil
	}
	end := bytes.IndexByte(host, '/')
	if end < 0 {
		end = len(host)
	}
	host, path := host[:end], host[end:]
	if bare, ok := bytes.CutSuffix(host, []byte(":443")); ok {
		host = bare
	} else if bytes.HasSuffix(host, []byte(":80")) {
		return nil
	}
	return append(append([]byte("//"), host...), path...)
}
