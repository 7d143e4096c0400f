// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/net/html"
)

// What Body, Page and Unpacker do by the byte is here said once more, by regular
// expressions on the whole text.

var (
	// A run is what stands between two bytes that end whatever they are in. It has one link
	// at most, in front of which no URL has begun, and no word goes on.
	aRun  = regexp.MustCompile("[^\\x00-\\x20\\x7f\"'`<>(){}\\[\\]|]+")
	aLink = regexp.MustCompile(`(?s)^((?:[^?/@%\\]*[^A-Za-z0-9+\-._?/@%\\])?[hH][tT][tT][pP])[sS]((?::\\/\\/|://)([^?#&]*))`)
	// What it leads to.
	aTarget = regexp.MustCompile(`(?s)^([A-Za-z0-9._-]+)(?::([1-9][0-9]*)?)?(/.*)?$`)
	// A tag, from its beginning on.
	aTag       = regexp.MustCompile(`(?s)^<[A-Za-z](?:[^>"']|"[^"]*"|'[^']*')*>`)
	integrity  = regexp.MustCompile(`(?i)integrity`)
	notASlash  = regexp.MustCompile(`(?s)\\(?:[^/]|$)`)
	metaTag    = regexp.MustCompile(`(?is)^<meta[ \t\n\f\r/>]`)
	aReference = regexp.MustCompile(`^http://[A-Za-z0-9._-]+(:\d+)?(/|$)`)
)

// allButNo originates everything but hosts with "no" in them.
type allButNo struct{}

func (allButNo) Originates(_, asked string, port uint16) bool {
	if !aReference.MatchString(asked) || port == 80 {
		panic("the policy was asked for " + asked)
	}
	return !strings.Contains(asked, "no")
}

// bodyReference is what Body makes of a text.
func bodyReference(text string) string {
	return aRun.ReplaceAllStringFunc(text, func(run string) string {
		m := aLink.FindStringSubmatch(run)
		if m == nil || len("https")+len(m[2]) > longestLink || notASlash.MatchString(m[3]) {
			return run
		}
		target := aTarget.FindStringSubmatch(strings.ReplaceAll(m[3], `\`, ""))
		if target == nil || target[2] == "80" {
			return run
		}
		if _, err := strconv.ParseUint(target[2], 10, 16); target[2] != "" && err != nil {
			return run
		}
		if !(allButNo{}).Originates("", "http://"+target[0], 0) {
			return run
		}
		return m[1] + m[2] + run[len(m[0]):]
	})
}

// pageReference is what Page makes of one; known says that its characters are.
func pageReference(page string, known bool) string {
	var out strings.Builder
	text := ""
	for len(page) > 0 {
		i := strings.IndexByte(page, '<')
		if i < 0 {
			break
		}
		text, page = text+page[:i], page[i:]
		tag := aTag.FindString(page[:min(len(page), longestTag)])
		switch {
		case len(page) == 1 || !regexp.MustCompile(`^<[A-Za-z]`).MatchString(page):
			tag = page[:1]
			text += tag
		case tag == "":
			tag = page[:min(len(page), longestTag)]
			text += tag
		case metaTag.MatchString(tag):
			equiv, content, charset := meta([]byte(tag)) // FuzzMeta's
			unread := !known && charset != "" && !likeASCII(charset)
			known = known || charset != ""
			switch fit, ok := metaPolicy([]byte(tag), content); {
			case equiv == "content-security-policy" && ok:
				out.WriteString(bodyReference(text) + string(fit))
				text = ""
			case equiv == "content-security-policy" || unread:
				out.WriteString(bodyReference(text) + tag)
				text = ""
			default:
				text += tag
			}
			if unread {
				return out.String() + page[len(tag):]
			}
		case integrity.MatchString(tag):
			out.WriteString(bodyReference(text) + tag)
			text = ""
		default:
			text += tag
		}
		page = page[len(tag):]
	}
	return out.String() + bodyReference(text+page)
}

// saysItself finds what a text says itself of its characters where it begins.
var saysItself = regexp.MustCompile(`(?s)^(?:(\xef\xbb\xbf)|(\xfe\xff|\xff\xfe)|@charset "([^"]*)"|<\?xml(.*?)\?>)`)

// reference is what a Fitting's Text makes of one.
func reference(f Fitting, text string) string {
	m := saysItself.FindStringSubmatch(latin1(text))
	known := f.charset
	switch {
	case m == nil || known && m[1] == "" && m[2] == "" || len(bytesOfLatin1(m[0])) > longestOpening:
	case m[2] != "":
		return text
	case m[1] != "":
		known = true
	default:
		charset := string(bytesOfLatin1(m[3]))
		if strings.HasPrefix(text, "<?xml") {
			charset = labelled(bytesOfLatin1(m[4]), "encoding")
		}
		if !likeASCII(charset) {
			return text
		}
		known = known || charset != ""
	}
	if f.html {
		return pageReference(text, known)
	}
	return bodyReference(text)
}

// latin1 is bytes as characters, for regular expressions, which take bytes that are no
// UTF-8 for one and the same.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func bytesOfLatin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

var fuzzTypes = []string{"text/html", "text/html; charset=utf-8", "application/xhtml+xml", "text/css", "text/css; charset=iso-8859-1", "application/json", "application/manifest+json"}

var zstds = sync.Pool{New: func() any {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err)
	}
	return z
}}

// fuzzPack is text packed, with a flush behind each of the pieces that cuts are long.
func fuzzPack(c Coding, text, cuts []byte) []byte {
	var b bytes.Buffer
	var w packer
	switch c {
	case Identity:
		return text
	case Gzip:
		w, _ = gzip.NewWriterLevel(&b, gzip.BestSpeed)
	case Brotli:
		w = brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 1, LGWin: 10})
	case Zstd:
		z := zstds.Get().(*zstd.Encoder)
		defer zstds.Put(z)
		z.Reset(&b)
		w = z
	}
	for _, n := range cuts {
		if int(n) < len(text) {
			_, _ = w.Write(text[:n])
			_ = w.Flush()
			text = text[n:]
		}
	}
	_, _ = w.Write(text)
	w.Close()
	return b.Bytes()
}

