// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
)

// What a client is answered is gathered in a buffer until it is worth a system
// call: head and body of a small answer are one.

// interim implements client.
func (c *conn) interim(status int, fields h1.Fields) error {
	c.asked.Lock()
	defer c.asked.Unlock()
	b := h1.AppendStatusLine(nil, status, http.StatusText(status))
	b = append(h1.AppendFields(b, fields), "\r\n"...)
	_, err := c.to.Write(b)
	return err
}

// begin implements client.
func (c *conn) begin(r *reply) error {
	if c.req.Expect {
		c.asked.Lock()
		defer c.asked.Unlock()
	}
	c.begun = true
	c.last = r.close || !c.req.KeepAlive || c.doomed || c.s.draining.Load()
	unframed := r.length < 0 && !r.none
	c.chunked = unframed && c.req.Minor == 1
	if unframed && !c.chunked {
		c.last = true // the end of the connection is the body's
	}
	c.out = messages.Get().(*[]byte)
	b := (*c.out)[:0]
	if len(r.reason) > 0 {
		b = h1.AppendStatusLine(b, r.status, r.reason)
	} else {
		b = h1.AppendStatusLine(b, r.status, http.StatusText(r.status))
	}
	b = h1.AppendFields(b, r.fields)
	if r.fields.Get(h1.Date) == nil { // RFC 9110 §6.6.1
		b = h1.AppendField(b, "Date", date(c.p.rec.Time))
	}
	if c.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case c.last:
		b = append(b, "Connection: close\r\n"...)
	case c.req.Minor == 0:
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	*c.out = append(b, "\r\n"...)
	return nil
}

// write implements client.
func (c *conn) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	const around = 16 // of a chunk
	if len(*c.out)+len(data)+around <= messageSize {
		if c.chunked {
			*c.out = h1.AppendChunk(*c.out, data)
		} else {
			*c.out = append(*c.out, data...)
		}
		return nil
	}
	c.answering()
	if c.chunked {
		*c.out = h1.AppendChunkHead(*c.out, len(data))
	}
	err := c.send2(*c.out, data)
	*c.out = (*c.out)[:0]
	if c.chunked {
		*c.out = append(*c.out, "\r\n"...)
	}
	return err
}

// flush implements client.
func (c *conn) flush() error {
	c.answering()
	return c.send()
}

// send sends what was gathered.
func (c *conn) send() error {
	if len(*c.out) == 0 {
		return nil
	}
	_, err := c.to.Write(*c.out)
	*c.out = (*c.out)[:0]
	return err
}

// send2 sends a and then b.
func (c *conn) send2(a, b []byte) error {
	if c.tls == nil {
		_, err := c.wire.Write2(a, b)
		return err
	}
	if len(a) > 0 {
		if _, err := c.tls.Write(a); err != nil {
			return err
		}
	}
	_, err := c.tls.Write(b)
	return err
}

// finish implements client.
func (c *conn) finish(trailers h1.Fields) error {
	if c.chunked {
		b := h1.AppendChunk(*c.out, nil)
		*c.out = append(h1.AppendFields(b, trailers), "\r\n"...)
	}
	return c.send()
}

// date is the Date field of answers, made once a second.
func date(now time.Time) string {
	d := lastDate.Load()
	if s := now.Unix(); d == nil || d.second != s {
		d = &dated{s, now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}

type dated struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[dated]
