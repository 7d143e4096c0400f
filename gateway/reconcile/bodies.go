// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"mime"
	"net/http"
	"slices"

	"sallyport/gateway/h1"
)

// A Fitting is what becomes of the body of an answer. The zero Fitting leaves it as it
// is.
type Fitting struct {
	Links   bool   // in it are made to fit, by what Text returns
	Coding  Coding // it has to be unpacked by, first
	html    bool
	charset bool // its field says what its characters are
}

// A Text makes what goes by fit. How it comes in pieces makes no difference. It is used
// by one goroutine.
type Text interface {
	// Write appends to out what in makes certain of.
	Write(out, in []byte) []byte

	// End appends to out what was held back.
	End(out []byte) []byte
}

// Text makes the body fit whoever reaches by http what p says.
func (f Fitting) Text(p Policy) Text {
	links := Body{Policy: p}
	if f.html {
		return &beginning{Text: &Page{Body: links, Charset: f.charset}, said: f.charset}
	}
	return &beginning{Text: &links, said: f.charset}
}

// FitBody says what becomes of the body of an answer with that status and the fields
// f, and makes f say so: there is no length any more, the ETag is a weak one (RFC 9110
// §8.8.1), and no digest is of these bytes. f itself is used.
//
// Bodies stay whole that are a part of something, that may not be changed (RFC 9110
// §7.7), that are packed in another way or more than once, for whose window there is no
// room, or whose characters are not ASCII where ASCII is.
func (x *Exchange) FitBody(f h1.Fields, status int) (out h1.Fields, fitting Fitting) {
	if !x.Secure || !x.Plain || !x.Rewrite.Bodies {
		return f, Fitting{}
	}
	if status == http.StatusNotModified { // it is about what was changed before, or not
		if x.noneMatch == nil || bytes.Contains(x.noneMatch, slices.Concat(weak[:2], first(f, "etag"))) {
			weaken(f)
		}
		return f, Fitting{}
	}
	coding, known := codingOf(first(f, contentEncoding))
	fitting = fittingOf(first(f, "content-type"))
	switch {
	case !fitting.Links, status < 200, status == http.StatusPartialContent, status == http.StatusNoContent,
		!known, count(f, contentEncoding) > 1, count(f, "content-range") > 0,
		said(f, "cache-control", "no-transform"),
		coding != Identity && x.Room != nil && !x.Room(coding.Window()):
		return f, Fitting{}
	}
	fitting.Coding = coding
	weaken(f)
	x.note("body")
	return slices.DeleteFunc(WithoutDigests(f), func(f h1.Field) bool {
		return f.ID == h1.ContentLength || h1.EqualFold(f.Name, "accept-ranges") || coding != Identity && h1.EqualFold(f.Name, contentEncoding)
	}), fitting
}

const contentEncoding = "content-encoding"

// fittingOf is what becomes of a body of that media type.
func fittingOf(contentType []byte) (f Fitting) {
	media, params, _ := bytes.Cut(contentType, []byte{';'})
	media = bytes.Trim(media, " \t")
	switch {
	case h1.EqualFold(media, "text/html"), h1.EqualFold(media, "application/xhtml+xml"):
		f.html = true
	case h1.EqualFold(media, "application/json"), isJSON(media):
		f.charset = true // RFC 8259 §8.1
	case h1.EqualFold(media, "text/css"):
	default:
		return Fitting{}
	}
	if len(params) > 0 {
		_, params, err := mime.ParseMediaType(string(contentType))
		if err != nil || !likeASCII(params["charset"]) {
			return Fitting{}
		}
		f.charset = f.charset || params["charset"] != ""
	}
	f.Links = true
	return f
}

// isJSON reports whether a media type says by its suffix that it is JSON (RFC 6839 §3.1).
func isJSON(media []byte) bool {
	const begin, end = "application/", "+json"
	return len(media) > len(begin)+len(end) && h1.EqualFold(media[:len(begin)], begin) && h1.EqualFold(media[len(media)-len(end):], end)
}

// WithoutDigests is f without what is computed from a body's bytes (RFC 9530). f
// itself is used.
func WithoutDigests(f h1.Fields) h1.Fields {
	return slices.DeleteFunc(f, func(f h1.Field) bool {
		for _, name := range []string{"content-md5", "digest", "content-digest", "repr-digest"} {
			if h1.EqualFold(f.Name, name) {
				return true
			}
		}
		return false
	})
}

// weaken makes ETags say that what they stand for means the same and is not the same
// bytes.
func weaken(f h1.Fields) {
	for i := range f {
		if h1.EqualFold(f[i].Name, "etag") && bytes.HasPrefix(f[i].Value, []byte{'"'}) {
			f[i].Value = append(weak[:2:2], f[i].Value...)
		}
	}
}

// conditions makes what a request says of ETags fit. Those of If-Match are strong again,
// as weak ones never match (RFC 9110 §13.1.1): a client that changes what it has read could
// not say so any more. Not where a body is asked for: what the client has of that is not
// a part of the origin's.
func (x *Exchange) conditions(f h1.Fields) {
	if !x.Rewrite.Bodies {
		return
	}
	x.noneMatch = first(f, "if-none-match")
	if x.Method == http.MethodGet || x.Method == http.MethodHead {
		return
	}
	for i := range f {
		if h1.EqualFold(f[i].Name, "if-match") && bytes.Contains(f[i].Value, weak) {
			f[i].Value = bytes.ReplaceAll(f[i].Value, weak, weak[2:])
			x.note("If-Match")
		}
	}
}

var weak = []byte(`W/"`)

// first is the first value of a field.
func first(f h1.Fields, lower string) []byte {
	for i := range f {
		if h1.EqualFold(f[i].Name, lower) {
			return f[i].Value
		}
	}
	return nil
}

func count(f h1.Fields, lower string) (n int) {
	for i := range f {
		if h1.EqualFold(f[i].Name, lower) {
			n++
		}
	}
	return n
}

// said reports whether a list has a token.
func said(f h1.Fields, lower, token string) bool {
	for i := range f {
		if !h1.EqualFold(f[i].Name, lower) {
			continue
		}
		for one := range bytes.SplitSeq(f[i].Value, []byte{','}) {
			if one, q, _ := bytes.Cut(one, []byte{';'}); h1.EqualFold(bytes.Trim(one, " \t"), token) {
				return !bytes.Contains(q, []byte("q=0")) || bytes.Contains(q, []byte("q=0."))
			}
		}
	}
	return false
}
