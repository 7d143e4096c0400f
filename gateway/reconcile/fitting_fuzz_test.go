// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

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
		if len(packed) < 100 && fitting.Coding != Identity {
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
