// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// A bench is a Keeper with its authority, its store and what it has reported.
type bench struct {
	*Keeper
	t       testing.TB
	server  *acmeServer
	secrets *memory
	issuer  *authority // of the fallback

	mu     sync.Mutex
	events []Event
}

const gw = "gw.corp.test"

func newBench(t testing.TB, names ...string) *bench {
	b := &bench{t: t, server: newACMEServer(t), secrets: &memory{}, issuer: newRoot(t, "Fallback Root")}
	b.Keeper = b.keeper(names...)
	return b
}

// keeper is one more process with the same store and authority.
func (b *bench) keeper(names ...string) *Keeper {
	k := &Keeper{
		Names: names,
		ACME:  &ACME{Directory: testDirectory, Transport: b.server, Secrets: b.secrets},
		Fallback: func(context.Context) (*tls.Certificate, error) {
			c := b.issuer.server(gw, "127.0.0.1").with()
			return &c, nil
		},
		Report: func(e Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	}
	b.server.k = k
	return k
}

// start loads and runs the Keeper, in a synctest bubble, until it is stopped; an order that
// was on its way then has come to its end, too.
func (b *bench) start() (stop func()) {
	b.t.Helper()
	if err := b.Load(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		b.Run(ctx)
		close(done)
	}()
	return func() {
		cancel()
		<-done
		synctest.Wait()
	}
}

// said are the reports at least as loud as level, and forgets them.
func (b *bench) said(level Level) (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Level >= level {
			texts = append(texts, e.Text)
		}
	}
	b.events = nil
	return texts
}

// shown is the certificate that a client is shown that asks for name.
func (b *bench) shown(name string, change ...func(*tls.Config)) *x509.Certificate {
	b.t.Helper()
	c := &tls.Config{ServerName: name, NextProtos: []string{"http/1.1"}, InsecureSkipVerify: true}
	for _, f := range change {
		f(c)
	}
	state, err := handshake(b.Config(), c)
	if err != nil {
		b.t.Fatalf("handshake for %q: %v", name, err)
	}
	return state.PeerCertificates[0]
}

func issuerOf(c *x509.Certificate) string { return c.Issuer.CommonName }

// TestObtains: the certificate comes from the authority, is shown to whoever asks for its name
// in any spelling, and is there after a restart without a new order.
func TestObtains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw, gw, "other.corp.test")
		b.server.life = 24 * time.Hour
		stop := b.start()
		synctest.Wait()
		for _, name := range []string{gw, "GW.Corp.Test", "other.corp.test"} {
			if c := b.shown(name); issuerOf(c) != "ACME Root" || c.VerifyHostname(name) != nil {
				t.Errorf("%s is shown a certificate of %s for %v", name, issuerOf(c), c.DNSNames)
			}
		}
		if _, n := b.server.count(); n != 2 {
			t.Errorf("%d certificates were issued for two names", n)
		}
		if got := b.said(Warn); got != nil {
			t.Errorf("complaints: %q", got)
		}
		if s := b.List()[0]; s.Label != gw || s.Source != testDirectory || !s.Valid || s.Err != nil || s.NextRenew.Before(time.Now().Add(15*time.Hour)) || s.NextRenew.After(time.Now().Add(16*time.Hour)) {
			t.Errorf("listed as %+v", s)
		}
		stop()

		b.Keeper = b.keeper(gw)
		defer b.start()()
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("nothing is left after a restart")
		}
		if _, n := b.server.count(); n != 2 {
			t.Error("a restart ordered a certificate that was there")
		}
	})
}

// TestOtherAuthority: what one authority has issued is not taken for another's.
func TestOtherAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		stop := b.start()
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Fatalf("the first authority has issued nothing: shown is one of %s", issuerOf(c))
		}
		stop()
		b.Keeper = b.keeper(gw)
		b.ACME.Directory = "https://acme.test/directory?2"
		if err := b.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := b.shown(gw); issuerOf(c) != "Fallback Root" {
			t.Errorf("shown is one of %s", issuerOf(c))
		}
	})
}

