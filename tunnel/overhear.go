// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Go's resolver does everything a resolver has to, and forgets to say how long
// its answers are good for. So its conversations with name servers are
// overheard: the connections it dials note the lifetimes of what comes back.

// A lifetime gathers how long the answers to one lookup are good for: the
// shortest counts, over all records and all questions (A and AAAA). It also
// knows who was asked.
type lifetime struct {
	dialled chan struct{} // closed when some name server is; nil: nobody waits for that

	mu       sync.Mutex
	asked    server // the first that was dialled
	from     server // the last that answered
	heard    bool
	positive time.Duration
	denied   bool
	negative time.Duration
}

type lifetimeKey struct{}

// A server is a name server, as Go's resolver dials it.
type server struct{ network, addr string }

func newLifetime() *lifetime { return &lifetime{dialled: make(chan struct{})} }

// dial is told that s is dialled.
func (l *lifetime) dial(s server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == (server{}) {
		l.asked = s
		if l.dialled != nil {
			close(l.dialled)
		}
	}
}

// server is who can be asked for more: whoever answered, or at least was asked.
// The zero server: nobody was.
func (l *lifetime) server() server {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from != (server{}) {
		return l.from
	}
	return l.asked
}

// hear reads one message of the name server s.
func (l *lifetime) hear(s server, message []byte) {
	l.mu.Lock()
	l.from = s
	l.mu.Unlock()
	l.note(message)
}

// of is how long a lookup that ended in err may be remembered.
func (l *lifetime) of(err error) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var dns *net.DNSError
	switch {
	case err == nil && l.heard:
		return min(l.positive, maxTTL)
	case errors.As(err, &dns) && dns.IsNotFound && l.denied:
		return min(l.negative, maxNegative)
	}
	return unheardTTL
}

// note reads the lifetimes in one message of a name server.
func (l *lifetime) note(message []byte) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil || p.SkipAllQuestions() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			break
		}
		if ttl := time.Duration(h.TTL) * time.Second; !l.heard || ttl < l.positive {
			l.heard, l.positive = true, ttl
		}
		if p.SkipAnswer() != nil {
			return
		}
	}
	for { // the SOA of a negative answer, RFC 2308 §5
		h, err := p.AuthorityHeader()
		if err != nil {
			return
		}
		if h.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return
		}
		if ttl := time.Duration(min(h.TTL, soa.MinTTL)) * time.Second; !l.denied || ttl < l.negative {
			l.denied, l.negative = true, ttl
		}
	}
}

// overhear returns a resolver that asks as r does and tells the lifetime in its
// context what it heard.
func overhear(r *net.Resolver) *net.Resolver {
	o := &net.Resolver{PreferGo: true}
	if r != nil {
		o.StrictErrors = r.StrictErrors
	}
	dial := dialServer(r)
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		l, ok := ctx.Value(lifetimeKey{}).(*lifetime)
		s := server{network, addr}
		if ok {
			l.dial(s)
		}
		c, err := dial(ctx, network, addr)
		if err != nil || !ok {
			return c, err
		}
		if pc, ok := c.(net.PacketConn); ok { // a message a read, as the resolver sees it too
			return &packetEar{Conn: c, PacketConn: pc, to: l, of: s}, nil
		}
		return &streamEar{Conn: c, to: l, of: s}, nil
	}
	return o
}

// dialServer is how r, or nil, reaches name servers.
func dialServer(r *net.Resolver) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if r != nil && r.Dial != nil {
		return r.Dial
	}
	return (&net.Dialer{}).DialContext
}

// A packetEar listens on UDP. It has to be a net.PacketConn, by which Go's
// resolver knows what it speaks.
type packetEar struct {
	net.Conn
	net.PacketConn
	to *lifetime
	of server
}

func (e *packetEar) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if n > 0 {
		e.to.hear(e.of, b[:n])
	}
	return n, err
}

func (e *packetEar) Close() error                       { return e.Conn.Close() }
func (e *packetEar) LocalAddr() net.Addr                { return e.Conn.LocalAddr() }
func (e *packetEar) SetDeadline(t time.Time) error      { return e.Conn.SetDeadline(t) }
func (e *packetEar) SetReadDeadline(t time.Time) error  { return e.Conn.SetReadDeadline(t) }
func (e *packetEar) SetWriteDeadline(t time.Time) error { return e.Conn.SetWriteDeadline(t) }

// A streamEar listens on TCP, where a message follows its length (RFC 1035
// §4.2.2). The resolver asks once per connection.
type streamEar struct {
	net.Conn
	to  *lifetime
	of  server
	got []byte
}

func (e *streamEar) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	e.got = append(e.got, b[:n]...)
	if len(e.got) >= 2 {
		if size := int(e.got[0])<<8 | int(e.got[1]); len(e.got) >= 2+size {
			e.to.hear(e.of, e.got[2:2+size])
			e.got = e.got[2+size:]
		}
	}
	return n, err
}
