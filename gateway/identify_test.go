// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// believing takes the credentials of a request for its user.
func believing(s *Server) {
	s.Identify = func(q Request) (Identity, error) {
		i := Identity{Client: policy.Client{Addr: q.From.Addr(), User: string(q.Fields.Get(h1.ProxyAuthorization))}}
		if i.MayAsk = i.Client.User == ""; i.MayAsk {
			i.Challenges = []string{`Basic realm="a"`, `Bearer realm="b"`}
		}
		return i, nil
	}
}

// onlyOwn lets users reach what has their name, and nobody else.
const onlyOwn = `  - {name: own, from: any, to: 127.0.0.0/8, ports: any, mode: relay, when: 'request.path == "/" + client.user'}` + "\n"

// identityOrigin answers with the path it was asked for, and complains of
// credentials.
func (r *rig) identityOrigin() string {
	return r.serve(func(l net.Listener) {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Header.Get("Proxy-Authorization") != "" {
				w.WriteHeader(http.StatusTeapot)
			}
			fmt.Fprint(w, q.URL.Path)
		}))
	})
}

// TestIdentitiesNeverMixOnAConnection: requests of several users, and of nobody,
// come pipelined on one connection in any order. Each gets what is its user's.
func TestIdentitiesNeverMixOnAConnection(t *testing.T) {
	for _, standard := range []bool{false, true} {
		r := newRig(t, onlyOwn, believing, func(s *Server) { s.Standard = standard })
		origin := r.identityOrigin()
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			var all strings.Builder
			var want []string
			for range 30 {
				user, of := fmt.Sprintf("u%d", rnd.IntN(3)), fmt.Sprintf("u%d", rnd.IntN(3))
				field := "Proxy-Authorization: " + user + "\r\n"
				status := "403 "
				switch {
				case rnd.IntN(3) == 0:
					field, status = "", "407 "
				case user == of:
					status = "200 /" + of
				}
				fmt.Fprintf(&all, "GET http://%s/%s HTTP/1.1\r\nHost: a\r\n%s\r\n", origin, of, field)
				want = append(want, status)
			}
			go func() { _, _ = io.WriteString(c, all.String()) }()
			br := bufio.NewReader(c)
			for i, w := range want {
				res, err := http.ReadResponse(br, nil)
				if err != nil {
					t.Fatalf("request %d: %v", i, err)
				}
				body, _ := io.ReadAll(res.Body)
				got := fmt.Sprintf("%d %s", res.StatusCode, body)
				if !strings.HasPrefix(got, w) || res.StatusCode == 407 && len(res.Header["Proxy-Authenticate"]) != 2 {
					t.Fatalf("request %d: %q %v, want %s", i, got, res.Header, w)
				}
			}
			c.Close()
		}
	}
}

// TestIdentitiesNeverMixOnStreams: the same on the streams of one HTTP/2
// connection, all at once.
func TestIdentitiesNeverMixOnStreams(t *testing.T) {
	r := newTLSRig(t, onlyOwn, believing)
	origin := r.identityOrigin()
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		h := r.http2()
		want := make(map[uint32]string)
		for range 50 {
			user, of := fmt.Sprintf("u%d", rnd.IntN(3)), fmt.Sprintf("u%d", rnd.IntN(3))
			fields := append(getBy2(origin, "/"+of), "proxy-authorization", user)
			status := "403"
			switch {
			case rnd.IntN(3) == 0:
				fields, status = fields[:len(fields)-2], "407"
			case user == of:
				status = "200"
			}
			want[h.ask(true, fields...)] = status
		}
		for ended := 0; ended < len(want); {
			f, err := h.f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *h2.SettingsFrame:
				if !f.IsAck() {
					_ = h.f.WriteSettingsAck()
				}
			case *h2.MetaHeadersFrame:
				if got := f.PseudoValue("status"); got != want[f.StreamID] {
					t.Errorf("stream %d: %s, want %s", f.StreamID, got, want[f.StreamID])
				}
				if f.StreamEnded() {
					ended++
				}
			case *h2.DataFrame:
				if f.StreamEnded() {
					ended++
				}
			case *h2.RSTStreamFrame:
				t.Fatalf("stream %d: reset", f.StreamID)
			}
		}
		h.c.Close()
	}
}

// TestTunnelOfWhoIsTakenOut: Recheck asks who opened a tunnel is by now.
func TestTunnelOfWhoIsTakenOut(t *testing.T) {
	var gone, renamed atomic.Bool
	r := newRig(t, `  - {name: a, from: any, to: 127.0.0.0/8, ports: any, mode: tunnel, tunnel: {tls: optional}, when: 'client.user == "eva"'}`+"\n", func(s *Server) {
		s.Identify = func(q Request) (Identity, error) {
			c := policy.Client{Addr: q.From.Addr(), User: "eva"}
			return Identity{Client: c, Still: func() (policy.Client, error) {
				if gone.Load() {
					return policy.Client{}, errors.New("gone")
				}
				if renamed.Load() {
					c.User = "bob"
				}
				return c, nil
			}}, nil
		}
	})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
	open := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		br := bufio.NewReader(c)
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", origin)
		if res, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"}); err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		return c, br
	}
	for _, change := range []*atomic.Bool{&gone, &renamed} {
		change.Store(false)
		c, br := open()
		r.server.Recheck()
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if b, err := br.ReadByte(); err != nil || b != 'x' {
			t.Fatalf("still allowed: %q %v", b, err)
		}
		change.Store(true)
		r.server.Recheck()
		if _, err := br.ReadByte(); err == nil {
			t.Error("the tunnel goes on")
		}
		c.Close()
		change.Store(false)
	}
	// Who is taken out while the origin is being connected to does not get in.
	gone.Store(true)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: a\r\n\r\n", origin)
	if res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"}); err != nil || res.StatusCode != 403 {
		t.Errorf("%v %v", res, err)
	}
}

// TestNoChallengesNo407: a status 407 without challenges is none (RFC 9110 §15.5.8).
func TestNoChallengesNo407(t *testing.T) {
	r := newRig(t, onlyOwn, func(s *Server) {
		s.Identify = func(q Request) (Identity, error) {
			return Identity{Client: policy.Client{Addr: q.From.Addr()}, MayAsk: true, Instead: "come another way"}, nil
		}
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	res, body := say(t, c, bufio.NewReader(c), "GET http://127.0.0.1:1/x HTTP/1.1\r\nHost: a\r\n\r\n")
	if res.StatusCode != 403 || !strings.Contains(body, "come another way") || res.Header.Get("Proxy-Authenticate") != "" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	if rec := r.record(); !rec.MayAsk || rec.Decision.Reason != policy.NeedIdentity || rec.Outcome != Denied {
		t.Errorf("%+v", rec)
	}
}