// TestTLS13OnlyClientsGetECDSA: autocert alone orders an RSA certificate for
// clients that speak nothing else (golang.org/issue/50522).
func TestTLS13OnlyClientsGetECDSA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		defer b.start()()
		synctest.Wait()
		c := b.shown(gw, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })
		if _, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || issuerOf(c) != "ACME Root" {
			t.Errorf("shown is a %T of %s", c.PublicKey, issuerOf(c))
		}
		for name := range b.secrets.all {
			if strings.Contains(name, "rsa") {
				t.Errorf("stored: %s", name)
			}
		}
	})
}

// TestClientsOrderNothing: whatever name a client sends, nothing is ordered for it.
func TestClientsOrderNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		defer b.start()()
		synctest.Wait()
		before, _ := b.server.count()
		for _, name := range []string{"evil.test", "a." + gw, "corp.test", gw + ".evil.test"} {
			if c := b.shown(name); issuerOf(c) != "Fallback Root" {
				t.Errorf("%s is shown a certificate of %s", name, issuerOf(c))
			}
			_, err := handshake(b.Config(), &tls.Config{ServerName: name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
			if err == nil {
				t.Errorf("a challenge for %s was answered", name)
			}
		}
		synctest.Wait()
		if after, _ := b.server.count(); after != before {
			t.Error("the authority was asked")
		}
	})
}

// TestFallback: clients that name no host, or an address, have a certificate
// too, and so have all while there is none from the authority.
func TestFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.hang = true
		defer b.start()()
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "Fallback Root" || c.VerifyHostname(gw) != nil {
			t.Errorf("before the first certificate: one of %s", issuerOf(c))
		}
		for _, name := range []string{"", "127.0.0.1"} { // no SNI is sent for an address (RFC 6066 §3)
			if c := b.shown(name); c.VerifyHostname("127.0.0.1") != nil {
				t.Errorf("without a name: a certificate for %v", c.DNSNames)
			}
		}

		b.Keeper = b.keeper(gw)
		b.server.hang, b.Fallback = false, nil
		if _, err := handshake(b.Config(), &tls.Config{ServerName: gw, InsecureSkipVerify: true}); err == nil {
			t.Error("a handshake without any certificate")
		}
		defer b.start()()
		synctest.Wait()
		if c := b.shown(""); issuerOf(c) != "ACME Root" {
			t.Error("without a fallback the first certificate takes its place")
		}
	})
}

// pass lets time go by in the bubble of synctest, which takes none: when it returns,
// whatever that woke has come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestShortLife: certificates of 90 seconds are renewed for three hours, no client
// is ever shown an expired one, and each has a key of its own.
func TestShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		stop := b.start()
		synctest.Wait()
		for range 3 * 60 {
			if c := b.shown(gw); issuerOf(c) != "ACME Root" || time.Now().After(c.NotAfter) {
				t.Fatalf("%v: shown one of %s until %v", time.Now(), issuerOf(c), c.NotAfter)
			}
			pass(time.Minute)
		}
		_, n := b.server.count()
		if n < 3*60 || n > 3*60*3/2 { // one about every 57 to 60 seconds
			t.Errorf("%d certificates in three hours", n)
		}
		keys := make(map[string]bool)
		for _, c := range b.server.issued {
			keys[string(c.RawSubjectPublicKeyInfo)] = true
		}
		if len(keys) != n {
			t.Errorf("%d keys for %d certificates", len(keys), n)
		}
		if got := b.said(Warn); got != nil {
			t.Errorf("complaints: %q", got)
		}
		stop()
		requests, _ := b.server.count()
		pass(24 * time.Hour)
		if after, _ := b.server.count(); after != requests {
			t.Errorf("%d requests to the authority after the end", after-requests)
		}
	})
}

