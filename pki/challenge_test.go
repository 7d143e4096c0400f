// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

const inside = "the secret of a page inside"

// asks returns a validator for corp.test in 10.0.0.0/8 whose connections end at
// srv; names of resolve are at those addresses, others at 10.1.2.3.
func asks(ctx context.Context, srv net.Listener, resolve map[string]string) (*validator, *atomic.Int32) {
	var dialled atomic.Int32
	return &validator{
		ctx:     ctx,
		targets: targets{zones: []string{"corp.test"}, networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		dial: func(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error) {
			host, port, _ := net.SplitHostPort(addr)
			ip := resolve[host]
			if ip == "" {
				ip = "10.1.2.3"
			}
			ap, err := netip.ParseAddrPort(net.JoinHostPort(ip, port))
			if err == nil {
				err = permit(ap)
			}
			if err != nil {
				return nil, err
			}
			dialled.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", srv.Addr().String())
		},
	}, &dialled
}

func TestChallengeGet(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "www.corp.test" || r.URL.Path != "/.well-known/acme-challenge/x" {
			t.Errorf("asked for %s of %s", r.URL, r.Host)
		}
		io.WriteString(w, "answer")
	}))
	defer srv.Close()
	v, _ := asks(t.Context(), srv.Listener, nil)
	resp, err := v.Get("http://www.corp.test/.well-known/acme-challenge/x")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "answer" {
		t.Errorf("%q, %v", b, err)
	}
}

// What a challenge could be made to reach (SSRF), and what is told of it.
func TestChallengeSSRF(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		case "/forbidden":
			http.Error(w, inside, http.StatusForbidden)
		case "/huge":
			io.WriteString(w, strings.Repeat(inside, 1000))
		case "/bomb":
			w.Header().Set("X", strings.Repeat("y", 64<<10))
		case "/slow":
			io.WriteString(w, inside)
			w.(http.Flusher).Flush()
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		case "/broken":
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, inside+"\r\n\r\n")
			c.Close()
		default:
			io.WriteString(w, inside)
		}
	}))
	t.Cleanup(srv.Close)
	names := map[string]string{
		"metadata.corp.test": "169.254.169.254", "self.corp.test": "127.0.0.1", "self6.corp.test": "::1",
		"mapped.corp.test": "::ffff:127.0.0.1", "private.corp.test": "192.168.1.1", "zoned.corp.test": "fe80::1", "any.corp.test": "0.0.0.0",
	}
	const network = "its address is in no network that this server validates in; its operator names them with --acme-allow"
	for url, want := range map[string]string{
		"http://169.254.169.254/latest/meta-data/": network,
		"http://127.0.0.1/":                        network,
		"http://[::1]/":                            network,
		"http://[::ffff:127.0.0.1]/":               network,
		"http://2130706433/":                       `"2130706433" is not a host name in lower case`,
		"http://0x7f.1/":                           `"0x7f.1" is not a host name in lower case`,
		"http://localhost/":                        "localhost is in no zone that this server issues for; its operator names them with --acme-allow",
		"http://www.example.org/":                  "www.example.org is in no zone that this server issues for; its operator names them with --acme-allow",
		"http://metadata.corp.test/":               "metadata.corp.test: " + network,
		"http://self.corp.test/":                   "self.corp.test: " + network,
		"http://self6.corp.test/":                  "self6.corp.test: " + network,
		"http://mapped.corp.test/":                 "mapped.corp.test: " + network,
		"http://private.corp.test/":                "private.corp.test: " + network,
		"http://zoned.corp.test/":                  "zoned.corp.test: " + network,
		"http://any.corp.test/":                    "any.corp.test: " + network,
		"http://www.corp.test:22/":                 "challenges are answered on ports 80 and 443 only",
		"http://www.corp.test:8080/":               "challenges are answered on ports 80 and 443 only",
		"http://me@www.corp.test/":                 "an http-01 challenge is asked for by http",
		"https://www.corp.test/":                   "an http-01 challenge is asked for by http",
		"file:///etc/passwd":                       "an http-01 challenge is asked for by http",
		"http://www.corp.test/redirect":            "www.corp.test answered with a redirect (302), which is not followed",
		"http://www.corp.test/forbidden":           "www.corp.test answered with the status 403",
		"http://www.corp.test/huge":                "www.corp.test answered with more than 4096 bytes",
		"http://www.corp.test/bomb":                "www.corp.test did not answer as it has to",
		"http://www.corp.test/broken":              "www.corp.test did not answer as it has to",
	} {
		v, _ := asks(t.Context(), srv.Listener, names)
		resp, err := v.Get(url)
		var said *told
		if resp != nil || !errors.As(err, &said) {
			t.Errorf("%s: %v, %v", url, resp, err)
			continue
		}
		if said.text != want {
			t.Errorf("%s: told %q", url, said.text)
		}
		if strings.Contains(said.text, inside) {
			t.Errorf("%s: tells what was answered", url)
		}
	}
	t.Run("slow", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		v, _ := asks(ctx, srv.Listener, names)
		var said *told
		if _, err := v.Get("http://www.corp.test/slow"); !errors.As(err, &said) || said.text != "www.corp.test did not answer within 10s" {
			t.Errorf("%v", err)
		}
	})
	t.Run("proxy of the environment", func(t *testing.T) {
		t.Setenv("HTTP_PROXY", srv.URL)
		t.Setenv("http_proxy", srv.URL)
		v, dialled := asks(t.Context(), srv.Listener, names)
		if _, err := v.Get("http://self.corp.test/"); err == nil || dialled.Load() != 0 {
			t.Errorf("%v after %d dials", err, dialled.Load())
		}
	})
	t.Run("nobody is allowed", func(t *testing.T) {
		for _, v := range []*validator{
			{ctx: t.Context()},
			{ctx: t.Context(), targets: targets{zones: []string{"corp.test"}}},
			{ctx: t.Context(), targets: targets{own: []string{"www.corp.test"}}},
		} {
			if _, err := v.Get("http://www.corp.test/"); err == nil {
				t.Error("www.corp.test was asked")
			}
			if _, err := v.Get("http://10.1.2.3/"); err == nil {
				t.Error("10.1.2.3 was asked")
			}
			if _, err := v.LookupTxt("www.corp.test"); err == nil {
				t.Error("dns-01 is not refused")
			}
		}
	})
}

