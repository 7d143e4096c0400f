// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import "bytes"

// A Page is a Body of HTML. A tag that says what the linked file's bytes have to be
// (integrity, W3C Subresource Integrity) keeps its link, behind which nothing may be
// changed on the way. A <meta> with a Content-Security-Policy has that made to fit, as
// the field is. Tags are held back until they end, up to longestTag bytes; longer ones
// are taken for text.
type Page struct {
	Body
	Charset bool // it is known what its characters are; otherwise a <meta> may say so

	tag   []byte
	quote byte // that the end of the tag may stand in; 0: none
	left  bool // the rest is in characters that cannot be read, and stays as it is
}

const longestTag = 8 << 10

// Write appends to out what in makes certain of.
func (p *Page) Write(out, in []byte) []byte {
	for len(in) > 0 {
		if p.left {
			return append(out, in...)
		}
		if len(p.tag) == 0 {
			n := bytes.IndexByte(in, '<')
			if n < 0 {
				return p.Body.Write(out, in)
			}
			out = p.Body.Write(out, in[:n])
			p.tag, in = append(p.tag, '<'), in[n+1:]
			continue
		}
		c := in[0]
		if len(p.tag) == 1 && (c|0x20 < 'a' || c|0x20 > 'z') { // a comment, an end tag, a sign
			out = p.text(out) // c may begin a tag
			continue
		}
		in = in[1:]
		p.tag = append(p.tag, c)
		switch {
		case c == '>' && p.quote == 0:
			out = p.whole(out)
		case len(p.tag) == longestTag:
			out = p.text(out)
		case c == p.quote:
			p.quote = 0
		case p.quote == 0 && (c == '"' || c == '\''):
			p.quote = c
		}
	}
	return out
}

// End appends to out what was held back.
func (p *Page) End(out []byte) []byte { return p.Body.End(p.text(out)) }

// text takes what was held for text.
func (p *Page) text(out []byte) []byte {
	out = p.Body.Write(out, p.tag)
	p.tag, p.quote = p.tag[:0], 0
	return out
}

// whole appends to out the tag that was held, which has ended.
func (p *Page) whole(out []byte) []byte {
	tag := p.tag
	switch {
	case isMeta(tag):
		equiv, content, charset := meta(tag)
		if !p.Charset && charset != "" {
			p.Charset, p.left = true, !likeASCII(charset)
		}
		if equiv == "content-security-policy" {
			if fit, ok := metaPolicy(tag, content); ok {
				tag = fit
			}
			break // hosts in it are not links
		}
		if !p.left {
			return p.text(out)
		}
	case !bytes.Contains(bytes.ToLower(tag), []byte("integrity")):
		return p.text(out)
	}
	out = append(p.Body.End(out), tag...)
	p.tag = p.tag[:0]
	return out
}