// TestAutocertEnds: nothing is left of autocert's own renewals, which go on for
// as long as the process lives, when the certificate that it obtained is over.
func TestAutocertEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		var first weak.Pointer[autocert.Manager]
		b.server.fail = func(path string) *acme.Error {
			if path == "/cert" && first.Value() == nil {
				first = weak.Make(b.byName[gw].solving.Load())
			}
			return nil
		}
		stop := b.start()
		synctest.Wait()
		stop()
		if first == (weak.Pointer[autocert.Manager]{}) {
			t.Fatal("nothing was obtained")
		}
		pass(3 * time.Hour) // two more of its attempts
		runtime.GC()
		if first.Value() != nil {
			t.Error("it still waits to renew")
		}
	})
}

// TestRefusedNonceIsNoRefusal: an authority may take none of the nonces that it gave
// out a moment ago, and gives another with each refusal (RFC 8555 §6.5). That is nothing
// to wait for, and nothing to complain of, until it takes none at all.
func TestRefusedNonceIsNoRefusal(t *testing.T) {
	for refusals, level := range map[int]Level{6: Info, 1000: Warn} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, gw)
			inARow := 0
			b.server.fail = func(path string) *acme.Error {
				if path == "/directory" || path == "/nonce" {
					return nil
				}
				if inARow++; inARow > refusals {
					inARow = 0
					return nil
				}
				return &acme.Error{StatusCode: 400, ProblemType: "urn:ietf:params:acme:error:badNonce", Detail: "stale"}
			}
			defer b.start()()
			pass(2 * time.Second)
			got := b.said(Warn)
			if ours := issuerOf(b.shown(gw)) == "ACME Root"; ours != (level == Info) || (got != nil) != (level == Warn) {
				t.Errorf("%d refusals in a row: issued %v, complaints %q", refusals, ours, got)
			}
		})
	}
}

// TestRenewalFails: it is tried again until it works, and gets louder as time
// runs out. What has expired is not shown.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.life = 90 * 24 * time.Hour
		defer b.start()()
		synctest.Wait()
		b.said(Info)
		b.server.mu.Lock()
		b.server.fail = func(string) *acme.Error {
			return &acme.Error{StatusCode: 503, ProblemType: "urn:ietf:params:acme:error:serverInternal", Detail: "out for lunch"}
		}
		b.server.mu.Unlock()
		pass(59 * 24 * time.Hour)
		if got := b.said(Warn); got != nil { // the earliest is 33 days before the end
			if !strings.Contains(got[0], "out for lunch") {
				t.Errorf("too early: %q", got)
			}
		}
		pass(4 * 24 * time.Hour)
		got := b.said(Warn)
		if len(got) == 0 || len(got) > 8*24 || b.said(Error) != nil {
			t.Errorf("%d warnings in four days", len(got))
		}
		for _, want := range []string{"certificate " + gw + " (" + testDirectory + "): the certificate could not be renewed and expires in 30 days: ", "out for lunch", "; it is tried again at "} {
			if len(got) > 0 && !strings.Contains(got[0], want) {
				t.Errorf("said %q, not %q", got[0], want)
			}
		}
		pass(20 * 24 * time.Hour)
		if got := b.said(Error); len(got) == 0 || !strings.Contains(got[0], "the certificate expires in ") {
			t.Errorf("a sixth of its life before the end: %q", got)
		}
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("it is still valid")
		}
		pass(10 * 24 * time.Hour)
		if c := b.shown(gw); issuerOf(c) != "Fallback Root" {
			t.Error("an expired certificate is shown")
		}
		if got := b.said(Error); len(got) == 0 || !strings.Contains(got[len(got)-1], "and is not shown any more") {
			t.Errorf("expired: %q", got)
		}
		if s := b.List()[0]; s.Valid || s.Err == nil || s.Failures < 100 {
			t.Errorf("listed as %+v", s)
		}
		b.server.mu.Lock()
		b.server.fail = nil
		b.server.mu.Unlock()
		pass(2 * time.Hour)
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("not renewed after the authority is back")
		}
	})
}

