// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// TLS alerts (RFC 8446 §6.2).
const (
	alertAccessDenied     = 49
	alertDecodeError      = 50
	alertUnrecognizedName = 112
)

// check reads the client's first message, shows it to Check and returns all
// that was read. ok is false when the tunnel has ended instead.
//
// SECURITY: only the first message is looked at. An origin that answers with a
// HelloRetryRequest gets a second ClientHello, and is trusted to refuse one
// with another name in it, as RFC 8446 §4.1.2 has it. It is the origin at the
// address that was permitted in any case.
func (p *passage) check() (first []byte, ok bool) {
	var a assembler
	first = slices.Clip(p.t.Early)
	complete, err := a.feed(first)
	for !complete && err == nil {
		b, rerr := p.out.next()
		switch {
		case errors.Is(rerr, io.EOF) && len(first) == 0:
			p.silent()
			return nil, false
		case errors.Is(rerr, io.EOF):
			err = io.ErrUnexpectedEOF
		case rerr != nil:
			return nil, false
		default:
			first = append(first, b...)
			complete, err = a.feed(b)
		}
	}
	p.helloDone()

	var h Hello
	if complete {
		if h, err = parseMessage(a.msg); err == nil {
			p.hello = &h
		}
	}
	p.out.release() // Check may take its time
	if refusal := p.t.Check(h, err); refusal != nil {
		p.refuse(refusal, err)
		return nil, false
	}
	return first, true
}

// silent ends the direction of a client that closed without a word. There was
// nothing to check, and nothing to pass on but the end.
func (p *passage) silent() {
	if p.t.ClientFirst {
		p.stop(ReasonEnd, nil, false) // it will never say what the origin waits for
		return
	}
	p.out.finish()
}

// refuse ends the passage for Check's reason and tells a TLS client so.
// unread is the error that Check was given.
func (p *passage) refuse(reason, unread error) {
	p.fail(ReasonRefused, fmt.Errorf("tunnel: refused: %w", reason))
	p.inward.Wait()
	p.t.Origin.Close() // it has heard nothing and need not wait for the client
	alert := byte(alertAccessDenied)
	switch {
	case errors.Is(unread, ErrNotTLS):
		alert = 0
	case unread != nil:
		alert = alertDecodeError
	case errors.Is(reason, ErrName):
		alert = alertUnrecognizedName
	}
	if p.in.n > 0 {
		alert = 0 // the origin has spoken: an alert would be taken for its words
	}

	p.mu.Lock()
	if p.reason != ReasonRefused { // ended from outside at the same moment
		p.mu.Unlock()
		return
	}
	p.cut = false // a reset could overtake the alert
	_ = p.t.Client.SetDeadline(time.Now().Add(lingering))
	p.mu.Unlock()
	if alert != 0 {
		// One record: alert, fatal. An error changes nothing: it is the end.
		_, _ = p.t.Client.Write([]byte{21, 3, 3, 0, 2, 2, alert})
	}
	if cw, ok := p.t.Client.(interface{ CloseWrite() error }); ok && cw.CloseWrite() == nil {
		p.out.discard()
		p.out.release()
	}
}
