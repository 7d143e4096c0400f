// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Origins are called by what they are for; bad certificates by what is bad.
const (
	loginHost     = "login"
	ownHost       = "own"
	oursHost      = "ours"
	delegatedHost = "delegated"
	redirectHost  = "redirect"
	cookieHost    = "cookie"
	sshHost       = "ssh"
	earlyHost     = "early"
	deniedHost    = "denied"
	allowedHost   = "allowed"
	frontHost     = "front"
	methodHost    = "method"
	pathHost      = "path"
	uploadHost    = "upload"
	costHost      = "cost"
)

// wantsCertificate are the origins that require one of clients.
var wantsCertificate = map[string]bool{ownHost: true, oursHost: true, delegatedHost: true}

// An exchange is one thing that is tried in each column, and all that was found
// of it. Each has an origin of its own, so that whatever is recorded or logged
// under that name belongs to it.
type exchange struct {
	name, column string
	peer         bool // of a peer's column
	host         string
	began, ended time.Duration
	dialled      []netip.AddrPort
	answers      []answer
	said         string // by the other end, where it is not HTTP
	err          error  // of what is not HTTP

	// What is known once the gateway has ended.
	visits  []visit
	records []record
	client  []*Flow
	origin  []*Flow
}

func (x *exchange) id() string { return x.column + "/" + x.name }

// An attempt is how an exchange is made. It is the same in all columns.
type attempt struct {
	name string // also its host's first label
	make func(ctx context.Context, s *session, x *exchange)
	tls  bool // only where the client has TLS of its own
}

func (t *trial) attempts() []attempt {
	get := func(path string) func(context.Context, *session, *exchange) {
		return func(ctx context.Context, s *session, x *exchange) {
			x.ask(ctx, s, http.MethodGet, path, "", "Authorization", "Bearer "+t.canary)
		}
	}
	list := []attempt{{name: loginHost, make: func(ctx context.Context, s *session, x *exchange) {
		x.ask(ctx, s, http.MethodPost, "/login", t.loginForm(), "Content-Type", "application/x-www-form-urlencoded")
	}}}
	for _, kind := range badKinds {
		list = append(list, attempt{name: string(kind), make: get("/")})
	}
	return append(list,
		attempt{name: ownHost, make: func(ctx context.Context, s *session, x *exchange) {
			s.show = s.own
			get("/")(ctx, s, x)
		}},
		attempt{name: oursHost, make: get("/")},
		attempt{name: delegatedHost, make: func(ctx context.Context, s *session, x *exchange) {
			s.as = url.UserPassword(user, password)
			get("/")(ctx, s, x)
		}},
		attempt{name: deniedHost, make: func(ctx context.Context, s *session, x *exchange) {
			x.answers = append(x.answers, s.do(ctx, http.MethodGet, s.url(hostOf(allowedHost, x.column), "/"), ""))
			x.ask(ctx, s, http.MethodGet, "/", "")
		}},
		attempt{name: frontHost, make: front},
		attempt{name: methodHost, make: func(ctx context.Context, s *session, x *exchange) {
			x.ask(ctx, s, http.MethodGet, "/", "")
			x.ask(ctx, s, http.MethodDelete, "/", "")
		}},
		attempt{name: pathHost, make: func(ctx context.Context, s *session, x *exchange) {
			x.ask(ctx, s, http.MethodGet, "/public/a", "")
			x.ask(ctx, s, http.MethodGet, "/private/a", "")
		}},
		attempt{name: uploadHost, make: func(ctx context.Context, s *session, x *exchange) {
			x.ask(ctx, s, http.MethodPost, "/small", strings.Repeat("s", maxBody/64))
			x.ask(ctx, s, http.MethodPost, "/large", strings.Repeat("l", maxBody*4))
		}},
		attempt{name: redirectHost, make: func(ctx context.Context, s *session, x *exchange) {
			x.ask(ctx, s, http.MethodGet, "/start", "")
		}},
		attempt{name: cookieHost, make: func(ctx context.Context, s *session, x *exchange) {
			s.jar, _ = cookiejar.New(nil) // never fails
			x.ask(ctx, s, http.MethodGet, "/enter", "")
			x.ask(ctx, s, http.MethodGet, "/account", "")
		}},
		attempt{name: sshHost, make: ssh},
		attempt{name: earlyHost, make: early, tls: true},
	)
}

