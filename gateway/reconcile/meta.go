// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"fmt"
	"html"
	"slices"
	"strings"

	"sallyport/gateway/h1"
)

// An attribute is one of a tag, as it is written.
type attribute struct {
	name, value []byte
	from, to    int  // where in the tag the value is, with its quotes
	quote       byte // 0: none
}

// attributes reads those of a tag, each once (WHATWG HTML §13.2.5.32 and those behind it);
// false when tag is not one tag with nothing behind it.
func attributes(tag []byte) (list []attribute, ok bool) {
	i := 1
	for i < len(tag) && !within(tag[i], space+"/>") { // its name
		i++
	}
	for {
		for i < len(tag) && within(tag[i], space+"/") {
			i++
		}
		if i >= len(tag) || tag[i] == '>' {
			return list, i == len(tag)-1
		}
		a, from := attribute{}, i
		for i++; i < len(tag) && !within(tag[i], space+"/>="); { // which may begin with =
			i++
		}
		a.name = tag[from:i]
		at := i
		for at < len(tag) && within(tag[at], space) {
			at++
		}
		if at < len(tag) && tag[at] == '=' {
			if a, i, ok = valued(a, tag, at+1); !ok {
				return nil, false
			}
		}
		if !slices.ContainsFunc(list, func(b attribute) bool { return bytes.EqualFold(a.name, b.name) }) {
			list = append(list, a)
		}
	}
}

// valued is a with the value that begins at i or behind white space there, and where
// the tag goes on.
func valued(a attribute, tag []byte, i int) (attribute, int, bool) {
	for i < len(tag) && within(tag[i], space) {
		i++
	}
	a.from = i
	if i < len(tag) && (tag[i] == '"' || tag[i] == '\'') {
		end := bytes.IndexByte(tag[i+1:], tag[i])
		if end < 0 {
			return a, i, false
		}
		a.quote, a.value, a.to = tag[i], tag[i+1:i+1+end], i+end+2
		return a, a.to, true
	}
	for i < len(tag) && !within(tag[i], space+">") {
		i++
	}
	a.value, a.to = tag[a.from:i], i
	return a, i, true
}

func within(c byte, set string) bool { return strings.IndexByte(set, c) >= 0 }

// isMeta reports whether a tag is a <meta>.
func isMeta(tag []byte) bool {
	const name = "<meta"
	return len(tag) > len(name) && h1.EqualFold(tag[:len(name)], name) && within(tag[len(name)], space+"/>")
}

// meta is what a <meta> tells of its page.
func meta(tag []byte) (equiv string, content attribute, charset string) {
	list, ok := attributes(tag)
	if !ok {
		return "", content, ""
	}
	for _, a := range list {
		switch {
		case h1.EqualFold(a.name, "http-equiv"):
			equiv = lower(a.value)
		case h1.EqualFold(a.name, "content"):
			content = a
		case h1.EqualFold(a.name, "charset"):
			charset = lower(bytes.Trim(a.value, space))
		}
	}
	if charset == "" && equiv == "content-type" {
		charset = labelled(content.value, "charset")
	}
	if strings.HasPrefix(charset, "utf-16") { // whoever could read that far (WHATWG HTML §13.2.3.2)
		charset = "utf-8"
	}
	return equiv, content, charset
}

// metaPolicy is the tag with its Content-Security-Policy, which content is, made to fit
// like that of a field; false when nothing is changed, also where there are character
// references that are not plain.
func metaPolicy(tag []byte, content attribute) ([]byte, bool) {
	value, ok := unescaped(content.value)
	if !ok {
		return nil, false
	}
	fit, changed := onePolicy(value)
	if !changed {
		return nil, false
	}
	quote := content.quote
	if quote == 0 {
		quote = '"'
	}
	if len(value) != len(content.value) || content.quote == 0 { // references, or quotes of its own
		fit = bytes.ReplaceAll(fit, []byte("&"), []byte("&amp;"))
		fit = bytes.ReplaceAll(fit, []byte{quote}, fmt.Appendf(nil, "&#%d;", quote))
	}
	return slices.Concat(tag[:content.from], []byte{quote}, fit, []byte{quote}, tag[content.to:]), true
}

// unescaped is an attribute's value with its character references replaced; false when
// one of them is written or means something that not everybody reads alike, or is not
// ASCII, of which a page may have another form.
func unescaped(value []byte) ([]byte, bool) {
	rest := value
	for {
		i := bytes.IndexByte(rest, '&')
		if i < 0 {
			break
		}
		rest = rest[i:]
		end := bytes.IndexByte(rest, ';')
		if end < 0 {
			return nil, false
		}
		means := html.UnescapeString(string(rest[:end+1]))
		if len(means) != 1 || means[0] < ' ' && !within(means[0], space) || means[0] >= 0x7f {
			return nil, false
		}
		rest = rest[end+1:]
	}
	return []byte(html.UnescapeString(string(value))), true
}
