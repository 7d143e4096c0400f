// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// Sources are what a Prover goes by: each is immutable, and nil proves nothing.
type Sources struct {
	Passwords    *Passwords
	Groups       *Groups // of users, however they were proven
	Tokens       *Tokens
	Certificates *Certificates
}

// A Prover finds out who sends requests. Its zero value proves addresses. It is
// used by many goroutines at once.
type Prover struct {
	// OverPlain takes credentials, and asks for them, also where they come over a
	// network in the clear.
	OverPlain bool

	// Now is the clock; nil: time.Now.
	Now func() time.Time

	sources   atomic.Pointer[Sources]
	passwords verifier
	forged    throttle // of tokens
}

// Use makes s what p goes by from now on. What was proven by others is looked at
// again with each request, and with Proof.Still.
func (p *Prover) Use(s Sources) { p.sources.Store(&s) }

// A Request is what is known of a request, and of its connection.
type Request struct {
	From   netip.AddrPort
	TLS    *tls.ConnectionState // nil: plain
	Fields h1.Fields            // not kept
}

// A Proof is whom a request was proven to come from, and how others can prove it.
type Proof struct {
	Client policy.Client
	MayAsk bool // the client has not said who it is, and there are ways to

	// Challenges are how to ask it (RFC 9110 §11.7.1). Empty: it cannot be asked
	// here, and Instead says what it can do.
	Challenges []string
	Instead    string

	// Still is Client as the same proof makes it later; an error says that it proves
	// nothing any more. nil when nothing but the address is proven.
	Still func() (policy.Client, error)
}

// A Refusal is why a request is refused whatever it asks for.
type Refusal struct {
	Why        Why
	Msg        string        // for the client
	Log        string        // for the log; "": Msg says it all
	Challenges []string      // with Wrong
	Wait       time.Duration // when to try again
}

func (r *Refusal) Error() string {
	if r.Log != "" {
		return r.Log
	}
	return r.Msg
}

// Why tells refusals apart.
type Why uint8

const (
	Forbidden Why = iota // what was proven, or how, cannot be accepted
	Malformed            // nobody can say what was meant
	Wrong                // the credentials are not right: there are Challenges
	Throttled            // too many wrong ones came from this client: Wait
	Busy                 // too many are being verified: Wait
)

// evidence is what a client has shown, found to be right once. It is looked at
// again without its secrets.
type evidence struct {
	addr  netip.Addr
	shown []*x509.Certificate
	user  string   // of a password
	sum   [32]byte // of the hash that it was right for
	token *token
}

// Prove finds out who sent a request; the error is a *Refusal.
func (p *Prover) Prove(r Request) (Proof, error) {
	if !r.From.IsValid() {
		return Proof{}, &Refusal{Msg: "the client's address cannot be read"}
	}
	s := p.sources.Load()
	if s == nil || s.Passwords == nil && s.Tokens == nil && s.Certificates == nil {
		return Proof{Client: policy.Client{Addr: r.From.Addr()}}, nil
	}
	e := &evidence{addr: r.From.Addr()}
	if s.Certificates != nil && r.TLS != nil {
		e.shown = r.TLS.PeerCertificates
	}
	if err := p.credentials(s, e, r); err != nil {
		return Proof{}, err
	}
	client, err := p.client(s, e)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{Client: client}
	if len(e.shown) > 0 || e.user != "" || e.token != nil {
		proof.Still = func() (policy.Client, error) { return p.client(p.sources.Load(), e) }
	}
	if client.User != "" || !s.users() {
		return proof, nil
	}
	proof.MayAsk = true
	switch safe := p.safe(r); {
	case safe && (s.Passwords != nil || s.Tokens != nil):
		proof.Challenges = s.challenges(nil)
	case s.Passwords != nil || s.Tokens != nil:
		proof.Instead = insteadTLS
	case r.TLS == nil:
		proof.Instead = "this depends on who you are: use the gateway as an https:// proxy, with your client certificate"
	default:
		proof.Instead = "this depends on who you are: show the gateway your client certificate (curl: --proxy-cert and --proxy-key)"
	}
	return proof, nil
}

const insteadTLS = "this depends on who you are, and credentials are not taken in the clear: use the gateway as an https:// proxy, as in curl --proxy https://GATEWAY --proxy-user NAME"

// users reports whether s can prove a user.
func (s *Sources) users() bool {
	return s.Passwords != nil || s.Tokens != nil || s.Certificates.users()
}

// safe reports whether credentials may come this way: they are read by nobody
// between the client and this machine.
func (p *Prover) safe(r Request) bool {
	return r.TLS != nil || p.OverPlain || r.From.Addr().IsLoopback()
}

// challenges ask for what s can verify (RFC 7617 §2, RFC 6750 §3); wrong, when
// not nil, says what is wrong with the token that was sent.
func (s *Sources) challenges(wrong *tokenError) (all []string) {
	if s.Tokens != nil {
		c := `Bearer realm="sallyport"`
		if wrong != nil {
			c += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, wrong.text)
		}
		all = append(all, c)
	}
	if s.Passwords != nil {
		all = append(all, `Basic realm="sallyport", charset="UTF-8"`)
	}
	return all
}

