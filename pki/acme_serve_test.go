// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/ocsp"
)

type problemDoc struct{ Type, Detail string }

// readProblem holds an answer to RFC 7807.
func readProblem(t *testing.T, resp *http.Response) problemDoc {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p problemDoc
	if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("%s is a %s: %s", resp.Status, ct, b)
	}
	if err := json.Unmarshal(b, &p); err != nil || !strings.HasPrefix(p.Type, acmeErrors) || p.Detail == "" {
		t.Fatalf("no problem document: %s", b)
	}
	return p
}

func TestACMEDirectory(t *testing.T) {
	w := openWorld(t, func(o *ACMEOptions) { o.Names = []string{"GW.test.", "gw2.test"}; o.RequireEAB = true })
	for host, want := range map[string]string{
		"gw.test":       "https://gw.test/acme/",
		"GW.TEST":       "https://gw.test/acme/",
		"gw2.test:3128": "https://gw2.test:3128/acme/",
		"gw.test:443":   "https://gw.test/acme/",
	} {
		resp, err := w.browser().Get("https://" + host + "/acme/directory")
		if err != nil {
			t.Fatal(err)
		}
		var d map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for key, path := range map[string]string{
			"newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order", "revokeCert": "revoke-cert", "keyChange": "key-change",
		} {
			if d[key] != want+path {
				t.Errorf("%s: %s is %v", host, key, d[key])
			}
		}
		if meta := d["meta"].(map[string]any); meta["externalAccountRequired"] != true || meta["website"] == "" {
			t.Errorf("%s: meta is %v", host, meta)
		}
	}
}

// Links are made from the Host, so that one that is not ours has to be refused.
func TestACMERefusesOtherHosts(t *testing.T) {
	w := openWorld(t, nil)
	for _, host := range []string{"evil.test", "gw.test.evil.test", "gw.test@evil.test", "", "[::1]", "gw.test:x:1", "127.0.0.1"} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "https://gw.test/acme/directory", nil)
		r.Host = host
		w.acme.ServeHTTP(rec, r)
		if p := readProblem(t, rec.Result()); rec.Code != http.StatusMisdirectedRequest || strings.Contains(p.Detail, "evil") {
			t.Errorf("%q: %d %v", host, rec.Code, p)
		}
	}
}

func TestACMERefuses(t *testing.T) {
	w := openWorld(t, nil)
	big := strings.Repeat("x", acmeBytes+1)
	for _, c := range []struct {
		name, method, url, body string
		plain                   bool
		status                  int
		detail                  string
	}{
		{"plain HTTP", "GET", "http://gw.test/acme/directory", "", true, 403, "ACME is spoken over https only (RFC 8555 §6.1); begin with https://gw.test/acme/directory"},
		{"another path", "GET", "https://gw.test/acme/nothing", "", false, 404, "there is nothing of this name; begin with /acme/directory"},
		{"another provisioner", "GET", "https://gw.test/own/directory", "", false, 404, "there is nothing of this name; begin with /acme/directory"},
		{"GET of an order", "GET", "https://gw.test/acme/order/x", "", false, 405, "resources are fetched by POST-as-GET (RFC 8555 §6.3)"},
		{"a large body", "POST", "https://gw.test/acme/new-account", big, false, 413, "a request has 65536 bytes at most"},
		{"no JWS", "POST", "https://gw.test/acme/new-account", "{}", false, 400, ""},
		{"no JWS for a key change", "POST", "https://gw.test/acme/key-change", "{}", false, 400, "it is not a JWS with one signature"},
	} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, c.url, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/jose+json")
		if c.plain {
			r.TLS = nil
		}
		w.acme.ServeHTTP(rec, r)
		p := readProblem(t, rec.Result())
		if rec.Code != c.status || c.detail != "" && p.Detail != c.detail {
			t.Errorf("%s: %d %v", c.name, rec.Code, p)
		}
	}
	closed, err := w.ca.ACME(ACMEOptions{Names: []string{"gw.test"}})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	closed.ServeHTTP(rec, httptest.NewRequest("GET", "https://gw.test/acme/directory", nil))
	if p := readProblem(t, rec.Result()); rec.Code != 403 || !strings.Contains(p.Detail, "--acme-serve") {
		t.Errorf("not opened: %d %v", rec.Code, p)
	}
}

