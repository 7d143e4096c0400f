// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// fields are what an ordinary program sends; proxies pool less when they see
// Authorization, so it belongs there.
const fields = "User-Agent: bench/1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n" +
	"Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nX-Request-Id: 3f0c8a52-7c1d-4f5e-9d53-0a4c1f6a2b90\r\n"

// A way is how a client asks, and for what.
type way struct {
	form, scheme string // as the flags have them
	origin       string
	secure       bool   // TLS to the origin, in the tunnel
	size         int64  // of the answer
	upload       string // with a POST: a body of known "length", or "chunked"; none if empty
}

// usual is the way that the flags ask for.
func usual() way {
	return way{form: *form, scheme: *scheme, origin: *origin, secure: *secure, size: *size}
}

// What an upload sends, in chunks that are smaller than any proxy's buffer. It
// is answered with a kibibyte.
const (
	uploadSize = 64 << 10
	chunkSize  = 4 << 10
)

// request is the whole of it, with its body.
func (w way) request() []byte {
	method, target, more, body := "GET", fmt.Sprintf("/%d", w.size), "", []byte(nil)
	switch w.upload {
	case "length":
		method, target, more = "POST", "/upload", fmt.Sprintf("Content-Length: %d\r\n", uploadSize)
		body = bytes.Repeat([]byte{'.'}, uploadSize)
	case "chunked":
		method, target, more = "POST", "/upload", "Transfer-Encoding: chunked\r\n"
		chunk := fmt.Sprintf("%x\r\n%s\r\n", chunkSize, strings.Repeat(".", chunkSize))
		body = append(bytes.Repeat([]byte(chunk), uploadSize/chunkSize), "0\r\n\r\n"...)
	}
	if w.form == "absolute" {
		target = w.scheme + "://" + w.origin + target
	}
	return append([]byte(method+" "+target+" HTTP/1.1\r\nHost: "+w.origin+"\r\n"+fields+more+"\r\n"), body...)
}