// credentials adds to e what Proxy-Authorization proves. When nothing here can
// verify credentials, they are none of the gateway's business, and are dropped.
func (p *Prover) credentials(s *Sources, e *evidence, r Request) error {
	if s.Passwords == nil && s.Tokens == nil {
		return nil
	}
	c, err := readCredentials(r.Fields)
	switch {
	case err == errTwice:
		return &Refusal{Why: Malformed, Msg: err.Error()}
	case c.scheme == "" && err == nil:
		return nil
	case !p.safe(r):
		return &Refusal{Msg: insteadTLS, Log: "credentials came in the clear from another machine; they were not looked at"}
	case err != nil:
		return &Refusal{Why: Wrong, Msg: err.Error(), Challenges: s.challenges(nil)}
	}
	switch now := p.now(); {
	case c.scheme == "basic" && s.Passwords != nil:
		wait, err := p.passwords.verify(s.Passwords, e.addr, c.user, c.password, now)
		if err != nil {
			return s.wrongPassword(c.user, wait, err)
		}
		e.user, e.sum = c.user, s.Passwords.users[c.user].sum
	case c.scheme == "bearer" && s.Tokens != nil:
		if wait := p.forged.blocked(e.addr, now); wait > 0 {
			return &Refusal{Why: Throttled, Msg: "too many tokens that nobody issued came from this client", Wait: wait}
		}
		if e.token, err = s.Tokens.verify(c.token, now); err != nil {
			var wrong *tokenError
			if errors.As(err, &wrong) && wrong.forged {
				p.forged.failed(e.addr, now)
			}
			return &Refusal{Why: Wrong, Msg: err.Error(), Challenges: s.challenges(wrong)}
		}
	default:
		msg := "credentials of this scheme are not taken here"
		if slices.Contains(schemes, c.scheme) { // what else is there may be a password without its scheme
			msg = "credentials of the scheme " + c.scheme + " are not taken here"
		}
		return &Refusal{Why: Wrong, Msg: msg, Challenges: s.challenges(nil)}
	}
	return nil
}

// schemes are those that clients of proxies use.
var schemes = []string{"basic", "bearer", "digest", "negotiate", "ntlm", "kerberos"}

func (s *Sources) wrongPassword(user string, wait time.Duration, err error) error {
	r := &Refusal{Why: Busy, Msg: err.Error() + "; try again later", Wait: wait}
	switch err {
	case errTooFew:
		r.Why = Throttled
	case errWrong:
		r = &Refusal{Why: Wrong, Msg: err.Error(), Challenges: s.challenges(nil)}
		if s.Passwords.users[user] != nil { // a name that nobody has may be a password, and stays out of the log
			r.Log = fmt.Sprintf("wrong password for user %q", user)
		}
	}
	return r
}

// client is whom e proves its sender to be by what is known now. It is asked
// again as long as a tunnel is open, so it does nothing slow.
func (p *Prover) client(s *Sources, e *evidence) (policy.Client, error) {
	c := policy.Client{Addr: e.addr}
	var by []string // who says who the user is
	is := func(user, what string) error {
		if c.User != "" && c.User != user {
			return &Refusal{
				Msg: fmt.Sprintf("the %s and the %s are of two users: leave one away", by[0], what),
				Log: fmt.Sprintf("the %s is of user %q and the %s of user %q", by[0], c.User, what, user),
			}
		}
		c.User = user
		by = append(by, what)
		return nil
	}
	if len(e.shown) > 0 {
		if s.Certificates == nil {
			return policy.Client{}, &Refusal{Msg: "client certificates are not taken any more"}
		}
		proof, err := s.Certificates.verify(e.shown, p.now())
		if err != nil {
			return policy.Client{}, &Refusal{Msg: "your client certificate is not accepted: " + err.Error()}
		}
		if c.Certs = proof.names; proof.user != "" {
			_ = is(proof.user, "certificate")
		}
	}
	if e.user != "" {
		if h := s.Passwords.user(e.user); h == nil || h.sum != e.sum {
			return policy.Client{}, &Refusal{Msg: errWrong.Error()}
		}
		if err := is(e.user, "password"); err != nil {
			return policy.Client{}, err
		}
	}
	if t := e.token; t != nil {
		if !s.Tokens.has(t.print) {
			return policy.Client{}, &Refusal{Msg: "the token was signed by a key that is not known any more"}
		}
		if err := is(t.who.user, "token"); err != nil {
			return policy.Client{}, err
		}
		c.Groups, c.Claims = t.who.groups, t.who.claims
	}
	if c.User != "" && s.Groups != nil {
		c.Groups = union(c.Groups, s.Groups.of[c.User])
	}
	return c, nil
}

// union is never nil: what groups the user is in is known.
func union(a, b []string) []string {
	all := append(append(make([]string, 0, len(a)+len(b)), a...), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (p *Passwords) user(name string) *hash {
	if p == nil {
		return nil
	}
	return p.users[name]
}

func (p *Prover) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}
