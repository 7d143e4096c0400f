// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// A statusError is an answer other than 200.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("answered %d", int(s)) }

// A client is one connection and the request it sends over and over.
type client struct {
	net.Conn
	tcp     net.Conn
	br      *bufio.Reader
	request []byte
	size    int64 // of the answer
}

// dial is for a connection that is over after life.
func (w way) dial(life time.Duration) (*client, error) {
	c, err := net.DialTimeout("tcp", *proxy, 5*time.Second)
	if err != nil {
		return nil, err
	}
	cl := &client{Conn: c, tcp: c, request: w.request(), size: w.size}
	_ = c.SetDeadline(time.Now().Add(life))
	if w.form == "connect" {
		if err := connect(c, w.origin); err != nil {
			c.Close()
			return nil, err
		}
	}
	if w.secure {
		t := tls.Client(c, tlsConfig)
		if err := t.Handshake(); err != nil {
			c.Close()
			return nil, err
		}
		cl.Conn = t
	}
	cl.br = bufio.NewReaderSize(cl.Conn, 16<<10)
	return cl, nil
}

// connect asks for a tunnel. Nothing follows the answer before the client has
// spoken, so it may be read as it comes.
func connect(c net.Conn, origin string) error {
	if _, err := io.WriteString(c, "CONNECT "+origin+" HTTP/1.1\r\nHost: "+origin+"\r\nUser-Agent: bench/1\r\n\r\n"); err != nil {
		return err
	}
	var buf [4 << 10]byte
	n := 0
	for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
		m, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		if n += m; n == len(buf) {
			return fmt.Errorf("the answer to CONNECT has no end")
		}
	}
	return statusOf(buf[:n])
}

func statusOf(line []byte) error {
	if len(line) < 12 {
		return fmt.Errorf("no status in %q", line)
	}
	if s, _ := strconv.Atoi(string(line[9:12])); s != 200 {
		return statusError(s)
	}
	return nil
}

// exchange sends the request and reads the answer, counting bytes as they come
// when got is not nil. It reports whether the connection ends with it.
func (c *client) exchange(got *atomic.Int64) (last bool, err error) {
	if _, err = c.Write(c.request); err != nil {
		return true, err
	}
	left := int64(-1)
	for first := true; ; first = false {
		line, err := c.br.ReadSlice('\n')
		if err != nil {
			return true, err
		}
		if first {
			if err := statusOf(line); err != nil {
				return true, err
			}
			continue
		}
		if len(line) <= 2 {
			break
		}
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case bytes.EqualFold(name, []byte("content-length")):
			left, _ = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		case bytes.EqualFold(name, []byte("connection")):
			last = bytes.Contains(bytes.ToLower(value), []byte("close"))
		}
	}
	if left != c.size {
		return true, fmt.Errorf("an answer of %d bytes, want %d", left, c.size)
	}
	for left > 0 {
		if c.br.Buffered() == 0 {
			if _, err := c.br.Peek(1); err != nil {
				return true, err
			}
		}
		n, _ := c.br.Discard(int(min(left, int64(c.br.Buffered()))))
		left -= int64(n)
		if got != nil {
			got.Add(int64(n))
		}
	}
	return last, nil
}

// leave asks, and goes away while the answer comes.
func (c *client) leave() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	line, err := c.br.ReadSlice('\n')
	if err != nil {
		return err
	}
	if err := statusOf(line); err != nil {
		return err
	}
	_, err = io.CopyN(io.Discard, c.br, min(64<<10, c.size/2))
	return err
}

// close leaves without a close_notify, which some proxies would pass on and
// others not.
func (c *client) close() { c.tcp.Close() }