// rejects returns the problem that an order meets.
func (w *world) rejects(ctx context.Context, c *acme.Client, ids ...acme.AuthzID) *acme.Error {
	w.t.Helper()
	_, err := c.AuthorizeOrder(ctx, ids)
	var e *acme.Error
	if !errors.As(err, &e) {
		w.t.Fatalf("ordering %v: %v", ids, err)
	}
	return e
}

func TestACMERejectsIdentifiers(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	dns := func(v string) acme.AuthzID { return acme.AuthzID{Type: "dns", Value: v} }
	ip := func(v string) acme.AuthzID { return acme.AuthzID{Type: "ip", Value: v} }
	for _, ids := range [][]acme.AuthzID{
		{dns("www.example.org")},
		{dns("evilcorp.test")},
		{dns("corp.test.example.org")},
		{dns("*.corp.test")},
		{dns("WWW.corp.test")},
		{dns("www.corp.test.")},
		{dns("gw.test")}, // the gateway's
		{dns("127.0.0.1")},
		{dns("169.254.169.254")},
		{ip("127.0.0.1")},
		{ip("169.254.169.254")},
		{ip("::ffff:127.0.0.1")},
		{ip("192.168.0.1")},
		{dns("www.corp.test"), dns("www.example.org")},
		{{Type: "wireapp-user", Value: "x"}},
		{{Type: "permanent-identifier", Value: "x"}},
	} {
		if e := w.rejects(ctx, c, ids...); e.StatusCode < 400 || e.StatusCode > 499 {
			t.Errorf("%v: %d %s", ids, e.StatusCode, e.Detail)
		}
	}
	if w.dials.Load() != 0 {
		t.Error("somebody was asked")
	}
	var many []acme.AuthzID
	for i := range acmeIdentifiers + 1 {
		many = append(many, dns(fmt.Sprintf("h%d.corp.test", i)))
	}
	if e := w.rejects(ctx, c, many...); e.Detail != "the order has more than 100 identifiers" {
		t.Errorf("too many: %v", e)
	}
	// An address in an open network is issued for.
	o, err := c.AuthorizeOrder(ctx, acme.IPIDs("10.9.8.7"))
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fulfil(ctx, c, az, "http-01"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitAuthorization(ctx, az.URI); err != nil {
		t.Fatalf("10.9.8.7: %v", err)
	}
}

// Defect 4: a failed challenge leaves smallstep's authorization pending, so that
// clients poll until they give up and never try the other challenge.
func TestDefect4FailedChallengeEndsItsAuthorization(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	for _, kind := range []string{"tls-alpn-01", "http-01"} { // nobody answers either
		o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
		if err != nil {
			t.Fatal(err)
		}
		az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		var other *acme.Challenge
		for _, ch := range az.Challenges {
			if ch.Type != kind {
				other = ch
				continue
			}
			got, err := c.Accept(ctx, ch)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != acme.StatusInvalid || got.Error == nil {
				t.Fatalf("%s: the challenge is %s, %v", kind, got.Status, got.Error)
			}
		}
		if az, err = c.GetAuthorization(ctx, az.URI); err != nil || az.Status != acme.StatusInvalid {
			t.Fatalf("%s: the authorization is %v, %v", kind, az, err)
		}
		if o, err = c.GetOrder(ctx, o.URI); err != nil || o.Status != acme.StatusInvalid {
			t.Fatalf("%s: the order is %v, %v", kind, o, err)
		}
		// The other challenge of an authorization that has ended asks nobody.
		before := w.dials.Load()
		if got, err := c.Accept(ctx, other); err != nil || got.Status == acme.StatusValid {
			t.Fatalf("the other challenge is %v, %v", got, err)
		}
		if w.dials.Load() != before {
			t.Error("a challenge of an authorization that has ended was looked at")
		}
	}
}

// The client names the authorization in the URL of a challenge: with another one
// it could end what is none of its own.
func TestACMEChallengeOfAnotherAuthorization(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	mallory, alice := w.registered(ctx), w.registered(ctx)
	get := func(c *acme.Client) *acme.Authorization {
		o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
		if err != nil {
			t.Fatal(err)
		}
		az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		return az
	}
	hers, his := get(alice), get(mallory)
	own := his.Challenges[0]
	id := own.URI[strings.LastIndexByte(own.URI, '/'):]
	_, err := mallory.Accept(ctx, &acme.Challenge{URI: strings.Replace(hers.URI, "/authz/", "/challenge/", 1) + id})
	if e := (*acme.Error)(nil); !errors.As(err, &e) || e.StatusCode != 404 {
		t.Fatalf("a challenge in another authorization: %v", err)
	}
	if _, err := mallory.GetAuthorization(ctx, hers.URI); err == nil {
		t.Error("an authorization of another account is shown")
	}
	if az, err := alice.GetAuthorization(ctx, hers.URI); err != nil || az.Status != acme.StatusPending {
		t.Fatalf("her authorization is %v, %v", az, err)
	}
}

func TestACMEDeactivatesAuthorizations(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.registered(ctx).RevokeAuthorization(ctx, o.AuthzURLs[0]); refusedWith(t, err).StatusCode != 404 {
		t.Errorf("by another account: %v", err)
	}
	az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil || az.Status != acme.StatusPending || len(az.Challenges) != 2 {
		t.Fatalf("%+v, %v", az, err)
	}
	if err := w.fulfil(ctx, c, az, "http-01"); err != nil {
		t.Fatal(err)
	}
	if err := c.RevokeAuthorization(ctx, az.URI); err != nil {
		t.Fatal(err)
	}
	if o, err = c.GetOrder(ctx, o.URI); err != nil || o.Status != acme.StatusInvalid {
		t.Errorf("its order is %+v, %v", o, err)
	}
}

// Defect 5: smallstep deletes nothing, and writes a row for each nonce.
func TestDefect5NothingIsKeptForEver(t *testing.T) {
	ctx := within30s(t)
	now := time.Now()
	var mu sync.Mutex
	w := openWorldOn(t, memoryCA(t, worldSettings, Options{Log: t.Logf, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}}), nil)
	rows := func() map[string]int {
		n := map[string]int{}
		err := w.ca.store.View(func(tx tx) error {
			for _, b := range []string{bucketACMEAccounts, bucketACMEKeys, bucketACMEAuthz, bucketACMEOrders, bucketACMECerts} {
				if err := tx.Each(b, "", func(string, []byte) bool { n[b]++; return true }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	c := w.registered(ctx)
	idle := w.registered(ctx)
	if _, _, err := w.order(ctx, c, "http-01", "www.corp.test"); err != nil {
		t.Fatal(err)
	}
	if n := rows(); n[bucketACMEAccounts] != 2 || n[bucketACMEKeys] != 2 || n[bucketACMEAuthz] != 1 || n[bucketACMEOrders] != 1 || n[bucketACMECerts] != 1 {
		t.Fatalf("one issuance has made these rows: %v", n)
	}
	// Asking for nonces writes nothing.
	before := allRows(t, w.ca)
	for range 20 {
		resp, err := w.browser().Head("https://gw.test/acme/new-nonce")
		if err != nil || resp.StatusCode != 200 || len(resp.Header.Get("Replay-Nonce")) != 43 {
			t.Fatalf("new-nonce: %v, %v", resp, err)
		}
		resp.Body.Close()
	}
	if after := allRows(t, w.ca); before != after {
		t.Error("HEAD new-nonce has changed the store")
	}
	sweep := func() int {
		n, err := w.ca.Sweep(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := sweep(); n != 0 {
		t.Errorf("%d rows that are in use were swept", n)
	}
	mu.Lock()
	now = now.Add(3 * acmeOrderLife)
	mu.Unlock()
	if n := sweep(); n != 2 {
		t.Errorf("after the order's life %d rows were swept", n)
	}
	mu.Lock()
	now = now.Add(acmeUnused)
	mu.Unlock()
	if n := sweep(); n != 1 {
		t.Errorf("after a day %d rows were swept", n)
	}
	if _, err := idle.GetReg(ctx, ""); !errors.Is(err, acme.ErrNoAccount) {
		t.Errorf("the account that never ordered: %v", err)
	}
	if _, err := c.GetReg(ctx, ""); err != nil {
		t.Errorf("the account that ordered: %v", err)
	}
	mu.Lock()
	now = now.Add(acmeIdle)
	mu.Unlock()
	sweep()
	if n := rows(); len(n) != 0 {
		t.Errorf("after 401 days these rows are left: %v", n)
	}
}

// allRows is everything that the ACME server has in the store.
func allRows(t *testing.T, ca *CA) string {
	t.Helper()
	var b strings.Builder
	err := ca.store.View(func(t tx) (err error) {
		for _, bucket := range []string{bucketACMEAccounts, bucketACMEKeys, bucketACMEAuthz, bucketACMEOrders, bucketACMECerts, bucketACMEEAB, "nonces"} {
			err = errors.Join(err, t.Each(bucket, "", func(key string, value []byte) bool {
				b.WriteString(bucket + "/" + key + " " + string(value) + "\n")
				return true
			}))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Eight at once use one nonce, over the whole server: one of them is served.
func TestACMENonceReplayRace(t *testing.T) {
	t.Run("memory", func(t *testing.T) { replayRace(t, openWorld(t, nil)) })
	t.Run("bbolt", func(t *testing.T) {
		ca, _ := diskCA(t, worldSettings)
		replayRace(t, openWorldOn(t, ca, nil))
	})
}

func replayRace(t *testing.T, w *world) {
	ctx := within30s(t)
	hc := w.browser()
	// A request of a client, caught before it is sent.
	var caught []byte
	c := w.client()
	c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "/new-account") {
			caught, _ = io.ReadAll(r.Body)
			return nil, errors.New("caught")
		}
		return hc.Transport.RoundTrip(r)
	})}
	for range 20 {
		c.Register(ctx, &acme.Account{}, acme.AcceptTOS)
		var served, stale atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				resp, err := hc.Post("https://gw.test/acme/new-account", "application/jose+json", strings.NewReader(string(caught)))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				if resp.StatusCode < 300 {
					served.Add(1)
					return
				}
				var p problemDoc
				if json.NewDecoder(resp.Body).Decode(&p); strings.HasSuffix(p.Type, ":badNonce") && resp.Header.Get("Replay-Nonce") != "" {
					stale.Add(1)
				}
			})
		}
		wg.Wait()
		if served.Load() != 1 || stale.Load() != 7 {
			t.Fatalf("one nonce was good for %d requests, and bad for %d", served.Load(), stale.Load())
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestACMEParallelOrders(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	serials := make([]*big.Int, 12)
	var wg sync.WaitGroup
	for i := range serials {
		wg.Go(func() {
			chain, _, err := w.order(ctx, c, "http-01", string(rune('a'+i))+".corp.test")
			if err != nil {
				t.Errorf("order %d: %v", i, err)
				return
			}
			serials[i] = chain[0].SerialNumber
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, s := range serials {
		if s != nil {
			seen[s.String()] = true
		}
	}
	if len(seen) != len(serials) {
		t.Errorf("%d orders have %d certificates", len(serials), len(seen))
	}
}

// One order is one certificate, however often it is finalized at once.
func TestACMEFinalizeRace(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fulfil(ctx, c, az, "http-01"); err != nil {
		t.Fatal(err)
	}
	_, csr, err := newCSR("www.corp.test")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true); err != nil {
				t.Errorf("finalize: %v", err)
			}
		})
	}
	wg.Wait()
	n := 0
	if err := w.ca.Records(ctx, func(Record) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("one order has %d certificates, %v", n, err)
	}
}

func TestACMEFinalizeRefuses(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	for name, names := range map[string][]string{
		"another name": {"other.corp.test"},
		"one more":     {"www.corp.test", "other.corp.test"},
	} {
		o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
		if err != nil {
			t.Fatal(err)
		}
		_, csr, err := newCSR(names...)
		if err != nil {
			t.Fatal(err)
		}
		var e *acme.Error
		if _, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true); !errors.As(err, &e) || e.ProblemType != acmeErrors+"orderNotReady" {
			t.Errorf("before its challenge: %v", err)
		}
		az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := w.fulfil(ctx, c, az, "http-01"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true); !errors.As(err, &e) || e.ProblemType != acmeErrors+"badCSR" || e.StatusCode != 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A life beyond what is allowed is the client's mistake, and not repeated.
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"), acme.WithOrderNotAfter(time.Now().Add(1000*time.Hour*24)))
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := w.fulfil(ctx, c, az, "http-01"); err != nil {
		t.Fatal(err)
	}
	_, csr, err := newCSR("www.corp.test")
	if err != nil {
		t.Fatal(err)
	}
	var e *acme.Error
	if _, _, err := c.CreateOrderCert(ctx, o.FinalizeURL, csr, true); !errors.As(err, &e) || e.StatusCode != 400 {
		t.Errorf("1000 days: %v", err)
	}
}

func TestACMERevokes(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	a, aKey, err := w.order(ctx, c, "http-01", "a.corp.test")
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := w.order(ctx, c, "http-01", "b.corp.test")
	if err != nil {
		t.Fatal(err)
	}
	var e *acme.Error
	if err := w.registered(ctx).RevokeCert(ctx, nil, b[0].Raw, acme.CRLReasonUnspecified); !errors.As(err, &e) || e.StatusCode != 403 {
		t.Errorf("another account: %v", err)
	}
	if err := w.client().RevokeCert(ctx, mustKey(t), b[0].Raw, acme.CRLReasonUnspecified); !errors.As(err, &e) || e.StatusCode != 403 {
		t.Errorf("another key: %v", err)
	}
	if err := c.RevokeCert(ctx, nil, b[0].Raw, acme.CRLReasonCACompromise); !errors.As(err, &e) || e.ProblemType != acmeErrors+"badRevocationReason" {
		t.Errorf("a reason that is not for subscribers: %v", err)
	}
	if w.ca.Revoked(b[0]) {
		t.Fatal("it is revoked")
	}
	if err := w.client().RevokeCert(ctx, aKey, a[0].Raw, acme.CRLReasonKeyCompromise); err != nil {
		t.Errorf("by its own key: %v", err)
	}
	if err := c.RevokeCert(ctx, nil, b[0].Raw, acme.CRLReasonSuperseded); err != nil {
		t.Errorf("by its account: %v", err)
	}
	if err := c.RevokeCert(ctx, nil, b[0].Raw, acme.CRLReasonSuperseded); err != nil && !strings.Contains(err.Error(), "alreadyRevoked") {
		t.Errorf("again: %v", err)
	}
	if !w.ca.Revoked(a[0]) || !w.ca.Revoked(b[0]) {
		t.Error("they are not revoked")
	}
	der, err := ocsp.CreateRequest(a[0], a[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := w.ca.ocsp(der)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ocsp.ParseResponseForCert(h.der, a[0], a[1]); err != nil || got.Status != ocsp.Revoked || got.RevocationReason != ocsp.KeyCompromise {
		t.Errorf("OCSP says %+v, %v", got, err)
	}
	list, err := w.ca.crl(w.ca.state.Load().issuer(Server).skid)
	if err != nil || len(list.list.RevokedCertificateEntries) != 2 {
		t.Errorf("the CRL names %d, %v", len(list.list.RevokedCertificateEntries), err)
	}
}

func TestACMEKeyChange(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	c, other := w.registered(ctx), w.registered(ctx)
	old, next := c.Key, mustKey(t)
	if err := c.AccountKeyRollover(ctx, next); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.order(ctx, c, "http-01", "www.corp.test"); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	stale := w.client()
	stale.Key = old
	if _, err := stale.GetReg(ctx, ""); !errors.Is(err, acme.ErrNoAccount) {
		t.Errorf("with the old key: %v", err)
	}
	var e *acme.Error
	if err := other.AccountKeyRollover(ctx, next); !errors.As(err, &e) || e.StatusCode != http.StatusConflict || e.Header.Get("Location") == "" {
		t.Errorf("to the key of another account: %v", err)
	}
}

func TestACMETransport(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, func(o *ACMEOptions) { o.Serve, o.RequireEAB = false, true })
	c := &acme.Client{Key: mustKey(t), HTTPClient: &http.Client{Transport: w.acme.Transport()}, DirectoryURL: w.acme.Directory()}
	if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	chain, _, err := w.order(ctx, c, "tls-alpn-01", "gw.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyAt(w.ca, chain, 1, "gw.test"); err != nil {
		t.Error(err)
	}
	if e := w.rejects(ctx, c, acme.AuthzID{Type: "dns", Value: "www.corp.test"}); e.StatusCode != 403 {
		t.Errorf("a name that is not the gateway's: %v", e)
	}
	if _, err := (&http.Client{Transport: w.acme.Transport()}).Get("http://gw.test/acme/directory"); err == nil || !strings.Contains(err.Error(), "its URLs begin with https") {
		t.Errorf("plain: %v", err)
	}
}

// The gateway's own account is not the network's, although they share a store.
func TestACMEOwnAccountIsNotTheNetworks(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	own := &acme.Client{Key: mustKey(t), HTTPClient: &http.Client{Transport: w.acme.Transport()}, DirectoryURL: w.acme.Directory()}
	if _, err := own.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	thief := w.client()
	thief.Key = own.Key
	if _, err := thief.GetReg(ctx, ""); !errors.Is(err, acme.ErrNoAccount) {
		t.Errorf("over the network: %v", err)
	}
}

// A challenge that hangs holds up nobody longer than the client waits.
func TestACMETransportRespectsDeadlines(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	w := openWorld(t, func(o *ACMEOptions) {
		o.Own = func(context.Context, string) (net.Conn, error) { // deaf to its context
			close(reached)
			<-release
			return nil, errors.New("nobody")
		}
	})
	ctx := within30s(t)
	c := &acme.Client{Key: mustKey(t), HTTPClient: &http.Client{Transport: w.acme.Transport()}, DirectoryURL: w.acme.Directory()}
	if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	o, err := c.AuthorizeOrder(ctx, acme.DomainIDs("gw.test"))
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithCancel(ctx)
	go func() { <-reached; cancel() }()
	if _, err := c.Accept(short, az.Challenges[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestACMERateLimits(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, nil)
	now := time.Now()
	w.acme.db.now = func() time.Time { return now }
	for range acmeAccounts {
		if !w.acme.db.accounts.take(now, acmeAccounts, acmeAccountEvery) {
			t.Fatal("too early")
		}
	}
	_, err := impatient(w.client()).Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err == nil || !strings.Contains(err.Error(), "too many new accounts") {
		t.Errorf("one account more: %v", err)
	}
	now = now.Add(acmeAccountEvery)
	c := w.registered(ctx)
	reg, err := c.GetReg(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	account := reg.URI[strings.LastIndexByte(reg.URI, '/')+1:]
	err = w.ca.store.Change(func(t tx) error {
		for i := range acmeOrders {
			if err := put(t, bucketACMEOrders, account+"-"+string(rune('a'+i%26))+newID(), orderRow{Account: account, Status: "pending", Expires: now.Add(time.Minute)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := impatient(c).AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test")); err == nil || !strings.Contains(err.Error(), "300 orders within 1h0m0s") {
		t.Errorf("one order more: %v", err)
	}
	if _, _, err := w.order(ctx, w.registeredAfter(ctx, func() { now = now.Add(acmeAccountEvery) }), "http-01", "www.corp.test"); err != nil {
		t.Errorf("another account: %v", err)
	}
}

// impatient makes a client give up where it would try again.
func impatient(c *acme.Client) *acme.Client {
	c.RetryBackoff = func(int, *http.Request, *http.Response) time.Duration { return -1 }
	return c
}

func (w *world) registeredAfter(ctx context.Context, f func()) *acme.Client {
	f()
	return w.registered(ctx)
}

// smallstep logs by the standard logger, which is not ours to fill.
func TestACMELogsNothingUnasked(t *testing.T) {
	var out lockedBuilder
	log.SetOutput(&out)
	t.Cleanup(func() { log.SetOutput(io.Discard) })
	ctx := within30s(t)
	w := openWorld(t, nil)
	c := w.registered(ctx)
	if _, _, err := w.order(ctx, c, "http-01", "www.corp.test"); err != nil {
		t.Fatal(err)
	}
	w.rejects(ctx, c, acme.AuthzID{Type: "dns", Value: "www.example.org"})
	if s := out.String(); s != "" {
		t.Errorf("the standard logger was given: %s", s)
	}
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestPace(t *testing.T) {
	var p pace
	now := time.Now()
	for i := range 10 {
		if !p.take(now, 10, time.Second) {
			t.Fatalf("%d of 10 at once", i)
		}
	}
	if p.take(now, 10, time.Second) {
		t.Error("an eleventh at once")
	}
	now = now.Add(time.Second)
	if !p.take(now, 10, time.Second) || p.take(now, 10, time.Second) {
		t.Error("a second later it is not one more")
	}
	now = now.Add(time.Hour)
	for i := range 10 {
		if !p.take(now, 10, time.Second) {
			t.Fatalf("%d of 10 after an hour", i)
		}
	}
}
