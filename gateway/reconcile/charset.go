// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strings"
)

// likeASCII reports whether in a character set the bytes of ASCII stand for its
// characters, and never for a part of another. (In euc-kr as browsers read it they can:
// a syllable that ends in h would have to be followed by ttps://.) "" is none, which is
// some superset of ASCII.
func likeASCII(charset string) bool {
	charset = strings.ToLower(charset)
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "latin1", "euc-jp", "euc-kr", "koi8-r", "koi8-u":
		return true
	}
	return strings.HasPrefix(charset, "iso-8859-") || strings.HasPrefix(charset, "windows-125")
}

// A beginning is a Text that may say itself, by its first bytes, what its characters
// are. When they cannot be read, all of it stays as it is. It holds back what may go
// on to say so, up to longestOpening bytes.
type beginning struct {
	Text
	said bool // by the Content-Type, which only a byte order mark outranks
	held []byte
	over bool
}

const longestOpening = 1 << 10 // WHATWG HTML §13.2.3.2, CSS Syntax 3 §3.2

func (b *beginning) Write(out, in []byte) []byte {
	for !b.over && len(in) > 0 {
		b.held, in = append(b.held, in[0]), in[1:]
		if charset, more := opening(b.held, b.said); !more {
			out = b.open(out, charset)
		}
	}
	return b.Text.Write(out, in)
}

func (b *beginning) End(out []byte) []byte {
	if !b.over {
		out = b.open(out, "")
	}
	return b.Text.End(out)
}

// open lets go of what was held: it says that charset, or nothing.
func (b *beginning) open(out []byte, charset string) []byte {
	b.over = true
	if page, ok := b.Text.(*Page); ok && charset != "" {
		page.Charset = true
	}
	if !likeASCII(charset) {
		b.Text = asItIs{}
	}
	return b.Text.Write(out, b.held)
}

// asItIs is a Text that is not touched.
type asItIs struct{}

func (asItIs) Write(out, in []byte) []byte { return append(out, in...) }
func (asItIs) End(out []byte) []byte       { return out }

// openings are what texts begin with that say what their characters are; label is in
// front of that, and end behind it.
var openings = []struct{ begin, label, end, charset string }{
	{begin: "\xef\xbb\xbf", charset: "utf-8"},
	{begin: "\xfe\xff", charset: "utf-16"},
	{begin: "\xff\xfe", charset: "utf-16"},
	{begin: `@charset "`, label: `@charset "`, end: `"`}, // CSS Syntax 3 §3.2: byte for byte
	{begin: "<?xml", label: "encoding", end: "?>"},
}

// opening is what the text that begins with b says of its characters; more, that it may
// yet do so. It is asked for each byte more. marks says that only byte order marks count.
func opening(b []byte, marks bool) (charset string, more bool) {
	for _, o := range openings {
		if marks && o.charset == "" {
			break
		}
		rest, begun := bytes.CutPrefix(b, []byte(o.begin))
		switch {
		case !begun:
			more = more || strings.HasPrefix(o.begin, string(b))
			continue
		case o.charset != "":
			return o.charset, false
		}
		end := len(rest) - len(o.end)
		if end < 0 || string(rest[end:]) != o.end { // which what was held before had not
			return "", len(b) < longestOpening
		}
		if o.label == o.begin {
			return string(rest[:end]), false
		}
		return labelled(rest[:end], o.label), false
	}
	return "", more
}

// labelled is the value behind name= in s, in quotes or not; "" when there is none.
func labelled(s []byte, name string) string {
	low := bytes.ToLower(s)
	for from := 0; ; {
		i := bytes.Index(low[from:], []byte(name))
		if i < 0 {
			return ""
		}
		from += i + len(name)
		v, ok := bytes.CutPrefix(bytes.TrimLeft(low[from:], space), []byte{'='})
		if !ok {
			continue
		}
		v = bytes.TrimLeft(v, space)
		if len(v) > 0 && (v[0] == '"' || v[0] == '\'') {
			if end := bytes.IndexByte(v[1:], v[0]); end >= 0 {
				return string(bytes.Trim(v[1:1+end], space))
			}
			return ""
		}
		if end := bytes.IndexAny(v, space+";"); end >= 0 {
			v = v[:end]
		}
		return string(v)
	}
}
