// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A tapedOrigin keeps what it is sent, byte by byte, and reads it by the
// strictest reading there is. One dialogue at a time is held with it.
type tapedOrigin struct {
	addr    string
	flushed chan struct{} // the connection that finish made has been accepted

	mu    sync.Mutex
	quiet sync.Cond // nothing is open
	open  map[*net.TCPConn]bool
	to    []script
	heard heard
}

// A script is what the origin says in answer to a request.
type script struct {
	text string
	end  bool // and then it closes
}

// A heard is what an origin was told in a dialogue.
type heard struct {
	requests []told
	stumps   []string // what ended before it was a request
	faults   []string // what no gateway may send
	opaque   string   // what followed a change of protocol
}

// A told is a request as the origin reads it.
type told struct {
	method, target, host string
	fields, trailers     http.Header
	body                 string
	raw                  string
}

func newTapedOrigin(t *testing.T) *tapedOrigin {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &tapedOrigin{addr: l.Addr().String(), flushed: make(chan struct{}), open: make(map[*net.TCPConn]bool)}
	o.quiet.L = &o.mu
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.open[c.(*net.TCPConn)] = true
			o.mu.Unlock()
			go o.talk(c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting
		o.hangUp()
	})
	return o
}

func (o *tapedOrigin) named(text string) string { return strings.ReplaceAll(text, "ORIGIN", o.addr) }

func (o *tapedOrigin) begin(answers []script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to, o.heard = answers, heard{}
}

// settle returns what was heard once there is nothing more to hear. The
// connection it makes comes behind all that were made before.
func (o *tapedOrigin) settle() heard {
	c, err := net.Dial("tcp", o.addr)
	if err != nil {
		panic(err)
	}
	_, _ = c.Write([]byte{0})
	<-o.flushed
	c.Close()
	o.hangUp()
	return o.heard
}

func (o *tapedOrigin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.open {
		_ = c.CloseWrite()
	}
	for len(o.open) > 0 {
		o.quiet.Wait()
	}
}

func (o *tapedOrigin) talk(c *net.TCPConn) {
	defer func() {
		_ = c.SetLinger(0) // leave no port in TIME_WAIT
		c.Close()
		o.mu.Lock()
		delete(o.open, c)
		o.quiet.Signal()
		o.mu.Unlock()
	}()
	var tape strings.Builder
	br := bufio.NewReaderSize(io.TeeReader(c, &tape), 64<<10)
	if b, err := br.Peek(1); err == nil && b[0] == 0 {
		o.flushed <- struct{}{}
		return
	}
	for from := 0; ; {
		h, opaque, err := readTold(br, func() { _, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n") })
		to := tape.Len() - br.Buffered()
		h.raw = tape.String()[from:to]
		from = to
		if err == nil {
			err = strictly(h.raw)
		}
		if err != nil {
			o.broken(h.raw, err)
			_, _ = io.Copy(io.Discard, c)
			return
		}
		say := o.answer(h)
		if say == (script{}) {
			say.text = fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(h.target), h.target)
			if h.method == http.MethodHead {
				say.text = strings.TrimSuffix(say.text, h.target)
			}
		}
		_, _ = io.WriteString(c, say.text)
		opaque = opaque && strings.Contains(say.text, "HTTP/1.1 101 ")
		if !say.end && !opaque {
			continue
		}
		_ = c.CloseWrite()
		rest, _ := io.ReadAll(br)
		if opaque {
			o.mu.Lock()
			o.heard.opaque += string(rest)
			o.mu.Unlock()
		}
		return
	}
}

func (o *tapedOrigin) answer(h told) (say script) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.heard.requests); n < len(o.to) {
		say = o.to[n]
	}
	o.heard.requests = append(o.heard.requests, h)
	return say
}

// broken is told of what was no request.
func (o *tapedOrigin) broken(raw string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case raw == "":
	case cutShort(err):
		o.heard.stumps = append(o.heard.stumps, raw)
	default:
		o.heard.faults = append(o.heard.faults, fmt.Sprintf("%v in %q", err, raw))
	}
}
