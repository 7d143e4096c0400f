// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"net"
	"time"
)

// Errors of a tunnel to branch on. Anything else is an error of the network, the
// cause of a cut, or wraps the error of Check.
var (
	ErrIdle         = errors.New("tunnel: idle for too long")
	ErrMaxDuration  = errors.New("tunnel: open for too long")
	ErrMaxBytes     = errors.New("tunnel: carried too many bytes")
	ErrHelloTimeout = errors.New("tunnel: the client sent no complete first message in time")

	// ErrName is wrapped by a Check that finds the wrong name in a Hello; a TLS
	// client is then told unrecognized_name.
	ErrName = errors.New("tunnel: not the name that was asked for")
)

const (
	defaultIdle         = time.Hour
	defaultHelloTimeout = 30 * time.Second
)

// A Tunnel is a pair of connections to be joined. Fill it and call Start or Run
// once; it must not be changed after that.
//
// Pass the *net.TCPConn themselves where there are such: the tunnel then waits
// for bytes without holding anything and lets the kernel move large amounts.
// Any other net.Conn works too. One without a CloseWrite method, or whose
// CloseWrite returns errors.ErrUnsupported, cannot say "no more from here", so
// the end of its peer ends the tunnel both ways; one that hides a TCP
// connection and has no NetConn method to show it cannot be reset, only closed.
type Tunnel struct {
	// Client and Origin belong to the tunnel, which closes both, whatever happens.
	Client, Origin net.Conn

	// Early holds what was already read from the client. It goes to the origin
	// before anything else, and is the beginning of what Check is shown.
	Early []byte

	// Check is called once, with the first bytes of the client parsed and before
	// any of them is passed on. err is nil, ErrNotTLS, or says why the hello
	// cannot be read (ErrHello, io.ErrUnexpectedEOF). A non-nil result ends the
	// tunnel and is wrapped by its error; a TLS client is sent a fatal alert
	// first. It is not called for a client that sends nothing. It is called from
	// a goroutine of the tunnel's and must not panic. Nil checks nothing.
	Check func(h Hello, err error) error

	// ClientFirst holds back what the origin says until Check has agreed, as
	// TLS requires. False lets the origin speak first, as SSH does. Without a
	// Check it means nothing.
	ClientFirst bool

	// Idle ends the tunnel when no byte has moved either way for so long.
	// Zero or less is an hour.
	Idle time.Duration

	// HelloTimeout, with ClientFirst and a Check, is how long the client's first
	// message may take. Zero or less is 30 seconds.
	HelloTimeout time.Duration

	// MaxDuration ends the tunnel after so long, used or not. Zero or less: none.
	MaxDuration time.Duration

	// MaxBytes is how many bytes may pass, both directions together. Not one
	// more does. Zero or less: no limit.
	MaxBytes int64

	// Pace is asked about bytes that are about to be passed on, of either direction
	// and from both at once. It returns how many of n may be, at least one, and
	// after how long; they are taken for passed. What waits to be read meanwhile
	// holds its sender up. A tunnel with a Pace takes two goroutines. Nil: no limit.
	Pace func(n int) (may int, wait time.Duration)
}

// A Reason says in one word what ended a tunnel.
type Reason string

// The reasons.
const (
	ReasonEnd          Reason = "end"           // both sides said that they were done
	ReasonClient       Reason = "client"        // reading from or writing to the client
	ReasonOrigin       Reason = "origin"        // reading from or writing to the origin
	ReasonRefused      Reason = "refused"       // Check
	ReasonIdle         Reason = "idle"          // Idle
	ReasonHelloTimeout Reason = "hello timeout" // HelloTimeout
	ReasonMaxDuration  Reason = "max duration"  // MaxDuration
	ReasonMaxBytes     Reason = "max bytes"     // MaxBytes
	ReasonContext      Reason = "context"       // Cut, or the end of Run's ctx
)

// A Result is what happened in a tunnel.
type Result struct {
	Sent     int64  // bytes written to the origin
	Received int64  // bytes written to the client, an alert of ours not counted
	Hello    *Hello // what Check was shown; nil without a Check or when it was not TLS
	Reason   Reason
	Paced    time.Duration // how long bytes waited for their Pace, both directions added up
}

// Run is Start for a caller that waits. The end of ctx cuts the tunnel; the
// error then wraps context.Cause(ctx).
func (t *Tunnel) Run(ctx context.Context) (Result, error) {
	type end struct {
		result Result
		err    error
	}
	ended := make(chan end, 1)
	running := t.Start(func(r Result, err error) { ended <- end{r, err} })
	defer context.AfterFunc(ctx, func() { running.Cut(context.Cause(ctx)) })()
	e := <-ended
	return e.result, e.err
}

// Splice joins client and origin without looking at what they say. It closes
// both; idle zero is an hour. See Run.
func Splice(ctx context.Context, client, origin net.Conn, idle time.Duration) (sent, received int64, err error) {
	t := Tunnel{Client: client, Origin: origin, Idle: idle}
	r, err := t.Run(ctx)
	return r.Sent, r.Received, err
}

// outward is the client's direction: first bytes, Check, everything else.
func (p *passage) outward() {
	defer p.out.release()
	t := p.t
	if t.Check == nil || !t.ClientFirst {
		p.inward.Go(p.in.run)
	}
	first := t.Early
	if t.Check != nil {
		var ok bool
		if first, ok = p.check(); !ok {
			return
		}
		if t.ClientFirst {
			p.inward.Go(p.in.run)
		}
	}
	if len(first) > 0 && p.out.write(first) != nil {
		p.out.discard()
		return
	}
	p.out.run()
}

// close ends both connections in the way that fits how the tunnel went.
func (p *passage) close() (Result, error) {
	p.mu.Lock()
	p.ended = true
	r := Result{Sent: p.out.n, Received: p.in.n, Hello: p.hello, Reason: p.reason, Paced: time.Duration(p.paced.Load())}
	err, cut := p.err, p.cut
	p.mu.Unlock()
	if r.Reason == "" {
		r.Reason = ReasonEnd
	}
	for _, c := range []net.Conn{p.t.Client, p.t.Origin} {
		if cut {
			reset(c)
		}
		c.Close()
	}
	return r, err
}

// reset makes the Close that follows abortive: an RST instead of a FIN, no
// close_notify of TLS.
func reset(c net.Conn) {
	for {
		if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
			_ = l.SetLinger(0) // fails only on a connection that is closed already
			c.Close()
			return
		}
		inner, ok := c.(interface{ NetConn() net.Conn }) // *tls.Conn
		if !ok {
			return
		}
		c = inner.NetConn()
	}
}