// badKinds are what an origin's certificate can be.
var badKinds = []leafKind{expired, wrongName, selfSigned, untrusted}

// loginForm is what nobody else should read. The canary stands in it.
func (t *trial) loginForm() string {
	return "user=" + user + "&remember=" + strings.Repeat("y", 400) + "&password=" + t.canary
}

// ask makes a request of the exchange's origin.
func (x *exchange) ask(ctx context.Context, s *session, method, path, body string, fields ...string) {
	x.answers = append(x.answers, s.do(ctx, method, s.url(x.host, path), body, fields...))
}

// frontPath is asked for by front alone.
const frontPath = "/front"

// front asks for one host where it will be decided, and for another, a denied
// one, where it will be served.
func front(ctx context.Context, s *session, x *exchange) {
	denied := hostOf(deniedHost, x.column)
	target := x.host + ":" + s.https
	head := "GET " + frontPath + " HTTP/1.1\r\nHost: " + denied + ":" + s.https + "\r\nConnection: close\r\n\r\n"
	if s.plain() {
		x.err = x.talk(ctx, s, s.proxy, "GET http://"+target+strings.TrimPrefix(head, "GET "))
		return
	}
	conn, _, err := s.connect(ctx, target)
	if err != nil {
		x.answers, x.err = append(x.answers, answer{status: s.refused, byProxy: s.refused != 0, err: err}), err
		return
	}
	defer conn.Close()
	inner := tls.Client(conn, s.tls(denied))
	if x.err = inner.HandshakeContext(ctx); x.err != nil {
		return
	}
	x.err = x.hear(inner, head)
}

// talk sends a head on a connection of its own and takes the answer.
func (x *exchange) talk(ctx context.Context, s *session, addr, head string) error {
	conn, err := s.dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(s.deadline)
	return x.hear(conn, head)
}

func (x *exchange) hear(conn io.ReadWriter, head string) error {
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	x.answers = append(x.answers, answer{status: res.StatusCode, byProxy: madeByProxy(res, x.peer)})
	return err
}

// bannerTime is how long the client waits for a banner. A gateway that wants a
// ClientHello first waits longer than that for one.
const bannerTime = 3 * time.Second

// ssh waits for the origin's banner, greets it and waits for what it heard.
func ssh(ctx context.Context, s *session, x *exchange) {
	s.deadline = time.Now().Add(bannerTime)
	conn, r, err := s.connect(ctx, x.host+":"+s.ssh)
	if err != nil {
		x.answers, x.err = append(x.answers, answer{status: s.refused, byProxy: s.refused != 0, err: err}), err
		return
	}
	defer conn.Close()
	banner, err := r.ReadString('\n')
	if err == nil {
		_, err = io.WriteString(conn, sshGreeting)
	}
	var heard string
	if err == nil {
		heard, err = r.ReadString('\n')
	}
	if err == nil && (banner != sshBanner || heard != "heard "+sshGreeting) {
		err = fmt.Errorf("%q and %q came back", banner, heard)
	}
	x.said, x.err = banner, err
}

// early offers early data and sends some. What is looked at is the wire; the
// answer is waited for because then it has arrived.
func early(ctx context.Context, s *session, x *exchange) {
	conn, r, err := s.connect(ctx, x.host+":"+s.https)
	if err != nil {
		x.answers, x.err = append(x.answers, answer{status: s.refused, byProxy: s.refused != 0, err: err}), err
		return
	}
	defer conn.Close()
	flight, err := earlyFlight(s.tls(x.host))
	if err == nil {
		_, err = conn.Write(flight)
	}
	if err == nil {
		_, err = r.ReadByte()
	}
	x.err = err
}
