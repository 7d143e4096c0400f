// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import "strconv"

// What is written is made of values that a parser of this package has let
// through or that this program makes itself; no value is checked again.

// AppendRequestLine writes a request line (RFC 9112 §3).
func AppendRequestLine(b, method []byte, target ...string) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	for _, part := range target {
		b = append(b, part...)
	}
	return append(b, " HTTP/1.1\r\n"...)
}

// AppendStatusLine writes a status line (RFC 9112 §4).
func AppendStatusLine[T string | []byte](b []byte, status int, reason T) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, reason...)
	return append(b, "\r\n"...)
}

// AppendField writes one field line (RFC 9112 §5).
func AppendField[N, V string | []byte](b []byte, name N, value V) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// AppendFields writes field lines, without the empty line behind them.
func AppendFields(b []byte, fields Fields) []byte {
	for i := range fields {
		b = AppendField(b, fields[i].Name, fields[i].Value)
	}
	return b
}

// AppendChunk writes a chunk (RFC 9112 §7.1). Without data it is the last one,
// and the trailer section and an empty line have to follow.
func AppendChunk(b, data []byte) []byte {
	b = AppendChunkHead(b, len(data))
	if len(data) == 0 {
		return b
	}
	b = append(b, data...)
	return append(b, "\r\n"...)
}

// AppendChunkHead writes the size line of a chunk of n bytes.
func AppendChunkHead(b []byte, n int) []byte {
	return append(strconv.AppendUint(b, uint64(n), 16), "\r\n"...)
}
