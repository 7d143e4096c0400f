// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	"sallyport/gateway/h1"
)

// strictConn stands between a client and net/http's server and lets only
// bytes through that are unambiguous HTTP/1.1. The server accepts obsolete
// folding, bare LF and Transfer-Encoding beside Content-Length; each of them
// is one request here and two at the next hop.
//
// A head that breaks the grammar is replaced by a request with malformedMethod,
// so that the answer is made where all answers are made, in its turn behind
// the answers to the requests before it, and after it nothing more is read.
// A body that breaks the grammar ends in an error.
type strictConn struct {
	net.Conn
	tls     *tls.ConnectionState // nil: plain
	inside  *inside              // nil: the client's own connection
	maxHead int
	spare   []byte // read into where the caller brings too little; Read's own

	mu      sync.Mutex
	buf     []byte // read from the client and not handed on yet
	ready   int    // bytes of buf that were checked
	seen    int    // stateHead: bytes of buf that were looked at and are no whole head
	empty   int    // lines skipped ahead of the next head
	state   strictState
	length  int64      // stateLength: bytes of the body still to come
	chunks  h1.Chunked // stateChunked
	early   int        // stateOpaque: bytes handed on behind the head
	fault   *h1.Error  // what was wrong, once something was
	closing bool
	reset   bool  // Close is to be one
	end     error // came together with the last bytes of buf
}

type strictState uint8

const (
	stateHead    strictState = iota
	stateLength              // in a body of known length
	stateChunked             // in a chunked body
	stateOpaque              // behind a CONNECT or a WebSocket handshake: what comes may not be HTTP
	stateFault               // nothing more is read
)

// malformedMethod cannot be guessed, so no client can send it.
var malformedMethod = "MALFORMED-" + rand.Text()

var malformedHead = []byte(malformedMethod + " / HTTP/1.1\r\nHost: malformed\r\nConnection: close\r\n\r\n")

var errMalformedBody = errors.New("the request's body is malformed")

// Read implements net.Conn. net/http calls it from one goroutine at a time,
// but while a handler runs that is not the handler's.
func (c *strictConn) Read(p []byte) (int, error) {
	into := p
	if len(into) < 512 { // net/http waits for the next request with one byte
		if c.spare == nil {
			c.spare = make([]byte, 4<<10)
		}
		into = c.spare
	}
	for {
		c.mu.Lock()
		n, err := c.take(p)
		c.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		// The lock is free while the client is waited for: a refused CONNECT
		// must be able to say so meanwhile.
		n, err = c.Conn.Read(into)
		c.inside.alerted(err)
		if n == 0 && err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.end = err
		if len(c.buf) > 0 {
			c.buf = append(c.buf, into[:n]...)
			c.mu.Unlock()
			continue
		}
		// A body of any size goes through p without being copied or kept.
		c.buf = into[:n]
		n, err = c.take(p)
		c.buf = bytes.Clone(c.buf) // into is not ours, or read into again
		c.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// take hands on checked bytes, checking more when there are none.
func (c *strictConn) take(p []byte) (int, error) {
	if c.ready == 0 {
		c.check()
	}
	if c.ready > 0 {
		n := copy(p, c.buf[:c.ready])
		c.ready -= n
		if c.buf = c.buf[n:]; len(c.buf) == 0 {
			c.buf = nil // an idle connection holds no buffer
		}
		if c.state == stateOpaque {
			c.early += n
		}
		return n, nil
	}
	if c.state == stateFault {
		if c.fault != nil && c.fault.Status == 0 {
			return 0, errMalformedBody
		}
		return 0, io.EOF
	}
	return 0, c.end
}

// check moves ready forward over what is in buf, one message part at a time.
func (c *strictConn) check() {
	if len(c.buf) == 0 {
		return
	}
	switch c.state {
	case stateHead:
		c.checkHead()
	case stateLength:
		c.ready = int(min(int64(len(c.buf)), c.length))
		if c.length -= int64(c.ready); c.length == 0 {
			c.state = stateHead
		}
	case stateChunked:
		n, done, err := c.chunks.Scan(c.buf)
		c.ready = n
		switch {
		case err != nil:
			// Status 0: the head was fine, the answer belongs to it.
			c.fault, c.state = &h1.Error{Msg: err.Error()}, stateFault
			c.buf = c.buf[:n]
		case done:
			c.state = stateHead
		}
	case stateOpaque:
		c.ready = len(c.buf)
	case stateFault:
		c.buf = nil
	}
}

func (c *strictConn) checkHead() {
	// RFC 9112 §2.2: an empty line ahead of a request line is skipped; old
	// clients send one behind a POST.
	for ; len(c.buf) >= 2 && c.buf[0] == '\r' && c.buf[1] == '\n' && c.empty < maxEmpty; c.empty++ {
		c.buf = c.buf[2:]
	}
	if len(c.buf) == 0 || len(c.buf) == 1 && c.buf[0] == '\r' {
		return
	}
	// A head that comes a byte at a time must not be parsed a byte at a time.
	if c.seen > 0 && len(c.buf) <= c.maxHead && !bytes.ContainsAny(c.buf[c.seen-1:], "\r\n") {
		c.seen = len(c.buf)
		return
	}
	var head h1.Request
	n, err := head.Parse(c.buf[:min(len(c.buf), c.maxHead)]) // a fault within the limit comes first
	if err == nil && n == 0 {
		if len(c.buf) <= c.maxHead {
			c.seen = len(c.buf)
			return
		}
		err = &h1.Error{Status: 431, Msg: "the request's head is too large"}
	}
	if err == nil {
		err = readable(&head)
	}
	if err != nil {
		c.fault, c.state = asFault(err), stateFault
		c.buf, c.ready = malformedHead, len(malformedHead)
		return
	}
	c.ready, c.seen, c.empty = n, 0, 0
	switch {
	case head.Connect(), head.WebSocket:
		c.state, c.early = stateOpaque, -n // the head itself is not early
	case head.Chunked:
		c.state, c.chunks = stateChunked, h1.Chunked{}
	case head.Length > 0:
		c.state, c.length = stateLength, head.Length
	}
}

// readable refuses targets that net/http's server would refuse by an answer
// of its own, without a record.
func readable(h *h1.Request) error {
	target := string(h.Target)
	if h.Connect() && !strings.HasPrefix(target, "/") {
		target = "http://" + target
	}
	if _, err := url.ParseRequestURI(target); err != nil {
		return &h1.Error{Status: 400, Msg: "the request target is not a URL: " + urlReason(err)}
	}
	return nil
}

func urlReason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error() // without the URL, which may hold a password
	}
	return "it cannot be read"
}

// faulty returns what was wrong with the bytes of this connection, nil when
// nothing was.
func (c *strictConn) faulty() *h1.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault
}

// spoilt returns what was wrong with the body that is being read, nil when
// nothing was.
func (c *strictConn) spoilt() *h1.Error {
	if c == nil {
		return nil
	}
	if f := c.faulty(); f != nil && f.Status == 0 {
		return f
	}
	return nil
}
