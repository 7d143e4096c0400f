// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"strconv"

	"sallyport/gateway/h1"
)

// A Coding is how a body is packed (RFC 9110 §8.4.1).
type Coding uint8

// Those that can be unpacked. The zero Coding is none.
const (
	Identity Coding = iota
	Gzip            // RFC 1952
	Brotli          // RFC 7932
	Zstd            // RFC 8878, with the window of RFC 9659
)

// codings are their names in fields. There is no deflate among them: some mean by it
// what RFC 9110 §8.4.1.2 says, some the bare RFC 1951, and who is not asked for it has no need of it.
var codings = [...]string{Identity: "identity", Gzip: "gzip", Brotli: "br", Zstd: "zstd"}

// String is the coding's name in Content-Encoding.
func (c Coding) String() string { return codings[c] }

// codingOf reads a Content-Encoding; false for what cannot be unpacked, also for
// several in a row.
func codingOf(value []byte) (Coding, bool) {
	if value = bytes.Trim(value, " \t"); len(value) == 0 {
		return Identity, true
	}
	for c, name := range codings {
		if h1.EqualFold(value, name) || c == int(Gzip) && h1.EqualFold(value, "x-gzip") {
			return Coding(c), true
		}
	}
	return Identity, false
}

// readable asks for what FitBody can read, as far as the client could, too. f itself
// is used.
func (x *Exchange) readable(f h1.Fields) h1.Fields {
	if !x.Rewrite.Bodies || count(f, acceptEncoding) == 0 {
		return f // RFC 9110 §12.5.3: whatever there is
	}
	var can []byte
	for c := Gzip; c <= Zstd; c++ {
		if q := weight(f, c); q > 0 {
			if len(can) > 0 {
				can = append(can, ", "...)
			}
			can = append(can, c.String()...)
			if q < 1 {
				can = strconv.AppendFloat(append(can, ";q="...), q, 'f', -1, 64)
			}
		}
	}
	if can == nil {
		can = []byte(Identity.String())
	}
	out := f[:0]
	for _, one := range f {
		if h1.EqualFold(one.Name, acceptEncoding) {
			if can == nil {
				continue // the first has said it all
			}
			one.Value, can = can, nil
		}
		out = append(out, one)
	}
	return out
}

const acceptEncoding = "accept-encoding"

// weight is how much the client would like c, 0 to 1 (RFC 9110 §12.4.2, §12.5.3); 0: not
// at all. What is no number counts as 0.
func weight(f h1.Fields, c Coding) (q float64) {
	any := 0.0
	for i := range f {
		if !h1.EqualFold(f[i].Name, acceptEncoding) {
			continue
		}
		for one := range bytes.SplitSeq(f[i].Value, []byte{','}) {
			name, params, _ := bytes.Cut(one, []byte{';'})
			name = bytes.Trim(name, " \t")
			switch {
			case h1.EqualFold(name, c.String()), c == Gzip && h1.EqualFold(name, "x-gzip"):
				return quality(params)
			case string(name) == "*":
				any = quality(params)
			}
		}
	}
	return any
}

// quality reads ;q= behind a list's member.
func quality(params []byte) float64 {
	name, value, ok := bytes.Cut(bytes.Trim(params, " \t"), []byte{'='})
	if !ok && len(name) == 0 {
		return 1
	}
	if value = bytes.Trim(value, " \t"); !h1.EqualFold(bytes.Trim(name, " \t"), "q") || len(value) > len("0.000") || len(bytes.Trim(value, "0123456789.")) > 0 {
		return 0
	}
	q, err := strconv.ParseFloat(string(value), 64)
	if err != nil || q < 0 || q > 1 {
		return 0
	}
	return q
}
