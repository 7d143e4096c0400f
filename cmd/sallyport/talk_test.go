// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdRaw sends a text byte for byte and prints what comes until the connection
// ends: raw ADDR 'GET http://x/ HTTP/1.1\r\n…'. Go's escapes are understood.
func cmdRaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: raw addr text")
	}
	c, err := net.DialTimeout("tcp", args[0], patience)
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write(unescape(ts, args[1]))
	ts.Check(err)
	got, err := io.ReadAll(c)
	if err != nil {
		ts.Fatalf("the connection did not end in order: %v after %q", err, got)
	}
	fmt.Fprintf(ts.Stdout(), "%s", got)
}

func unescape(ts *testscript.TestScript, s string) []byte {
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	ts.Check(err)
	return []byte(text)
}

// A conversation is a connection that a script talks over line by line.
type conversation struct {
	conn net.Conn
	got  bytes.Buffer
}

func (c *conversation) close() { c.conn.Close() }

// cmdTalk holds a conversation:
//
//	talk NAME dial ADDR
//	talk NAME send TEXT         (Go's escapes)
//	talk NAME fill N            (N bytes of a pattern)
//	talk NAME expect REGEXP     (reads until it matches; what was matched is used up)
//	talk NAME tls SNI [TEXT]    (TLS client from here; TEXT goes out in front of the
//	                             ClientHello in the same write, and its answer is skipped)
//	talk NAME half              (no more bytes from us)
//	talk NAME end [reset]       (the other side has ended in order, or by a reset)
//	talk NAME close
func cmdTalk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: talk name verb ...")
	}
	w, name, verb, rest := worldOf(ts), args[0], args[1], append(args[2:], "", "")
	if verb == "dial" {
		conn, err := net.DialTimeout("tcp", rest[0], patience)
		ts.Check(err)
		w.talks[name] = &conversation{conn: conn}
		return
	}
	c := w.talks[name]
	if c == nil {
		ts.Fatalf("no conversation %s", name)
	}
	ts.Check(c.conn.SetDeadline(time.Now().Add(patience)))
	switch verb {
	case "send":
		_, err := c.conn.Write(unescape(ts, rest[0]))
		ts.Check(err)
	case "fill":
		n, err := strconv.ParseInt(rest[0], 10, 64)
		ts.Check(err)
		_, err = io.Copy(c.conn, io.LimitReader(pattern{}, n))
		ts.Check(err)
	case "expect":
		c.expect(ts, regexp.MustCompile("(?s)"+rest[0]))
	case "tls":
		c.startTLS(ts, w, rest[0], rest[1])
	case "half":
		ts.Check(c.conn.(interface{ CloseWrite() error }).CloseWrite())
	case "end":
		n, err := io.Copy(&c.got, c.conn)
		reset := err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !reset || reset != (rest[0] == "reset") {
			ts.Fatalf("%s ended after %d more bytes with %v: %q", name, n, err, c.got.String())
		}
	case "close":
		c.close()
	default:
		ts.Fatalf("talk has no verb %s", verb)
	}
}

func (c *conversation) expect(ts *testscript.TestScript, re *regexp.Regexp) {
	buf := make([]byte, 4096)
	for {
		if m := re.FindIndex(c.got.Bytes()); m != nil {
			c.got.Next(m[1])
			return
		}
		n, err := c.conn.Read(buf)
		c.got.Write(buf[:n])
		if err != nil && !re.Match(c.got.Bytes()) {
			ts.Fatalf("%v before %q came; got %q", err, re, c.got.String())
		}
	}
}

func (c *conversation) startTLS(ts *testscript.TestScript, w *world, sni, ahead string) {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	conn := net.Conn(c.conn)
	if ahead != "" {
		conn = &aheadConn{Conn: c.conn, first: unescape(ts, ahead)}
	}
	t := tls.Client(conn, &tls.Config{ServerName: sni, RootCAs: roots})
	if err := t.Handshake(); err != nil {
		fmt.Fprintf(ts.Stderr(), "%v\n", err)
		fmt.Fprintf(ts.Stdout(), "handshake failed: %v\n", err)
		return
	}
	c.conn = t
	fmt.Fprintf(ts.Stdout(), "handshake done with %s\n", t.ConnectionState().PeerCertificates[0].Subject)
}

// An aheadConn writes first in front of its first write, and skips the answer's
// head on its first read.
type aheadConn struct {
	net.Conn
	first   []byte
	skipped bool
}

func (c *aheadConn) Write(b []byte) (int, error) {
	out := append(c.first, b...)
	c.first = nil
	n, err := c.Conn.Write(out)
	return max(0, n-(len(out)-len(b))), err
}

func (c *aheadConn) Read(b []byte) (int, error) {
	one := make([]byte, 1)
	for head := []byte(nil); !c.skipped; c.skipped = bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := c.Conn.Read(one); err != nil {
			return 0, fmt.Errorf("%w in the answer's head %q", err, head)
		}
		head = append(head, one[0])
	}
	return c.Conn.Read(b)
}
