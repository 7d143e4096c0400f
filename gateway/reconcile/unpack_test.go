// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// A packer is what packs by a coding: what was written before a Flush can be read
// without anything behind it.
type packer interface {
	io.WriteCloser
	Flush() error
}

func pack(t testing.TB, c Coding, to io.Writer) packer {
	t.Helper()
	switch c {
	case Gzip:
		return gzip.NewWriter(to)
	case Brotli:
		return brotli.NewWriter(to)
	case Zstd:
		z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	t.Fatalf("nothing packs by %s", c)
	return nil
}

// packed is the texts packed, with a flush behind each but the last.
func packed(t testing.TB, c Coding, texts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pack(t, c, &b)
	for i, text := range texts {
		if i > 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pieces reads what is given in those pieces, and then ends by err.
type pieces struct {
	of  [][]byte
	err error
}

func (r *pieces) Read(p []byte) (int, error) {
	for len(r.of) > 0 && len(r.of[0]) == 0 {
		r.of = r.of[1:]
	}
	if len(r.of) == 0 {
		return 0, r.err
	}
	n := copy(p, r.of[0])
	r.of[0] = r.of[0][n:]
	return n, nil
}

// unpacked is all that comes of b, in pieces and with its end.
func unpacked(c Coding, err error, b ...[]byte) (string, error) {
	u := NewUnpacker(c, &pieces{b, err})
	defer u.Close()
	out, err := io.ReadAll(u)
	return string(out), err
}

var packings = []Coding{Gzip, Brotli, Zstd}

var page = strings.Repeat(`<p><a href="https://site.test/a">a</a> and some text, `, 40) + "\x00\xff the end"

// TestUnpack: however what is packed is cut.
func TestUnpack(t *testing.T) {
	for _, c := range packings {
		b := packed(t, c, page[:100], page[100:])
		for cut := range len(b) + 1 {
			if got, err := unpacked(c, io.EOF, b[:cut], b[cut:]); got != page || err != nil {
				t.Fatalf("%s, cut at %d: %q, %v", c, cut, got, err)
			}
		}
		if got, err := unpacked(c, io.EOF); got != "" || err != nil {
			t.Errorf("%s of no bytes: %q, %v", c, got, err)
		}
		if got, err := unpacked(c, io.EOF, packed(t, c)); got != "" || err != nil {
			t.Errorf("%s of nothing: %q, %v", c, got, err)
		}
	}
	for _, c := range []Coding{Gzip, Zstd} { // have several, one behind the other
		b := append(packed(t, c, "one, "), packed(t, c, "two")...)
		if got, err := unpacked(c, io.EOF, b); got != "one, two" || err != nil {
			t.Errorf("%s: %q, %v", c, got, err)
		}
	}
}

// TestUnpackOfPrograms: what other programs pack.
func TestUnpackOfPrograms(t *testing.T) {
	for _, tt := range []struct {
		coding  Coding
		program []string
	}{{Gzip, []string{"gzip", "-9c"}}, {Brotli, []string{"brotli", "-c"}}, {Zstd, []string{"zstd", "-19", "-c"}}} {
		t.Run(tt.program[0], func(t *testing.T) {
			if _, err := exec.LookPath(tt.program[0]); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(tt.program[0], tt.program[1:]...)
			cmd.Stdin = strings.NewReader(page)
			b, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := unpacked(tt.coding, io.EOF, b); got != page || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// TestUnpackBroken: what does not end where it should, or is something else, is never
// taken for whole.
func TestUnpackBroken(t *testing.T) {
	broke := errors.New("the connection broke")
	for _, c := range packings {
		b := packed(t, c, page)
		for cut := 1; cut < len(b); cut++ {
			if got, err := unpacked(c, io.EOF, b[:cut]); err == nil || err == io.EOF || !strings.HasPrefix(page, got) {
				t.Fatalf("%s that ends at %d of %d: %q, %v", c, cut, len(b), got, err)
			}
		}
		for cut := range len(b) + 1 { // also behind the last byte
			if _, err := unpacked(c, broke, b[:cut]); err != broke {
				t.Fatalf("%s, broken off at %d of %d: %v", c, cut, len(b), err)
			}
			if _, err := unpacked(c, io.ErrUnexpectedEOF, b[:cut]); err != io.ErrUnexpectedEOF {
				t.Fatalf("%s, ended at %d of %d: %v", c, cut, len(b), err)
			}
		}
		want := "unpacking it (" + c.String() + "): "
		for name, b := range map[string][]byte{
			"text": []byte("<html>it says that it is packed, but it is not"), "garbage behind it": append(bytes.Clone(b), "garbage"...),
			"zeros behind it": append(bytes.Clone(b), make([]byte, 8)...),
		} {
			if _, err := unpacked(c, io.EOF, b); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s, %s: %v", c, name, err)
			}
		}
	}
	for _, c := range []Coding{Gzip, Zstd} { // have a checksum
		b := packed(t, c, strings.Repeat("it is not compressible: 4711", 1))
		for i := range b {
			damaged := bytes.Clone(b)
			damaged[i] ^= 0x10
			if got, err := unpacked(c, io.EOF, damaged); err == nil && got != "it is not compressible: 4711" {
				t.Errorf("%s with byte %d damaged: %q", c, i, got)
			}
		}
	}
}

// TestUnpackTakesNoMoreThanItNeeds: what was flushed comes before more is asked for.
func TestUnpackTakesNoMoreThanItNeeds(t *testing.T) {
	for _, c := range packings {
		r, w := io.Pipe()
		go func() {
			p := pack(t, c, w)
			for i := range 5 {
				fmt.Fprintf(p, "data: %d %s\n\n", i, page)
				if err := p.Flush(); err != nil {
					t.Error(err)
				}
			}
			p.Close()
			w.Close()
		}()
		u := NewUnpacker(c, &patient{t: t, r: r})
		for i := range 5 {
			want := fmt.Sprintf("data: %d %s\n\n", i, page)
			got := make([]byte, len(want))
			// The writer is stuck in the next flush, or it has not begun it, when all of this one
			// was read; more is asked for only by the next Read.
			if _, err := io.ReadFull(u, got); err != nil || string(got) != want {
				t.Fatalf("%s: %q, %v", c, got, err)
			}
		}
		if n, err := u.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("%s: %d bytes more, %v", c, n, err)
		}
		u.Close()
	}
}

// patient gives one byte at a time.
type patient struct {
	t testing.TB
	r io.Reader
}

func (p *patient) Read(b []byte) (int, error) { return p.r.Read(b[:1]) }

// TestUnpackGivesWhatItHas: a text that was flushed is there when its last byte is, also
// where one of several has ended.
func TestUnpackGivesWhatItHas(t *testing.T) {
	for _, c := range packings {
		var b bytes.Buffer
		p := pack(t, c, &b)
		var ends []int // of what was flushed
		for i := range 4 {
			fmt.Fprintf(p, "text %d", i)
			if c != Brotli && i == 2 {
				p.Close()
				p = pack(t, c, &b)
			} else if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			ends = append(ends, b.Len())
		}
		in := &counted{Reader: bytes.NewReader(b.Bytes()[:ends[3]])}
		u := NewUnpacker(c, in)
		for i := range 4 {
			got := make([]byte, len("text 0"))
			for n := 0; n < len(got); {
				m, err := u.Read(got[n:])
				if err != nil {
					t.Fatalf("%s: %v", c, err)
				}
				n += m
			}
			if string(got) != fmt.Sprintf("text %d", i) || in.n > ends[i] {
				t.Errorf("%s: %q was there when %d bytes were read, and is in the first %d", c, got, in.n, ends[i])
			}
		}
		u.Close()
	}
}

// counted gives one byte at a time, and counts them.
type counted struct {
	io.Reader
	n int
}

func (r *counted) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b[:1])
	r.n += n
	return n, err
}

// TestUnpackPanics: a decoder that stumbles is a broken body.
func TestUnpackPanics(t *testing.T) {
	u := NewUnpacker(Gzip, strings.NewReader("x"))
	u.r = stumbling{}
	if n, err := u.Read(make([]byte, 9)); n != 0 || err == nil || err.Error() != "unpacking it (gzip): over its own feet" {
		t.Errorf("%d, %v", n, err)
	}
}

type stumbling struct{}

func (stumbling) Read([]byte) (int, error) { panic("over its own feet") }
