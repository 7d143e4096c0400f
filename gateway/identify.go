// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"

	"sallyport/policy"
)

// An Identity is what Identify has found out about who sent a request.
type Identity struct {
	Client policy.Client

	// MayAsk says that the client has not said who it is, and that there are ways to
	// (policy.Query.MayAsk). A rule that depends on it is then answered with
	// Challenges.
	MayAsk bool

	// Challenges are the values of Proxy-Authenticate (RFC 9110 §11.7.1) of an
	// answer that asks the client who it is. Empty: it cannot be asked here, and is
	// refused with Instead, which says what it can do; "": with the policy's words.
	Challenges []string
	Instead    string

	// Still says whom the same proof makes the client now, when a tunnel that it
	// opened is looked at again; an error, that it proves nothing any more. It is
	// called long after the request, and must not keep anything of it. nil: the
	// identity stays what it is.
	Still func() (policy.Client, error)
}

// identify finds out who sent the request.
func (p *passage) identify() (err error) {
	if p.inside != nil {
		p.identity, err = p.inside.client()
		p.rec.Identity = p.identity.Client
		return err
	}
	if p.s.Identify != nil {
		p.identity, err = p.s.Identify(Request{From: p.rec.Client, TLS: p.rec.ClientTLS, Fields: p.req.Fields})
		p.rec.Identity = p.identity.Client
		return err
	}
	if !p.rec.Client.IsValid() {
		return &Error{
			Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Denied, Msg: "the client's address cannot be read",
		}
	}
	p.identity.Client = policy.Client{Addr: p.rec.Client.Addr()}
	p.rec.Identity = p.identity.Client
	return nil
}

// ask makes e, which refuses a request for want of an identity, one that tells
// the client how to give it.
func (i *Identity) ask(e *Error) {
	if len(i.Challenges) > 0 {
		e.Status, e.Challenges = http.StatusProxyAuthRequired, i.Challenges
		return
	}
	if i.Instead != "" {
		e.Msg = i.Instead
	}
}
