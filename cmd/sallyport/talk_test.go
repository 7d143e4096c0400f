// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

// cmdRefused waits until nobody accepts connections at an address: refused ADDR.
func cmdRefused(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: refused addr")
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c, err := net.DialTimeout("tcp", args[0], patience)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			c.Close()
		}
	}
	ts.Fatalf("%s still accepts connections", args[0])
}

// A conversation is a connection that a script talks over line by line.
type conversation struct {
	conn  net.Conn
	got   bytes.Buffer
	split string // how the ClientHello is cut up, "" not
}

func (c *conversation) close() { c.conn.Close() }

// cmdTalk holds a conversation:
//
//	talk NAME dial ADDR [FROM]  (from that address of this machine)
//	talk NAME send TEXT         (Go's escapes)
//	talk NAME fill N            (N bytes of a pattern; their SHA-256 is $sent)
//	talk NAME chunks N          (the same in chunks of many sizes, without the last one)
//	talk NAME expect REGEXP     (reads until it matches; what was matched is used up,
//	                             and the first group, where there is one, is $matched)
//	talk NAME read N            (N bytes; their SHA-256 is $got)
//	talk NAME split bytes|records
//	                            (the ClientHello will go out a byte a write, or in
//	                             records of one byte)
//	talk NAME tls SNI [TEXT] [ALPN,ALPN]
//	                            (TLS client from here; TEXT goes out in front of the
//	                             ClientHello in the same write, and its answer is
//	                             skipped; an address as SNI sends none)
//	talk NAME half              (no more bytes from us)
//	talk NAME end [reset]       (the other side has ended in order, or by a reset)
//	talk NAME close
//	talk NAME reset             (closes by a reset)
func cmdTalk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: talk name verb ...")
	}
	w, name, verb, rest := worldOf(ts), args[0], args[1], append(args[2:], "", "", "")
	if verb == "dial" {
		d := net.Dialer{Timeout: patience}
		if from := net.ParseIP(rest[1]); from != nil {
			d.LocalAddr = &net.TCPAddr{IP: from}
		}
		conn, err := d.Dial("tcp", rest[0])
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
		h := sha256.New()
		_, err = io.Copy(io.MultiWriter(c.conn, h), io.LimitReader(pattern{}, n))
		ts.Check(err)
		ts.Setenv("sent", hex.EncodeToString(h.Sum(nil)))
	case "chunks":
		n, err := strconv.Atoi(rest[0])
		ts.Check(err)
		c.chunks(ts, n)
	case "expect":
		c.expect(ts, regexp.MustCompile("(?s)"+rest[0]))
	case "split":
		c.split = rest[0]
	case "read":
		n, err := strconv.ParseInt(rest[0], 10, 64)
		ts.Check(err)
		h := sha256.New()
		m, err := io.CopyN(h, io.MultiReader(&c.got, c.conn), n)
		if err != nil {
			ts.Fatalf("%v after %d of %d bytes", err, m, n)
		}
		ts.Setenv("got", hex.EncodeToString(h.Sum(nil)))
	case "tls":
		c.startTLS(ts, w, rest[0], rest[1], rest[2])
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
	case "reset":
		ts.Check(c.conn.(*net.TCPConn).SetLinger(0))
		c.close()
	default:
		ts.Fatalf("talk has no verb %s", verb)
	}
}

func (c *conversation) chunks(ts *testscript.TestScript, n int) {
	h := sha256.New()
	w := bufio.NewWriterSize(c.conn, 10_000) // writes that end anywhere
	for size := 1; n > 0; size = size*3 + 1 {
		size = min(size%70_001, n)
		chunk := make([]byte, size)
		_, _ = pattern{}.Read(chunk)
		h.Write(chunk)
		fmt.Fprintf(w, "%x\r\n%s\r\n", size, chunk)
		n -= size
	}
	ts.Check(w.Flush())
	ts.Setenv("sent", hex.EncodeToString(h.Sum(nil)))
}

func (c *conversation) expect(ts *testscript.TestScript, re *regexp.Regexp) {
	buf := make([]byte, 4096)
	for {
		if m := re.FindSubmatchIndex(c.got.Bytes()); m != nil {
			if len(m) > 2 && m[2] >= 0 {
				ts.Setenv("matched", string(c.got.Bytes()[m[2]:m[3]]))
			}
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

func (c *conversation) startTLS(ts *testscript.TestScript, w *world, sni, ahead, alpn string) {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	conn := net.Conn(c.conn)
	if ahead != "" {
		conn = &aheadConn{Conn: c.conn, first: unescape(ts, ahead)}
	}
	if c.split != "" {
		conn = &splitConn{Conn: conn, records: c.split == "records"}
	}
	config := &tls.Config{ServerName: sni, RootCAs: roots}
	if alpn != "" {
		config.NextProtos = strings.Split(alpn, ",")
	}
	t := tls.Client(conn, config)
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

// A splitConn cuts its first write, a ClientHello, as finely as can be.
type splitConn struct {
	net.Conn
	records bool // cut the record, else the write
	done    bool
}

func (c *splitConn) Write(b []byte) (int, error) {
	if c.done {
		return c.Conn.Write(b)
	}
	c.done = true
	if !c.records {
		for i := range b {
			if _, err := c.Conn.Write(b[i : i+1]); err != nil {
				return i, err
			}
		}
		return len(b), nil
	}
	var out []byte
	for _, x := range b[5:] { // one record came in: type, version, length, message
		out = append(out, b[0], b[1], b[2], 0, 1, x)
	}
	_, err := c.Conn.Write(out)
	return len(b), err
}

// cmdMany opens N tunnels at once and moves so many bytes both ways through
// each of them, to an origin that echoes: many N GATEWAY HOST:PORT BYTES. Every
// byte has to come back in its place.
func cmdMany(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: many n gateway host:port bytes")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	size, err := strconv.Atoi(args[3])
	ts.Check(err)
	failures := make(chan error, n)
	var all, open sync.WaitGroup
	open.Add(n)
	for i := range n {
		all.Go(func() {
			if err := echoed(args[1], args[2], uint8(i), size, &open); err != nil {
				failures <- fmt.Errorf("tunnel %d: %w", i, err)
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		ts.Fatalf("%v", err)
	}
}

// echoed is one tunnel of cmdMany. open is done when its tunnel stands, and
// waited for before a byte moves.
func echoed(gateway, origin string, seed uint8, size int, open *sync.WaitGroup) error {
	standing := sync.OnceFunc(open.Done)
	defer standing()
	c, err := net.DialTimeout("tcp", gateway, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", origin, origin)
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("no tunnel: %v %w", res, err)
	}
	if _, err := br.ReadString('\n'); err != nil { // the origin's banner
		return err
	}
	standing()
	open.Wait()
	sent, got := sha256.New(), sha256.New()
	wrote := make(chan error, 1)
	go func() {
		source := rand.NewChaCha8([32]byte{seed})
		_, err := io.Copy(io.MultiWriter(c, sent), io.LimitReader(source, int64(size)))
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		wrote <- err
	}()
	back, err := io.Copy(got, br)
	if err := errors.Join(err, <-wrote); err != nil {
		return fmt.Errorf("after %d bytes: %w", back, err)
	}
	if back != int64(size) || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		return fmt.Errorf("%d bytes came back of %d, or others", back, size)
	}
	return nil
}