// passes is what becomes of packed, which comes in pieces that cuts are long, 0 for one
// of one byte, and ends by end.
func passes(f Fitting, packed, cuts []byte, end error) (string, error) {
	in := &pieces{err: end}
	for len(packed) > 0 {
		n := len(packed)
		if len(cuts) > 0 {
			n, cuts = min(max(int(cuts[0]), 1), n), append(cuts[1:len(cuts):len(cuts)], cuts[0])
		}
		in.of, packed = append(in.of, packed[:n]), packed[n:]
	}
	var from io.Reader = in
	if f.Coding != Identity {
		u := NewUnpacker(f.Coding, in)
		defer u.Close()
		from = u
	}
	text, buf := f.Text(allButNo{}), make([]byte, 64)
	var out []byte
	for {
		n, err := from.Read(buf)
		out = text.Write(out, buf[:n])
		if err == io.EOF {
			return string(text.End(out)), nil
		}
		if err != nil {
			return string(out), err
		}
	}
}

var errFuzz = errors.New("it broke off")

// FuzzFitting: what becomes of a body of any type and coding is what the reference makes
// of its text, however it is cut, packed or not: at every byte where it is short. What breaks off
// is the beginning of that, and an error.
func FuzzFitting(f *testing.F) {
	add := func(text string) {
		for kind := range fuzzTypes {
			f.Add([]byte(text), uint8(kind), uint8(Identity), []byte{7, 1, 30})
		}
		for _, c := range packings {
			f.Add([]byte(text), uint8(0), uint8(c), []byte{7, 1, 30})
		}
	}
	for _, tt := range bodies {
		if len(tt.in) < 1000 {
			add(tt.in)
		}
	}
	add(`<meta charset=utf-8><meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https:"><script integrity=x src="https://a.test/">https://a.test/`)
	add(`<?xml version="1.0" encoding="big5"?>https://a.test/`)
	add(`@charset "big5";url(https://a.test/)`)
	add("\xff\xfehttps://a.test/ https://no.test/")
	add(`<meta http-equiv=content-type content="text/html; charset=shift_jis">https://a.test/ <p title='>' integrity="`)
	f.Fuzz(func(t *testing.T, text []byte, kind, coding uint8, cuts []byte) {
		fitting := fittingOf([]byte(fuzzTypes[int(kind)%len(fuzzTypes)]))
		fitting.Coding = Coding(coding % uint8(len(codings)))
		if len(text) > 64<<10 || len(cuts) > 64 {
			return
		}
		want := reference(fitting, string(text))
		packed := fuzzPack(fitting.Coding, text, cuts)
		check := func(how string, got string, err error) {
			if err != nil || got != want {
				t.Fatalf("%s: %q (%s)\nbecame %q, %v\nwant   %q", how, text, fitting.Coding, got, err, want)
			}
		}
		got, err := passes(fitting, packed, nil, io.EOF)
		check("in one piece", got, err)
		got, err = passes(fitting, packed, cuts, io.EOF)
		check("in pieces", got, err)
		got, err = passes(fitting, packed, []byte{1}, io.EOF)
		check("in bytes", got, err)
		if len(text) < 200 {
			for cut := range len(text) + 1 {
				text := [][]byte{text[:cut], text[cut:]}
				w := fitting.Text(allButNo{})
				check("cut in two", string(w.End(w.Write(w.Write(nil, text[0]), text[1]))), nil)
			}
		}
		if len(packed) < 200 && fitting.Coding != Identity {
			for cut := 1; cut < len(packed); cut++ {
				got, err := passes(fitting, packed, []byte{byte(cut), 255}, io.EOF)
				check("packed, cut in two", got, err)
				if got, err := passes(fitting, packed[:cut], nil, io.EOF); err == nil || !strings.HasPrefix(want, got) {
					t.Fatalf("%d of %d bytes of %q by %s became %q, %v", cut, len(packed), text, fitting.Coding, got, err)
				}
			}
		}
		if got, err := passes(fitting, packed, cuts, errFuzz); err != errFuzz || !strings.HasPrefix(want, got) {
			t.Fatalf("%q, broken off at its end, became %q, %v", text, got, err)
		}
	})
}

