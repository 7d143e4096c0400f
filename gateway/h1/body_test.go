// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"strings"
	"testing"
)

// drained is what a body made of its input.
type drained struct {
	data []byte
	used int
	done bool
	err  error
}

// drain gives b what there is of in, cut into pieces of the lengths given and
// then the rest, as a connection would: what was not used up comes again.
func drain(b *Body, in []byte, pieces []int) (d drained) {
	for end := 0; d.err == nil && !d.done; {
		if end == len(in) {
			break
		}
		if end = len(in); len(pieces) > 0 {
			end, pieces = min(d.used+max(pieces[0], 1), len(in)), pieces[1:]
		}
		for d.used < end && !d.done && d.err == nil {
			var data []byte
			var n int
			data, n, d.done, d.err = b.Next(in[d.used:end])
			d.data = append(d.data, data...)
			d.used += n
		}
	}
	return d
}

// every is a cut into pieces of one size.
func every(step, n int) (pieces []int) {
	for ; n > 0; n -= step {
		pieces = append(pieces, step)
	}
	return pieces
}

func TestBody(t *testing.T) {
	for _, tt := range []struct {
		name     string
		length   int64
		chunked  bool
		in, data string
		used     int
		done     bool
	}{
		{"none", 0, false, "next", "", 0, true},
		{"length", 5, false, "hellonext", "hello", 5, true},
		{"length, not all of it", 9, false, "hello", "hello", 5, false},
		{"to the end", -1, false, "hello\r\n0\r\n\r\n", "hello\r\n0\r\n\r\n", 12, false},
		{"chunks", -1, true, "5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\n\r\nnext", "hello world", 32, true},
		{"chunks with trailers", -1, true, "1\r\n\n\r\n0\r\nA: b\r\nC:\r\n\r\nnext", "\n", 21, true},
		{"chunks, not all of them", -1, true, "5\r\nhello\r\n0\r\n\r", "hello", 14, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for step := 1; step <= len(tt.in); step++ {
				b := NewBody(tt.length, tt.chunked)
				if b.ToEnd() != (tt.length < 0 && !tt.chunked) || b.Done() != (tt.length == 0) {
					t.Fatalf("at the start: to the end %v, done %v", b.ToEnd(), b.Done())
				}
				got := drain(&b, []byte(tt.in), every(step, len(tt.in)))
				if got.err != nil || string(got.data) != tt.data || got.used != tt.used || got.done != tt.done || b.Done() != tt.done {
					t.Fatalf("in steps of %d: %q, %d, done %v (%v), %v; want %q, %d, %v",
						step, got.data, got.used, got.done, b.Done(), got.err, tt.data, tt.used, tt.done)
				}
				if data, n, done, err := b.Next([]byte("next")); tt.done && (len(data) > 0 || n != 0 || !done || err != nil) {
					t.Fatalf("behind the end: %q, %d, %v, %v", data, n, done, err)
				}
			}
		})
	}
}

// TestZeroBodyIsNone: nothing behind a head is taken for its body unasked.
func TestZeroBodyIsNone(t *testing.T) {
	var b Body
	if data, n, done, err := b.Next([]byte("5\r\nhello")); !b.Done() || b.ToEnd() || len(data) > 0 || n != 0 || !done || err != nil {
		t.Errorf("%q, %d, %v, %v", data, n, done, err)
	}
}

// TestForbiddenTrailers: what would change framing or routing (RFC 9110 §6.5.1)
// is refused from a client and left out of an answer; the rest is passed on.
func TestForbiddenTrailers(t *testing.T) {
	for name, id := range known {
		in := []byte("0\r\nA: 1\r\n" + strings.ToUpper(name) + ": 2\r\nB: 3\r\n\r\n")
		for step := 1; step <= len(in); step++ {
			strict := NewBody(-1, true)
			got := drain(&strict, in, every(step, len(in)))
			if forbidden(id) != (got.err != nil) || got.err != nil && got.err != error(errTrailer) {
				t.Fatalf("%s in steps of %d, strict: %v", name, step, got.err)
			}
			lenient := NewBody(-1, true)
			lenient.Lenient = true
			got = drain(&lenient, in, every(step, len(in)))
			f := lenient.Trailers()
			if got.err != nil || !got.done || f.Value("A") != "1" || f.Value("B") != "3" || (f.Value(name) == "2") == forbidden(id) {
				t.Fatalf("%s in steps of %d, lenient: %v, %q", name, step, got.err, f)
			}
		}
	}
	for _, id := range []ID{ContentLength, TransferEncoding, Host, Trailer, Connection, Upgrade, TE} {
		if !forbidden(id) {
			t.Errorf("%d may stand in a trailer section", id)
		}
	}
}

// TestFramingAroundDataIsBounded (RFC 9112 §7.1.1): extensions may be as long as
// the data they come with, and not much longer, however they are cut.
func TestFramingAroundDataIsBounded(t *testing.T) {
	const msg = "more chunk framing than data"
	small := []byte(strings.Repeat("1;"+strings.Repeat("x", 100)+"\r\ny\r\n", 1000) + "0\r\n\r\n")
	large := []byte(strings.Repeat("64;"+strings.Repeat("x", 100)+"\r\n"+strings.Repeat("y", 100)+"\r\n", 1000) + "0\r\n\r\n")
	single := []byte(strings.Repeat("1\r\ny\r\n", 100_000) + "0\r\n\r\n")
	for _, step := range []int{1, 7, 1000, 1 << 20} {
		b := NewBody(-1, true)
		if got := drain(&b, small, every(step, len(small))); got.err == nil || got.err.Error() != msg || len(got.data) > 300 {
			t.Errorf("100 bytes around each: %v after %d in steps of %d", got.err, len(got.data), step)
		}
		for _, in := range [][]byte{large, single} {
			b = NewBody(-1, true)
			if got := drain(&b, in, every(step, len(in))); got.err != nil || !got.done || len(got.data) != 100_000 {
				t.Errorf("no more around than there is data: %v after %d in steps of %d", got.err, len(got.data), step)
			}
		}
	}
}

// FuzzBody: however a body comes cut, its data and its end are the same.
func FuzzBody(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nA: b\r\n\r\nnext"), []byte{1, 2, 3, 4, 5, 6}, int64(-1), true, false)
	f.Add([]byte("hellonext"), []byte{1, 2, 3}, int64(5), false, false)
	f.Fuzz(func(t *testing.T, in, cuts []byte, length int64, chunked, lenient bool) {
		if length < -1 || chunked && length != -1 {
			return // no parser says so
		}
		whole, cut := NewBody(length, chunked), NewBody(length, chunked)
		whole.Lenient, cut.Lenient = lenient, lenient
		pieces := make([]int, len(cuts))
		for i := range cuts {
			pieces[i] = int(cuts[i])
		}
		a, b := drain(&whole, in, nil), drain(&cut, in, pieces)
		if string(a.data) != string(b.data) || a.done != b.done || (a.err == nil) != (b.err == nil) || a.err == nil && a.used != b.used {
			t.Fatalf("%q in one: %q, %d, %v, %v; cut: %q, %d, %v, %v", in, a.data, a.used, a.done, a.err, b.data, b.used, b.done, b.err)
		}
		same(t, cut.Trailers(), whole.Trailers())
	})
}