// TestRenewalFailsForShortLife: with 90 seconds there is no half hour to wait,
// which is what autocert would.
func TestRenewalFailsForShortLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		defer b.start()()
		synctest.Wait()
		b.server.mu.Lock()
		b.server.fail = func(string) *acme.Error { return &acme.Error{StatusCode: 400, Detail: "no"} }
		b.server.mu.Unlock()
		pass(70 * time.Second)
		if got := b.said(Warn); len(got) == 0 || len(got) > 3 {
			t.Errorf("%d warnings in ten seconds: %q", len(got), got)
		}
		b.server.mu.Lock()
		b.server.fail = nil
		b.server.mu.Unlock()
		pass(19 * time.Second)
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("not renewed in the twenty seconds that were left")
		}
	})
}

// TestAuthorityThatFailsForEver: autocert's client repeats what fails on the
// authority's side without end.
func TestAuthorityThatFailsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.fail = func(string) *acme.Error { return &acme.Error{StatusCode: 500, Detail: "broken"} }
		defer b.start()()
		pass(20 * time.Second)
		if n, _ := b.server.count(); n > 5 {
			t.Errorf("%d requests in the first attempt", n)
		}
		pass(24 * time.Hour)
		if n, _ := b.server.count(); n > 5*(24+8) {
			t.Errorf("%d requests in a day", n)
		}
		got := b.said(Error)
		want := "certificate gw.corp.test (https://acme.test/directory): there is no certificate: https://acme.test/directory does not issue for gw.corp.test: 500 : broken: check --acme-directory, and the authority's own log; it is tried again at 2000-01-01T00:0"
		if len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("said %q", got)
		}
	})
}

// TestHangingAuthority: an attempt ends after two minutes, and the gateway's end waits for none.
func TestHangingAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.hang = true
		stop := b.start()
		pass(2*time.Minute + time.Second)
		if got := b.said(Error); len(got) != 1 || !strings.Contains(got[0], "context deadline exceeded: it took too long; can it be reached from here?") {
			t.Errorf("said %q", got)
		}
		pass(time.Minute) // into the next attempt
		begin := time.Now()
		stop()
		if d := time.Since(begin); d > 0 {
			t.Errorf("the end waited %v for the authority", d)
		}
		if got := b.said(Warn); len(got) > 1 {
			t.Errorf("said at the end: %q", got)
		}
	})
}

// TestRateLimit: an authority that says when to come again is heard, but not when it says never.
func TestRateLimit(t *testing.T) {
	for after, want := range map[string]time.Duration{"7200": 2 * time.Hour, "99999999": 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, gw)
			b.server.fail = func(path string) *acme.Error {
				if path == "/order" {
					return &acme.Error{StatusCode: 429, ProblemType: "urn:ietf:params:acme:error:rateLimited", Detail: "too many", Header: http.Header{"Retry-After": {after}}}
				}
				return nil
			}
			defer b.start()()
			synctest.Wait()
			if got := time.Until(b.List()[0].NextRenew); got != want {
				t.Errorf("Retry-After %s: tried again in %v", after, got)
			}
			if got := b.said(Error); len(got) != 1 || !strings.Contains(got[0], "it limits how much it issues") {
				t.Errorf("said %q", got)
			}
		})
	}
}

// TestChallengeFails: what the authority has seen is told, which autocert does not.
func TestChallengeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.k = &Keeper{} // somebody else listens there
		defer b.start()()
		synctest.Wait()
		got := b.said(Error)
		want := `(its challenge tls-alpn-01: "`
		if len(got) != 1 || !strings.Contains(got[0], want) || !strings.Contains(got[0], ": the name has to lead to this listener, on port 443 for tls-alpn-01 or port 80 for http-01; it is tried again at ") {
			t.Errorf("said %q", got)
		}
	})
}

