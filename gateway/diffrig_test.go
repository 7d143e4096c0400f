// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/policy"
)

// A dialogue is what a client says on one connection, and what the origin
// answers meanwhile. ORIGIN stands for the origin's host and port.
type dialogue struct {
	name    string
	say     []piece
	half    bool     // and then the client sends no more
	answers []script // in turn; every request behind them is answered by its target
}

// A piece of a dialogue goes out by itself.
type piece struct {
	text  string
	after int // so many passages have ended
}

// patience bounds what must not last. Nothing that is right waits for it.
const patience = 30 * time.Second

// twins are the two data paths in front of the same origin.
type twins struct {
	t        *testing.T
	origin   *tapedOrigin
	engine   *twin
	standard *twin
}

type twin struct {
	server  *Server
	addr    string
	records chan *Record
	handed  chan struct{} // a token for each record
	tls     *tls.Config   // by which its clients come; nil: in the clear
}

// A halfCloser is a connection that can say that no more comes.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// dial connects to the twin as its clients do.
func (w *twin) dial() (halfCloser, error) {
	if w.tls != nil {
		c, err := tls.Dial("tcp", w.addr, w.tls)
		return overTLS{c}, err
	}
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// overTLS ends both TLS and TCP when no more comes, as most that half-close do.
type overTLS struct{ *tls.Conn }

func (c overTLS) CloseWrite() error {
	if err := c.Conn.CloseWrite(); err != nil {
		return err
	}
	return c.NetConn().(*net.TCPConn).CloseWrite()
}

func newTwins(t *testing.T) *twins {
	p, err := policy.Parse("twins.yaml", []byte("version: 1\nrules:\n"+
		"  - {name: all, from: 127.0.0.0/8, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	gen := &Generation{Policy: p}
	w := &twins{t: t, origin: newTapedOrigin(t)}
	for _, twin := range []**twin{&w.engine, &w.standard} {
		n := newTwin(gen)
		n.server.Standard = twin == &w.standard
		n.addr = serve(t, n.server)
		*twin = n
	}
	return w
}

func newTwin(gen *Generation) *twin {
	w := &twin{records: make(chan *Record, 1<<12), handed: make(chan struct{}, 1<<12)}
	w.server = &Server{
		Generation: func() *Generation { return gen },
		Observe: func(r *Record) {
			w.records <- r
			w.handed <- struct{}{}
		},
	}
	return w
}

// A seen is all that a dialogue came to.
type seen struct {
	answers []answered
	records []*Record // one for each answer, and then those without one
	heard             // by the origin
	spoilt  string    // why the client cannot read what it got; "" if it can
}

// An answered is an answer as the client reads it.
type answered struct {
	interim []int // but for 100, which is sent or spared as the body has come
	status  int
	header  http.Header
	trailer http.Header
	body    string
	refused bool // by the gateway
	whole   bool
}

// hold holds a dialogue through one of the twins, on connections of its own.
func (w *twins) hold(d dialogue, by *twin) *seen {
	w.origin.begin(d.answers)
	c, err := by.dial()
	if err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	ended, spoken := make(chan struct{}), make(chan struct{})
	mute := false // the server hung up before all was said
	go func() {
		defer close(spoken)
		mute = !w.speak(c, d, by, ended)
	}()
	in, err := io.ReadAll(c)
	if isTimeout(err) {
		w.t.Errorf("%s: the connection did not end", d.name)
	}
	close(ended)
	<-spoken
	c.Close()
	s := &seen{}
	s.read(string(in), err != nil || mute, by)
	by.rest(w.t)
	for len(by.records) > 0 {
		s.records = append(s.records, <-by.records)
	}
	for len(by.handed) > 0 {
		<-by.handed
	}
	by.server.pool.close()
	by.server.transports.close()
	s.heard = w.origin.settle()
	return s
}

// rest waits until all that a client has begun is over and its record handed over, which
// may be after its connection has ended: the next dialogue would take it for its own.
func (w *twin) rest(t *testing.T) {
	w.server.passages.Wait()
	until(t, "the tunnels are over", func() bool { return w.server.tunnels.count() == 0 })
}

// speak reports whether it could say all.
func (w *twins) speak(c halfCloser, d dialogue, by *twin, ended <-chan struct{}) bool {
	passages := 0
	for _, p := range d.say {
		for ; passages < p.after; passages++ {
			select {
			case <-by.handed:
			case <-ended:
				return false
			}
		}
		if _, err := io.WriteString(c, w.origin.named(p.text)); err != nil {
			return false
		}
	}
	if d.half {
		_ = c.CloseWrite()
	}
	return true
}

// read takes what the client got apart. The record of a passage says what the
// answer is one to, which tells whether it has a body.
func (s *seen) read(in string, cut bool, by *twin) {
	br := bufio.NewReader(strings.NewReader(in))
	var interim []int
	for {
		line, err := br.Peek(len("HTTP/1.1 200"))
		if err != nil {
			if len(line) > 0 {
				s.spoilt = "a stump of an answer: " + string(line)
			}
			return
		}
		if line[9] == '1' && string(line[9:]) != "101" {
			res, err := http.ReadResponse(br, nil)
			if err != nil {
				s.spoilt = "an interim answer: " + err.Error()
				return
			}
			if res.StatusCode != http.StatusContinue {
				interim = append(interim, res.StatusCode)
			}
			continue
		}
		var rec *Record
		select {
		case rec = <-by.records:
		case <-time.After(patience):
			s.spoilt = "an answer that no record tells of"
			return
		}
		s.records = append(s.records, rec)
		res, err := http.ReadResponse(br, &http.Request{Method: rec.Method})
		if err != nil {
			s.spoilt = "an answer: " + err.Error()
			return
		}
		a := answered{status: res.StatusCode, interim: interim, header: res.Header, refused: res.Header.Get("Proxy-Status") != ""}
		interim = nil
		body, err := io.ReadAll(res.Body)
		a.body, a.trailer, a.whole = string(body), res.Trailer, err == nil
		if cut && res.ContentLength < 0 && len(res.TransferEncoding) == 0 && rec.Outcome == Failed {
			a.whole = false // the client, too, can tell by the reset; unless it learns of that as it writes
		}
		s.answers = append(s.answers, a)
		if a.status == http.StatusSwitchingProtocols {
			rest, _ := io.ReadAll(br)
			s.answers[len(s.answers)-1].body = string(rest)
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			s.spoilt = "the body of an answer: " + err.Error()
			return
		}
	}
}

// forwarded are the passages that came to an origin.
func (s *seen) forwarded() []*Record {
	return slices.DeleteFunc(slices.Clone(s.records), func(r *Record) bool { return !r.Origin.Addr.IsValid() })
}
