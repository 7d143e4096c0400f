// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

func skidOf(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SubjectKeyId) }

// listOf is the revocation list of who issued a certificate, verified.
func listOf(t testing.TB, ca *CA, issuer *x509.Certificate) *x509.RevocationList {
	t.Helper()
	der, err := ca.CRL(skidOf(issuer))
	if err != nil {
		t.Fatal(err)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		t.Fatal(err)
	}
	return list
}

func names(list *x509.RevocationList, c *x509.Certificate) bool {
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

func revoke(t testing.TB, ca *CA, c *x509.Certificate, reason int) {
	t.Helper()
	if err := ca.Revoke(t.Context(), c.SerialNumber, reason, "test"); err != nil {
		t.Fatal(err)
	}
}

func TestCRL(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	ca := memoryCA(t, Settings{}, Options{Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	later := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	a, b, c := issueServer(t, ca, "a.test"), issueServer(t, ca, "b.test"), issueClient(t, ca, "alice")
	first := listOf(t, ca, a[1])
	if len(first.RevokedCertificateEntries) != 0 || first.Number.Cmp(big.NewInt(1)) != 0 || !bytes.Equal(first.AuthorityKeyId, a[1].SubjectKeyId) {
		t.Errorf("the first list is %+v", first)
	}
	if again := listOf(t, ca, a[1]); !bytes.Equal(again.Raw, first.Raw) {
		t.Error("a list was signed anew for nothing")
	}
	revoke(t, ca, a[0], 1)
	revoke(t, ca, c[0], 0)
	second := listOf(t, ca, a[1])
	if !names(second, a[0]) || names(second, b[0]) || names(second, c[0]) || second.Number.Cmp(first.Number) <= 0 {
		t.Errorf("after a revocation it is %v, number %v", second.RevokedCertificateEntries, second.Number)
	}
	if e := second.RevokedCertificateEntries[0]; e.ReasonCode != 1 {
		t.Errorf("the reason is %d", e.ReasonCode)
	}
	if of := listOf(t, ca, c[1]); !names(of, c[0]) || names(of, a[0]) {
		t.Error("lists of two issuers are mixed")
	}
	later(crlFresh + time.Minute)
	third := listOf(t, ca, a[1])
	if third.Number.Cmp(second.Number) <= 0 || !third.NextUpdate.After(second.NextUpdate) || !names(third, a[0]) {
		t.Errorf("after half a day it is number %v, good until %v", third.Number, third.NextUpdate)
	}
	// A generation that was replaced still has its list, with what it names.
	if err := ca.RotateIssuer(t.Context(), Server); err != nil {
		t.Fatal(err)
	}
	fresh := issueServer(t, ca, "c.test")
	revoke(t, ca, b[0], 4)
	if old, young := listOf(t, ca, a[1]), listOf(t, ca, fresh[1]); !names(old, b[0]) || !names(old, a[0]) || len(young.RevokedCertificateEntries) != 0 {
		t.Error("after a rotation the lists of the generations are wrong")
	}
	later(100 * 24 * time.Hour) // the certificates have expired
	if l := listOf(t, ca, a[1]); len(l.RevokedCertificateEntries) != 0 {
		t.Errorf("it names %d that have expired", len(l.RevokedCertificateEntries))
	}
	if _, err := ca.CRL("00"); err == nil || err.Error() != `making the revocation list of "00": no issuer has this key identifier` {
		t.Errorf("of nobody: %v", err)
	}
}

// Numbers rise over restarts, and a list that is still right is not signed again.
func TestCRLNumberIsDurable(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	a, b := issueServer(t, ca, "a.test"), issueServer(t, ca, "b.test")
	revoke(t, ca, a[0], 1)
	first := listOf(t, ca, a[1])
	if err := ca.Close(); err != nil {
		t.Fatal(err)
	}
	ca = reopen(t, dir)
	if again := listOf(t, ca, a[1]); !bytes.Equal(again.Raw, first.Raw) {
		t.Error("a restart has signed a list anew")
	}
	ca.Close()
	ca = reopen(t, dir)
	revoke(t, ca, b[0], 1)
	if second := listOf(t, ca, a[1]); second.Number.Cmp(first.Number) <= 0 || !names(second, a[0]) || !names(second, b[0]) {
		t.Errorf("after a restart it is number %v", second.Number)
	}
}

// Whoever asks after Revoke has returned is told, however many ask at once.
func TestCRLAndOCSPFollowRevocationsAtOnce(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		c := issueServer(t, ca, fmt.Sprintf("h%d.test", i))
		wg.Go(func() {
			if askOCSP(t, ca, c).Status != ocsp.Good {
				t.Error("a good certificate is not good")
			}
			if err := ca.Revoke(t.Context(), c[0].SerialNumber, 0, "test"); err != nil {
				t.Error(err)
				return
			}
			der, err := ca.CRL(skidOf(c[1]))
			if err != nil {
				t.Error(err)
				return
			}
			if list, err := x509.ParseRevocationList(der); err != nil || !names(list, c[0]) {
				t.Errorf("the list does not name what was revoked, %v", err)
			}
			if askOCSP(t, ca, c).Status != ocsp.Revoked {
				t.Error("OCSP does not know what was revoked")
			}
		})
	}
	wg.Wait()
}

func askOCSP(t testing.TB, ca *CA, chain []*x509.Certificate) *ocsp.Response {
	t.Helper()
	req, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Error(err)
		return &ocsp.Response{}
	}
	h, err := ca.ocsp(req)
	if err != nil {
		t.Error(err)
		return &ocsp.Response{}
	}
	r, err := ocsp.ParseResponseForCert(h.der, chain[0], chain[1])
	if err != nil {
		t.Error(err)
		return &ocsp.Response{}
	}
	return r
}

func TestOCSP(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	other := memoryCA(t, Settings{}, Options{})
	a, c := issueServer(t, ca, "a.test"), issueClient(t, ca, "alice")
	stranger := issueServer(t, other, "a.test")
	if r := askOCSP(t, ca, a); r.Status != ocsp.Good || !r.NextUpdate.After(time.Now()) {
		t.Errorf("a good one is %+v", r)
	}
	// A serial number of another issuer of ours is unknown to this one.
	if r := askOCSP(t, ca, []*x509.Certificate{{SerialNumber: c[0].SerialNumber}, a[1]}); r.Status != ocsp.Unknown {
		t.Errorf("another issuer's serial number is %+v", r)
	}
	if r := askOCSP(t, ca, []*x509.Certificate{{SerialNumber: big.NewInt(42)}, a[1]}); r.Status != ocsp.Unknown {
		t.Errorf("one that nobody issued is %+v", r)
	}
	if n := len(ca.answers.by); n != 1 {
		t.Errorf("%d answers are kept: what is unknown has no end", n)
	}
	revoke(t, ca, a[0], 1)
	if r := askOCSP(t, ca, a); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.KeyCompromise {
		t.Errorf("a revoked one is %+v", r)
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		req, err := ocsp.CreateRequest(a[0], a[1], &ocsp.RequestOptions{Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ca.ocsp(req)
		if err != nil {
			t.Errorf("%v: %v", h, err)
			continue
		}
		if r, err := ocsp.ParseResponse(got.der, a[1]); err != nil || r.IssuerHash != h {
			t.Errorf("%v is answered with %v, %v", h, r, err)
		}
	}
	p := ca.Publish()
	for name, c := range map[string]struct {
		body []byte
		want []byte
	}{
		"nothing":        {nil, ocsp.MalformedRequestErrorResponse},
		"no DER":         {[]byte("GET / HTTP/1.1"), ocsp.MalformedRequestErrorResponse},
		"too long":       {append(requestOf(t, a), make([]byte, ocspBytes)...), ocsp.MalformedRequestErrorResponse},
		"trailing":       {append(requestOf(t, a), 0), ocsp.MalformedRequestErrorResponse},
		"of others":      {requestOf(t, stranger), ocsp.UnauthorizedErrorResponse},
		"of a root":      {requestOf(t, []*x509.Certificate{a[1], ca.Roots(Edge)[0]}), ocsp.UnauthorizedErrorResponse},
		"serial of zero": {requestOf(t, []*x509.Certificate{{SerialNumber: new(big.Int)}, a[1]}), ocsp.MalformedRequestErrorResponse},
	} {
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, httptest.NewRequest("POST", "http://gw.test/ocsp", bytes.NewReader(c.body)))
		if rec.Code != 200 || !bytes.Equal(rec.Body.Bytes(), c.want) {
			t.Errorf("%s: %d %x", name, rec.Code, rec.Body)
		}
	}
}

func requestOf(t testing.TB, chain []*x509.Certificate) []byte {
	t.Helper()
	req, err := ocsp.CreateRequest(chain[0], chain[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestPublish(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	a := issueServer(t, ca, "a.test")
	id := skidOf(a[1])
	get := "/ocsp/" + base64.StdEncoding.EncodeToString(requestOf(t, a))
	p := ca.Publish()
	for path, kind := range map[string]string{
		"/roots.pem":               "application/x-pem-file",
		"/edge.pem":                "application/x-pem-file",
		"/identity.pem":            "application/x-pem-file",
		"/crl/" + id + ".crl":      "application/pkix-crl",
		"/ca/" + id + ".crt":       "application/pkix-cert",
		get:                        "application/ocsp-response",
		"/ca/" + rootID(ca, Edge):  "application/pkix-cert",
		"/ca/" + rootID(ca, 2):     "application/pkix-cert",
		"/crl/" + intercept(t, ca): "application/pkix-crl",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
			rec := httptest.NewRecorder()
			r := httptest.NewRequest(method, "http://gw.test/", strings.NewReader("x"))
			r.URL.Path = path
			p.ServeHTTP(rec, r)
			h := rec.Header()
			switch method {
			case "GET":
				if rec.Code != 200 || h.Get("Content-Type") != kind || rec.Body.Len() == 0 || !strings.HasPrefix(h.Get("Cache-Control"), "public, max-age=") || h.Get("ETag") == "" {
					t.Errorf("%s: %d %v", path, rec.Code, h)
				}
				again := httptest.NewRecorder()
				r.Header.Set("If-None-Match", h.Get("ETag"))
				if p.ServeHTTP(again, r); again.Code != http.StatusNotModified {
					t.Errorf("%s again: %d", path, again.Code)
				}
			case "HEAD":
				if rec.Code != 200 || rec.Body.Len() != 0 || h.Get("Content-Length") == "" {
					t.Errorf("HEAD %s: %d %v", path, rec.Code, h)
				}
			default:
				if rec.Code != 405 || h.Get("Allow") != "GET, HEAD" {
					t.Errorf("%s %s: %d %v", method, path, rec.Code, h)
				}
			}
		}
	}
	for _, path := range []string{"/", "", "/roots.pem/", "/crl/", "/crl/.crl", "/crl/00.crl", "/crl/../ca.db.crl", "/ca/" + id, "/ca/" + strings.ToUpper(id) + ".crt", "/ca.db", "/passphrase"} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://gw.test/", nil)
		r.URL.Path = path
		if p.ServeHTTP(rec, r); rec.Code != 404 {
			t.Errorf("%q: %d", path, rec.Code)
		}
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("GET", "http://gw.test/roots.pem", nil))
	if n := strings.Count(rec.Body.String(), "BEGIN CERTIFICATE"); n != 2 || strings.Contains(rec.Body.String(), "PRIVATE") {
		t.Errorf("roots.pem has %d roots", n)
	}
}

func rootID(ca *CA, d Domain) string { return skidOf(ca.Roots(d)[0]) + ".crt" }

func intercept(t testing.TB, ca *CA) string {
	t.Helper()
	return ca.state.Load().issuer(Intercept).skid + ".crl"
}

// OpenSSL is of the same opinion.
func TestOpenSSLBelievesCRLAndOCSP(t *testing.T) {
	ca := memoryCA(t, Settings{}, Options{})
	web := httptest.NewServer(ca.Publish())
	defer web.Close()
	if err := ca.SetURL(web.URL); err != nil {
		t.Fatal(err)
	}
	good, bad := issueServer(t, ca, "good.test"), issueServer(t, ca, "bad.test")
	revoke(t, ca, bad[0], 1)
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fetch := func(url string) []byte {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %s, %v", url, resp.Status, err)
		}
		return b
	}
	roots := file("roots.pem", fetch(web.URL+"/edge.pem"))
	issuer := file("issuer.pem", pemOf(good[1]))
	if got := fetch(good[0].IssuingCertificateURL[0]); !bytes.Equal(got, good[1].Raw) {
		t.Error("the issuer is not where its certificates say")
	}
	crl := file("list.crl", fetch(good[0].CRLDistributionPoints[0]))
	if out, err := openssl(t, "crl", "-inform", "DER", "-in", crl, "-noout", "-CAfile", issuer, "-crlnumber"); err != nil || !strings.Contains(string(out), "verify OK") {
		t.Errorf("openssl crl: %v %s", err, out)
	}
	list, err := os.ReadFile(crl)
	if err != nil {
		t.Fatal(err)
	}
	crlPEM := file("list.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list}))
	for chain, want := range map[*x509.Certificate]string{good[0]: ": OK", bad[0]: "certificate revoked"} {
		leaf := file("leaf.pem", pemOf(chain))
		out, _ := openssl(t, "verify", "-crl_check", "-x509_strict", "-CRLfile", crlPEM, "-CAfile", roots, "-untrusted", issuer, leaf)
		if !strings.Contains(string(out), want) {
			t.Errorf("openssl verify -crl_check, wanting %q: %s", want, out)
		}
		for _, how := range [][]string{{}, {"-no_nonce"}, {"-sha256"}} {
			status := map[string]string{": OK": ": good", "certificate revoked": ": revoked"}[want]
			args := append([]string{"ocsp", "-CAfile", roots, "-verify_other", issuer, "-issuer", issuer}, how...)
			out, err := openssl(t, append(args, "-cert", leaf, "-url", chain.OCSPServer[0])...)
			if err != nil || !strings.Contains(string(out), "Response verify OK") || !strings.Contains(string(out), status) {
				t.Errorf("openssl ocsp %v, wanting %q: %v %s", how, status, err, out)
			}
		}
	}
}

func FuzzOCSP(f *testing.F) {
	ca := memoryCA(f, Settings{}, Options{})
	chain := issueServer(f, ca, "a.test")
	f.Add([]byte{})
	f.Add(requestOf(f, chain))
	f.Add(requestOf(f, []*x509.Certificate{{SerialNumber: big.NewInt(1)}, chain[1]}))
	f.Fuzz(func(t *testing.T, der []byte) {
		h, err := ca.ocsp(der)
		if err != nil {
			return
		}
		req, err := ocsp.ParseRequest(der)
		if err != nil {
			t.Fatal("an answer to what is no request")
		}
		r, err := ocsp.ParseResponse(h.der, chain[1])
		if err != nil {
			return // of another of our issuers
		}
		if good := r.Status == ocsp.Good; good != (req.SerialNumber.Cmp(chain[0].SerialNumber) == 0) {
			t.Errorf("the serial number %v is said to be %d", req.SerialNumber, r.Status)
		}
	})
}