// FuzzUnpack: whatever comes, unpacked by the byte it is what it is in one piece, and of gzip what
// compress/gzip makes of it; nothing makes a decoder stumble.
func FuzzUnpack(f *testing.F) {
	for _, c := range packings {
		f.Add(uint8(c), packed(f, c, "some text, ", "and more"))
		f.Add(uint8(c), append(packed(f, c, "some text"), packed(f, c, strings.Repeat("of another", 99))...))
		f.Add(uint8(c), packed(f, c, page[:300])[:40])
	}
	f.Fuzz(func(t *testing.T, coding uint8, b []byte) {
		c := packings[int(coding)%len(packings)]
		read := func(by io.Reader) (string, error) {
			u := NewUnpacker(c, by)
			defer u.Close()
			out, err := io.ReadAll(io.LimitReader(u, 1<<20))
			if err != nil && err != io.ErrUnexpectedEOF && errors.Unwrap(err) == nil {
				t.Fatalf("%q by %s: %v", b, c, err)
			}
			return string(out), err
		}
		whole, err := read(bytes.NewReader(b))
		ones, err1 := read(&counted{Reader: bytes.NewReader(b)})
		same := func(out string, err2 error) bool { // of what is broken more or less may have come
			return (err == nil) == (err2 == nil) && (whole == out || err != nil && (strings.HasPrefix(whole, out) || strings.HasPrefix(out, whole)))
		}
		if !same(ones, err1) {
			t.Fatalf("%q by %s became %q, %v, and by the byte %q, %v", b, c, whole, err, ones, err1)
		}
		if c != Gzip || len(b) == 0 {
			return
		}
		var out []byte
		z, err2 := gzip.NewReader(bytes.NewReader(b))
		if err2 == nil {
			out, err2 = io.ReadAll(io.LimitReader(z, 1<<20))
		}
		if !same(string(out), err2) {
			t.Fatalf("%q became %q, %v, and by compress/gzip %q, %v", b, whole, err, out, err2)
		}
	})
}

// FuzzMeta: a tag is read as the HTML reader of golang.org/x/net does, and what becomes of it
// differs in its content alone, which is what becomes of the field with that value.
func FuzzMeta(f *testing.F) {
	for _, in := range []string{
		`<meta http-equiv="Content-Security-Policy" content="upgrade-insecure-requests; img-src https://a.test 'self'">`,
		`<meta http-equiv=Content-Security-Policy content='img-src &#39;self&apos; https://a.test?a&amp;b'/>`,
		`<meta/content=img-src http-equiv = content-security-policy =a "b' charset>`,
		`<meta charset=utf-8>`, `<meta content="text/html; charset=big5" http-equiv=content-type content=x>`, `<meta>`,
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, tag []byte) {
		if tag = aTag.Find(tag); !isMeta(tag) || bytes.ContainsAny(tag, "\x00\r") { // which the reader replaces
			return
		}
		equiv, content, _ := meta(tag)
		if equiv != "content-security-policy" {
			return
		}
		want := attributesOf(t, tag)
		if want == nil {
			t.Fatalf("%q is read as a tag", tag)
		}
		if strings.ToLower(want["http-equiv"]) != equiv {
			t.Fatalf("%q has %q", tag, want)
		}
		fit, ok := metaPolicy(tag, content)
		if !ok {
			return
		}
		policy, changed := onePolicy([]byte(want["content"]))
		got := attributesOf(t, fit)
		if !changed || got["content"] != string(policy) {
			t.Fatalf("%q became %q, want %q", tag, fit, policy)
		}
		delete(got, "content")
		delete(want, "content")
		if len(got) != len(want) {
			t.Fatalf("%q became %q", tag, fit)
		}
		for name := range want {
			if got[name] != want[name] {
				t.Fatalf("%q became %q", tag, fit)
			}
		}
		if behind := len(tag) - content.to; !bytes.HasPrefix(fit, tag[:content.from]) || !bytes.HasSuffix(fit, tag[len(tag)-behind:]) {
			t.Fatalf("%q became %q", tag, fit)
		}
	})
}

// attributesOf reads a tag, the first of each name; nil when tag is not just one.
func attributesOf(t *testing.T, tag []byte) map[string]string {
	z := html.NewTokenizer(bytes.NewReader(tag))
	if kind := z.Next(); kind != html.StartTagToken && kind != html.SelfClosingTagToken || !bytes.Equal(z.Raw(), tag) {
		return nil
	}
	all := make(map[string]string)
	for _, a := range z.Token().Attr {
		if _, ok := all[a.Key]; !ok {
			all[a.Key] = a.Val
		}
	}
	return all
}