// TestHTTP01 is for authorities that do not ask by TLS.
func TestHTTP01(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.challenge = "http-01"
		defer b.start()()
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Errorf("said %q", b.said(Warn))
		}
	})
}

// TestAccount: contact and external account binding are sent, the account's
// key stays, and is stored before it is used.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.ACME.Contact, b.ACME.KID, b.ACME.Key = "ops@corp.test", "kid-1", []byte("0123456789abcdef0123456789abcdef")
		stop := b.start()
		synctest.Wait()
		b.server.mu.Lock()
		if got := b.server.account["contact"]; got == nil || got.([]any)[0] != "mailto:ops@corp.test" {
			t.Errorf("contact %v", got)
		}
		if b.server.account["externalAccountBinding"] == nil {
			t.Error("no binding")
		}
		thumb := b.server.thumb
		b.server.mu.Unlock()
		pass(time.Hour)
		stop()
		if b.server.thumb != thumb {
			t.Error("another account")
		}
		if len(b.secrets.all) != 2 {
			t.Errorf("%d secrets are stored: there are an account and a certificate", len(b.secrets.all))
		}
	})
}

// TestStoreFails: a certificate that cannot be stored is used, and that is told.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		b.server.fail = func(path string) *acme.Error {
			if path == "/cert" {
				b.secrets.mu.Lock()
				b.secrets.fail = errors.New("disk full")
				b.secrets.mu.Unlock()
			}
			return nil
		}
		defer b.start()()
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("not used")
		}
		want := "certificate gw.corp.test (https://acme.test/directory): the new certificate is in use and could not be stored, so that a restart obtains another: disk full"
		if got := b.said(Warn); len(got) != 1 || got[0] != want {
			t.Errorf("said %q", got)
		}
	})
}

// TestStoredDamaged: what cannot be used is told of, and obtained anew.
func TestStoredDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		_ = b.secrets.Put(t.Context(), b.ACME.secret(gw), []byte("garbage"))
		if err := b.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := "certificate gw.corp.test (https://acme.test/directory): what an earlier run has obtained cannot be used: its certificate and key do not belong together: it is obtained anew"
		if got := b.said(Warn); len(got) != 1 || got[0] != want {
			t.Errorf("said %q", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go b.Run(ctx)
		synctest.Wait()
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("not obtained")
		}
	})
}

// TestRenew is renewal on demand.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, gw)
		defer b.start()()
		synctest.Wait()
		for _, name := range []string{gw, "GW.corp.test.", "fallback"} {
			if err := b.Renew(t.Context(), name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, n := b.server.count(); n != 3 {
			t.Errorf("%d certificates", n)
		}
		if err := b.Renew(t.Context(), "evil.test"); !errors.Is(err, ErrUnknownName) || err.Error() != "certs: evil.test: no certificate is kept for that name" {
			t.Errorf("a foreign name: %v", err)
		}
		b.server.mu.Lock()
		b.server.fail = func(string) *acme.Error { return &acme.Error{StatusCode: 403, Detail: "no"} }
		b.server.mu.Unlock()
		if err := b.Renew(t.Context(), gw); err == nil || !strings.HasPrefix(err.Error(), "certs: renewing gw.corp.test: ") {
			t.Errorf("refused: %v", err)
		}
		if c := b.shown(gw); issuerOf(c) != "ACME Root" {
			t.Error("what was there is gone")
		}
	})
}

