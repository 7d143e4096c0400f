// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/gateway/wire"
	"sallyport/policy"
)

// FuzzOneRequestIn gives the engine whatever bytes as a client's connection, in
// two pieces. What the origin gets is one request for each that was passed on,
// with the method, the target, the Host and the body that net/http reads in
// what the client said. Nothing is dialled: the pool holds connections in memory.
func FuzzOneRequestIn(f *testing.F) {
	for _, r := range bases {
		f.Add([]byte(inTest(r.String()+get.String())), 7)
	}
	for _, v := range vectors {
		f.Add([]byte(inTest(v)), 100000)
	}
	for _, b := range bodies {
		if r := put; len(b) < 1<<10 { // mutations of long ones take long
			r.body = b
			f.Add([]byte(inTest(r.String()+get.String())), 120)
		}
	}
	p, err := policy.Parse("fuzz.yaml", []byte("version: 1\nrules:\n  - {name: all, from: any, to: origin.test, mode: relay}\n"), f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	to := route{host: "origin.test", port: 80, permit: p.Rules[0].PermitKey()}
	by := newTwin(&Generation{Policy: p})
	by.server.Dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nothing is looked up")
	}}
	br := bufio.NewReaderSize(nil, 32<<10) // a trailer section has to fit
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		if bytes.HasPrefix(in, []byte(http2Preface)) { // nobody's requests of HTTP/1.1
			return
		}
		at = min(max(at, 0), len(in))
		o := &pocketOrigin{br: br}
		for range 3 {
			o.open(&by.server.pool, to)
		}
		client := &pocketClient{scriptConn{partsConn: partsConn{parts: [][]byte{bytes.Clone(in[:at]), bytes.Clone(in[at:])}}, done: make(chan struct{})}}
		c := &conn{s: by.server}
		c.accept(arrival{conn: client})
		c.serve()
		by.server.pool.close()
		s := &seen{}
		s.read(client.out.String(), false, by)
		for len(by.records) > 0 {
			s.records = append(s.records, <-by.records)
		}
		for len(by.handed) > 0 {
			<-by.handed
		}
		s.heard = o.end()
		wrong := s.wrong(string(in), 0)
		if s.spoilt != "" {
			wrong = append(wrong, s.spoilt)
		}
		// What the engine reads and net/http does not is in the table: see explained.
		if len(wrong) > 0 && !strings.Contains(wrong[0], "net/http finds only") {
			t.Fatalf("%q\n%s", in, strings.Join(wrong, "\n"))
		}
	})
}

func inTest(text string) string { return strings.ReplaceAll(text, "ORIGIN", "origin.test") }

// A pocketClient is a client with an address.
type pocketClient struct{ scriptConn }

func (*pocketClient) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// A pocketOrigin is a tapedOrigin in memory.
type pocketOrigin struct {
	mu    sync.Mutex
	heard heard
	conns []*pocketConn
	br    *bufio.Reader // for all of them; mu
}

// A pocketConn is the engine's end of a connection to a pocketOrigin.
type pocketConn struct {
	net.Conn
	o      *pocketOrigin
	told   sync.Cond // or closed
	in     []byte    // and not read as a request yet
	out    []byte
	asked  bool // to proceed
	closed bool
}

// open puts a connection into the pool.
func (o *pocketOrigin) open(in *pool, to route) {
	c := &pocketConn{o: o}
	c.told.L = &o.mu
	o.conns = append(o.conns, c)
	h := &hop{leg: &leg{Conn: c, addr: netip.MustParseAddrPort("192.0.2.1:80")}, route: to, pool: in}
	h.say = h.send
	h.wire = wire.New(c)
	h.in, h.w = h.wire, h.wire
	in.keep(h, time.Now())
}

func (c *pocketConn) Write(b []byte) (int, error) {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.in = append(c.in, b...)
	c.told.Signal()
	return len(b), nil
}

func (c *pocketConn) Read(b []byte) (int, error) {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	for !c.listen() && !c.closed {
		c.told.Wait()
	}
	if len(c.out) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.out)
	c.out = c.out[n:]
	return n, nil
}

// listen answers what has come and reports whether there was something to say.
func (c *pocketConn) listen() bool {
	if len(c.in) == 0 || len(c.out) > 0 {
		return len(c.out) > 0
	}
	rest := bytes.NewReader(c.in)
	br := c.o.br
	br.Reset(rest)
	h, _, err := readTold(br, func() {
		if !c.asked {
			c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
		}
		c.asked = true
	})
	n := len(c.in) - rest.Len() - br.Buffered()
	h.raw = string(c.in[:n])
	if err == nil {
		err = strictly(h.raw)
	}
	switch {
	case err == nil:
		c.o.heard.requests = append(c.o.heard.requests, h)
		c.in, c.asked = c.in[n:], false
		c.out = fmt.Appendf(c.out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(h.target))
		if h.method != http.MethodHead {
			c.out = append(c.out, h.target...)
		}
	case !cutShort(err):
		c.o.heard.faults = append(c.o.heard.faults, fmt.Sprintf("%v in %q", err, h.raw))
		c.closed = true
	}
	return len(c.out) > 0
}

func (c *pocketConn) Close() error {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.closed = true
	c.told.Signal()
	return nil
}

func (c *pocketConn) SetDeadline(time.Time) error      { return nil }
func (c *pocketConn) SetReadDeadline(time.Time) error  { return nil }
func (c *pocketConn) SetWriteDeadline(time.Time) error { return nil }
func (c *pocketConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// end returns what was heard. What was left on a connection must be a stump.
func (o *pocketOrigin) end() heard {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.conns {
		if c.listen(); len(c.in) > 0 {
			o.heard.stumps = append(o.heard.stumps, string(c.in))
		}
	}
	return o.heard
}
