// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"time"
)

// upload implements client.
func (c *conn) upload() *upload {
	if c.req.Length == 0 {
		return &nothing
	}
	u := &upload{body: (*bodyReader)(c), length: c.req.Length, arm: c.armBody, halt: c.haltBody}
	if c.req.Chunked {
		u.trailers = c.body.Trailers
	}
	return u
}

// nothing is the upload of every request without a body.
var nothing upload

func (c *conn) armBody() { c.patience = c.s.Limits.stall() }

func (c *conn) haltBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.midway, c.halted = true, true
	_ = c.wire.SetReadDeadline(past)
}

var past = time.Unix(1, 0)

// ready implements client.
func (c *conn) ready() int64 { return int64(len(c.in.Buffered())) }

// A bodyReader reads the body of the present request.
type bodyReader conn

func (r *bodyReader) Read(p []byte) (int, error) {
	c := (*conn)(r)
	for {
		if c.body.Done() {
			return 0, io.EOF
		}
		in := c.in.Buffered()
		if len(in) == 0 {
			if err := c.proceed(); err != nil {
				return 0, err
			}
			if err := c.in.Fill(); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
			continue
		}
		data, n, done, err := c.body.Next(in[:min(len(in), len(p))])
		m := copy(p, data)
		c.in.Discard(n)
		switch {
		case err != nil:
			c.midway = true
			return m, err
		case done && m > 0 && c.body.Done():
			return m, nil
		case m > 0:
			return m, nil
		}
	}
}

// proceed asks a client for its body that waits to be asked (RFC 9110 §10.1.1).
func (c *conn) proceed() error {
	c.asked.Lock()
	defer c.asked.Unlock()
	if !c.wanting || c.begun {
		return nil
	}
	c.wanting = false
	_, err := c.to.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return err
}
