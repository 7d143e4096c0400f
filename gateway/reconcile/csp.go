// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"

	"sallyport/gateway/h1"
)

// contentPolicy is the value of a Content-Security-Policy field (CSP level 3 §2.2, §4.1),
// which may have several of them, for a page that is http to its reader. An empty result
// is none.
func contentPolicy(value []byte) (out []byte, changed bool) {
	for n, one := range bytes.Split(value, []byte{','}) {
		fit, different := onePolicy(one)
		changed = changed || different
		if different && len(fit) == 0 {
			continue
		}
		if n > 0 && len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, fit...)
	}
	return bytes.TrimLeft(out, space), changed
}

// space is what CSP takes for it (§2.2.1). In fields there are two of these.
const space = " \t\n\f\r"

// onePolicy is a policy for a page that is http to its reader: what would turn its links
// into https ones is taken out, and where https is allowed http is, too. Nothing is
// taken out that is a restriction beyond the scheme, and no host is added. A policy
// that says nothing any more is empty.
func onePolicy(one []byte) (out []byte, changed bool) {
	var kept [][]byte
	had := false
	for directive := range bytes.SplitSeq(one, []byte{';'}) {
		name, sources := bytes.TrimLeft(directive, space), []byte(nil)
		if end := bytes.IndexAny(name, space); end >= 0 {
			name, sources = name[:end], name[end:]
		}
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
	if !changed {
		return one, false
	}
	out = bytes.Join(kept, []byte{';'})
	if had && len(bytes.Trim(out, space+";")) == 0 {
		return nil, true
	}
	return out, true
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
				out, changed = bytes.TrimRight(bytes.Clone(directive), space), true
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
