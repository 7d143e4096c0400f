// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"slices"
)

// A Body makes the absolute https links in a text into http ones that mean the same,
// as its bytes go by: where the policy says so, the s is left out, and nothing else is
// touched. It knows no grammar: a link begins where no word or URL is going on already,
// and ends at a quote, a bracket, white space or a control character, in JSON also
// with its slashes escaped. It holds back a possible link until it knows, up to
// longestLink bytes; longer ones stay as they are. How the text comes in pieces makes
// no difference.
type Body struct {
	Policy  Policy
	Changed bool // a link was

	held   []byte // begins like a link
	prefix int    // bytes of held up to the authority; 0: not come there yet
	word   bool   // the byte before is one of a word, and so no link begins
	inside bool   // of what looks like a URL, and none begins until that ends
}

const longestLink = 4 << 10

// Write appends to out what in makes certain of.
func (b *Body) Write(out, in []byte) []byte {
	for len(in) > 0 {
		if len(b.held) == 0 {
			n := b.pass(in)
			out, in = append(out, in[:n]...), in[n:]
			if len(in) == 0 {
				return out
			}
		}
		c := in[0]
		in = in[1:]
		out = b.hold(out, c)
	}
	return out
}

// End appends to out what was held back.
func (b *Body) End(out []byte) []byte {
	if b.prefix > 0 {
		b.decide(len(b.held))
	}
	out = append(out, b.held...)
	b.held, b.prefix, b.inside, b.word = b.held[:0], 0, false, false
	return out
}

// pass is how many bytes of in come before a possible link.
func (b *Body) pass(in []byte) int {
	for i, c := range in {
		if b.begins(c) {
			return i
		}
		b.goBy(c)
	}
	return len(in)
}

// begins reports whether a link may begin with c.
func (b *Body) begins(c byte) bool { return c|0x20 == 'h' && !b.word && !b.inside }

// goBy notes what c says about what follows.
func (b *Body) goBy(c byte) {
	k := kinds[c]
	b.word = k == word
	b.inside = k != ends && (b.inside || k == urlish)
}

// hold takes in one more byte of what may be a link.
func (b *Body) hold(out []byte, c byte) []byte {
	b.held = append(b.held, c)
	if b.prefix == 0 {
		n, secure, partial := linkPrefix(b.held)
		switch {
		case partial:
			return out
		case n > 0 && secure:
			b.prefix = n
			return out
		case n > 0: // an http one, in which none begins
			return b.release(out, c, true)
		}
		// No link, but c may begin one.
		none := b.held[:len(b.held)-1]
		for _, c := range none {
			b.goBy(c)
		}
		out, b.held = append(out, none...), b.held[:0]
		if b.begins(c) {
			b.held = append(b.held, c)
			return out
		}
		b.goBy(c)
		return append(out, c)
	}
	switch {
	case kinds[c] == ends || c == '?' || c == '#' || c == '&':
		b.decide(len(b.held) - 1)
		return b.release(out, c, true)
	case len(b.held) > longestLink:
		return b.release(out, c, true)
	}
	return out
}

// release appends to out what was held, the last byte of which is c.
func (b *Body) release(out []byte, c byte, inside bool) []byte {
	out = append(out, b.held...)
	b.held, b.prefix = b.held[:0], 0
	b.inside = inside
	b.goBy(c)
	return out
}

// decide takes the s out of the link that is held, up to n bytes, when it is one that
// the client reaches by http.
func (b *Body) decide(n int) {
	written := b.held[b.prefix:n]
	url := make([]byte, 0, len(https)+len(written))
	url = append(url, https...)
	for i, c := range written {
		if c == '\\' {
			if i+1 == len(written) || written[i+1] != '/' { // a slash to some
				return
			}
			continue
		}
		url = append(url, c)
	}
	l, ok := readLink(url)
	if !ok || l.port == 80 || !b.Policy.Originates("GET", asked(slices.Delete(url, 4, 5)), l.port) {
		return
	}
	b.held = slices.Delete(b.held, 4, 5)
	b.Changed = true
}

// linkPrefix reads http:// and https://, in any case, the slashes escaped or not. n
// is its length when it is there, 0 when it is not; partial that it may come.
func linkPrefix(b []byte) (n int, secure, partial bool) {
	for i, want := range []byte("http") {
		if i == len(b) {
			return 0, false, true
		}
		if b[i]|0x20 != want {
			return 0, false, false
		}
	}
	rest := b[4:]
	if len(rest) > 0 && rest[0]|0x20 == 's' {
		secure, rest = true, rest[1:]
	}
	for _, end := range [][]byte{[]byte("://"), []byte(`:\/\/`)} {
		if bytes.HasPrefix(rest, end) {
			return len(b) - len(rest) + len(end), secure, false
		}
		partial = partial || bytes.HasPrefix(end, rest)
	}
	return 0, secure, partial
}

// A kind says what a byte of a text means for links.
type kind uint8

const (
	between kind = iota // anything else: a link may follow
	ends                // a link, and whatever it stood in
	word                // of a word
	urlish              // of a URL, which a link may be a part of
)

var kinds = func() (k [256]kind) {
	for c := range 256 {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if letter || c >= '0' && c <= '9' {
			k[c] = word
		}
		if c <= ' ' || c == 0x7f {
			k[c] = ends
		}
	}
	for _, c := range "\"'`<>(){}[]|" {
		k[c] = ends
	}
	for _, c := range "+-._" {
		k[c] = word
	}
	for _, c := range "?/@%\\" {
		k[c] = urlish
	}
	return k
}()