// A name that resolves to two addresses is asked about each, and whoever dials
// asks at the connect: a zone without a network opens nothing.
func TestChallengeZoneNeedsANetwork(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	v, dialled := asks(t.Context(), srv.Listener, nil)
	v.targets.networks = nil
	if _, err := v.Get("http://www.corp.test/"); err == nil || dialled.Load() != 0 {
		t.Errorf("%v after %d dials", err, dialled.Load())
	}
}

func TestChallengeTLSDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s\r\n", inside)
			c.Close()
		}
	}()
	v, _ := asks(t.Context(), l, map[string]string{"self.corp.test": "127.0.0.1"})
	for addr, want := range map[string]string{
		"www.corp.test:443":  "www.corp.test did not answer as it has to",
		"www.corp.test:22":   "challenges are answered on ports 80 and 443 only",
		"self.corp.test:443": "self.corp.test: its address is in no network that this server validates in; its operator names them with --acme-allow",
	} {
		c, err := v.TLSDial("tcp", addr, &tls.Config{ServerName: "www.corp.test"})
		var said *told
		if c != nil || !errors.As(err, &said) || said.text != want {
			t.Errorf("%s: %v, %v", addr, c, err)
		}
	}
}

// What is stored and shown of a failed challenge has nothing of the answer.
func TestChallengeTellsNothingOfTheAnswer(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		ids, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
		if err != nil {
			t.Fatal(err)
		}
		az, err := c.GetAuthorization(ctx, ids.AuthzURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range az.Challenges {
			if ch.Type != kind {
				continue
			}
			w.mu.Lock()
			w.http[c.HTTP01ChallengePath(ch.Token)] = inside
			w.mu.Unlock()
			got, err := c.Accept(ctx, ch)
			if err != nil {
				t.Fatal(err)
			}
			if got.Error == nil || strings.Contains(got.Error.Error(), inside) {
				t.Errorf("%s: %v", kind, got.Error)
			}
			if kind == "http-01" && !strings.Contains(got.Error.Error(), "www.corp.test did not answer with the key authorization of this challenge") {
				t.Errorf("%s: %v", kind, got.Error)
			}
		}
	}
	if rows := allRows(t, w.ca); strings.Contains(rows, inside) {
		t.Error("the answer is in the store")
	}
}

func FuzzHostname(f *testing.F) {
	for _, s := range []string{"", "a", "a.b", "-a", "a-", "1.2.3.4", "0x1", "a..b", "ü.test", "a.1", strings.Repeat("a.", 130)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !isHostname(s) {
			return
		}
		if _, err := netip.ParseAddr(s); err == nil || strings.ToLower(s) != s || strings.ContainsAny(s, "/:@?#%\\ \n*_") {
			t.Errorf("%q is taken for a host name", s)
		}
	})
}
