// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"net"

	"sallyport/gateway/h1"
)

// A client is the side that a request came from: its body, and the one answer
// to it. There are two: the engine's (conn.go) and net/http's (standard.go);
// whoever decides, records, refuses and forwards need not know which.
type client interface {
	// context ends with the client's connection; its cause says why.
	context() context.Context

	// tie closes c when the client's connection ends, until another is tied to it;
	// nil: nothing.
	tie(c io.Closer)

	// upload is the request's body, which is never nil.
	upload() *upload

	// ready is how many bytes of the connection have come behind the head and can
	// be read without waiting.
	ready() int64

	// interim passes an answer of class 1xx on, or nothing to a client that would
	// take it for the final one.
	interim(status int, fields h1.Fields) error

	// begin begins the final answer. What is written may be kept until flush or
	// finish. An error of these means that the client has gone.
	begin(*reply) error
	write(body []byte) error
	flush() error
	finish(trailers h1.Fields) error

	// abort resets the connection, so that nobody takes a broken answer for a whole one.
	abort()

	// reusable reports whether the connection can carry another request as far as
	// what came behind this one goes.
	reusable() bool

	// takeOver says something on the connection and gives it up, with what was read
	// from it ahead.
	takeOver(say []byte) (net.Conn, []byte, error)
}

// A reply is the head of an answer to a client.
type reply struct {
	status int
	reason []byte // empty: the status' usual one
	fields h1.Fields
	length int64 // of the body; -1: not known, in chunks or to the end of the connection
	none   bool  // no body follows, whatever the fields say of one
	close  bool  // the last answer on this connection
}
