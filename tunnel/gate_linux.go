// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"io"
)

// A gate is the part of a pair that Check has not agreed to. See
// passage.check, which does the same with a goroutine.
type gate struct {
	check       func(Hello, error) error
	clientFirst bool
	by          int64  // the first message has to be there; 0: whenever it is
	heard       *heard // nil: nothing
}

// heard is what a client has said.
type heard struct {
	asm   assembler
	first []byte
}

func newGate(t *Tunnel, now int64) *gate {
	g := &gate{check: t.Check, clientFirst: t.ClientFirst}
	if t.ClientFirst {
		g.by = now + bounded(t.HelloTimeout, defaultHelloTimeout)
	}
	return g
}

// gather adds b to the first bytes and has them judged once that can be done.
func (p *pair) gather(f *flow, b []byte) {
	if p.gate.heard == nil {
		p.gate.heard = new(heard)
	}
	g := p.gate.heard
	g.first = append(g.first, b...)
	complete, err := g.asm.feed(g.first[len(g.first)-len(b):]) // ours: a message may alias it
	if complete || err != nil {
		p.judge(f, complete, err)
	}
}

// endedEarly is the end of a client before its first message is complete.
func (p *pair) endedEarly(f *flow) {
	switch {
	case p.gate.heard != nil:
		p.judge(f, false, io.ErrUnexpectedEOF)
	case p.gate.clientFirst: // it will never say what the origin waits for
		p.close(false)
	default: // nothing to check, and nothing to pass on but the end
		p.gate = nil
		p.finish(clientSide)
	}
}

// judge calls Check, which may take its time, in a goroutine.
func (p *pair) judge(f *flow, complete bool, err error) {
	f.state = held
	p.gate.by = 0
	p.judging = true
	go p.verdict(complete, err)
}

func (p *pair) verdict(complete bool, err error) {
	g := p.gate // nobody else touches it now
	var h Hello
	var seen *Hello
	if complete {
		if h, err = parseMessage(g.heard.asm.msg); err == nil {
			seen = &h
		}
	}
	refusal := g.check(h, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judging, p.hello, p.gate = false, seen, nil
	switch {
	case p.closed:
		go p.tell()
	case refusal != nil:
		p.refuse(refusal, err)
	default:
		out, in := &p.flow[clientSide], &p.flow[originSide]
		out.state = carries
		if in.state == held {
			in.state = carries
		}
		out.allow(p, g.heard.first)
		p.turn()
	}
}

// refuse ends the pair for Check's reason, as passage.refuse does.
func (p *pair) refuse(refusal, unread error) {
	p.reason, p.err = ReasonRefused, fmt.Errorf("tunnel: refused: %w", refusal)
	p.refused = true
	out, in := &p.flow[clientSide], &p.flow[originSide]
	in.release()
	in.state = over
	p.closeSide(originSide, false) // it has heard nothing and need not wait for the client
	alert := byte(alertAccessDenied)
	switch {
	case in.n > 0, errors.Is(unread, ErrNotTLS):
		alert = 0 // in.n: the origin has spoken, an alert would be taken for its words
	case unread != nil:
		alert = alertDecodeError
	case errors.Is(refusal, ErrName):
		alert = alertUnrecognizedName
	}
	if alert != 0 {
		// One record: alert, fatal. An error changes nothing: it is the end.
		_, _ = transmit(p.fd[clientSide], []byte{21, 3, 3, 0, 2, 2, alert})
	}
	if shutdown(p.fd[clientSide]) != 0 {
		p.close(false)
		return
	}
	out.ready, out.thorough = true, true
	p.halfOver(out, discards)
	p.turn()
}