// TestNames that no authority issues for by ACME are refused at the start.
func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"10.0.0.1":       "certs: 10.0.0.1 is an address: certificates are obtained by ACME for names only",
		"localhost":      `certs: "localhost" has no dot in it: authorities issue for full names only`,
		"*.corp.test":    `certs: "*.corp.test" is not a host name: certificates are obtained for names as in gw.example.com`,
		"gw_1.corp.test": `certs: "gw_1.corp.test" is not a host name: certificates are obtained for names as in gw.example.com`,
		"":               `certs: "" has no dot in it: authorities issue for full names only`,
	} {
		k := newBench(t, name)
		if err := k.Load(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	k := &Keeper{Names: []string{gw}}
	if err := k.Load(t.Context()); err == nil || err.Error() != "certs: no authority to obtain a certificate for gw.corp.test from" {
		t.Errorf("without an authority: %v", err)
	}
	if host, err := obtainable("Bücher.example."); err != nil || host != "xn--bcher-kva.example" {
		t.Errorf("%q %v", host, err)
	}
}

// TestListener: what is spoken, and what is not.
func TestListener(t *testing.T) {
	b := newBench(t)
	b.Names, b.ACME = nil, nil
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	try := func(c *tls.Config) (tls.ConnectionState, error) {
		c.InsecureSkipVerify, c.ServerName = true, gw
		return handshake(b.Config(), c)
	}
	state, err := try(&tls.Config{NextProtos: []string{acme.ALPNProto, "h2", "http/1.1"}})
	if err != nil || state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "h2" || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("usual: %v, version %x, %q, %v", err, state.Version, state.NegotiatedProtocol, state.CurveID)
	}
	for _, curve := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384} {
		if state, err := try(&tls.Config{CurvePreferences: []tls.CurveID{curve}}); err != nil || state.CurveID != curve {
			t.Errorf("%v: %v", curve, err)
		}
	}
	if state, err := try(&tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || state.NegotiatedProtocol != "" {
		t.Errorf("TLS 1.2 without ALPN: %v", err)
	}
	for what, c := range map[string]*tls.Config{
		"TLS 1.1":     {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC":         {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
		"P-521":       {CurvePreferences: []tls.CurveID{tls.CurveP521}},
		"other ALPN":  {NextProtos: []string{"spdy/3"}},
		"a challenge": {NextProtos: []string{acme.ALPNProto}},
	} {
		if _, err := try(c); err == nil {
			t.Errorf("%s is spoken", what)
		}
	}
	suites := b.Config().CipherSuites
	for _, s := range tls.InsecureCipherSuites() {
		if slices.Contains(suites, s.ID) {
			t.Errorf("%s", s.Name)
		}
	}
	if len(suites) != 6 {
		t.Errorf("%d suites", len(suites))
	}
}

// TestJitter: gateways that were started together do not renew together.
func TestJitter(t *testing.T) {
	leaf := &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now().Add(90 * time.Second)}
	seen := make(map[time.Time]bool)
	for range 100 {
		at := renewAt(leaf, true)
		if left := leaf.NotAfter.Sub(at); left < 30*time.Second || left > 33*time.Second {
			t.Fatalf("renewed %v before the end", left)
		}
		seen[at] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different times of 100", len(seen))
	}
	year := &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now().Add(365 * 24 * time.Hour)}
	if left := year.NotAfter.Sub(renewAt(year, true)); left < 30*24*time.Hour || left > 33*24*time.Hour {
		t.Errorf("a year's is renewed %v before the end", left)
	}
	backdated := &x509.Certificate{NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(30 * time.Second)}
	if left := backdated.NotAfter.Sub(renewAt(backdated, true)); left < 9*time.Second || left > 12*time.Second {
		t.Errorf("one whose life began a minute ago is renewed %v before the end", left)
	}
	if left := year.NotAfter.Sub(renewAt(&x509.Certificate{NotBefore: year.NotBefore.Add(-364 * 24 * time.Hour), NotAfter: year.NotAfter}, false)); left < 30*24*time.Hour {
		t.Errorf("a year's from an earlier run is renewed %v before the end", left)
	}
	gone := &x509.Certificate{NotBefore: time.Now(), NotAfter: time.Now()}
	if renewAt(gone, true).Before(time.Now().Add(time.Second / 2)) {
		t.Error("an authority that issues nothing of use is asked without a pause")
	}
}
