// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// ca issues an authority below a whose certificate says where a's is.
func (a *authority) ca(name, url string) *authority {
	c := x509.Certificate{Subject: subject(name), IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name)}
	if url != "" {
		c.IssuingCertificateURL = []string{url}
	}
	return issue(a.t, a, c)
}

func (a *authority) serverAt(url string) *authority {
	c := serverTemplate(host)
	if url != "" {
		c.IssuingCertificateURL = []string{url}
	}
	return issue(a.t, a, c)
}

// crossed is a's key and name, certified by another.
func (a *authority) crossed(by *authority, url string) *authority {
	template := *a.cert
	template.SerialNumber, template.IssuingCertificateURL = big.NewInt(time.Now().UnixNano()), []string{url}
	der, err := x509.CreateCertificate(rand.Reader, &template, by.cert, a.key.Public(), by.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &authority{t: a.t, cert: cert, key: a.key}
}

// TestMissingIntermediates: what is fetched completes a chain, and vouches for
// nothing.
func TestMissingIntermediates(t *testing.T) {
	l := newLibrary(t)
	at := func(name string) string { return l.URL + "/" + name }
	root, stranger := newRoot(t, "Root"), newRoot(t, "Stranger")
	top := root
	var long []*authority
	for i := range maxIssuers + 1 {
		url := ""
		if i > 0 {
			url = at(fmt.Sprint(i - 1))
		}
		top = top.ca(fmt.Sprintf("Middle %d", i), url)
		l.has(fmt.Sprint(i), top.cert.Raw)
		long = append(long, top)
	}
	twin := root.ca("Middle 0", "") // the same name and key id, another key
	l.has("twin", twin.cert.Raw)
	l.has("stranger", stranger.cert.Raw)
	l.has("page", []byte("<html>"))
	l.has("pem", long[0].certPEM())

	// Two authorities that certify each other, and lead nowhere else.
	a0, b0 := newRoot(t, "A"), newRoot(t, "B")
	a, b := a0.crossed(b0, at("b")), b0.crossed(a0, at("a"))
	l.has("a", a.cert.Raw)
	l.has("b", b.cert.Raw)

	leaf := long[0].serverAt(at("0"))
	p := Profile{Roots: []string{root.certFile()}, AIA: true}
	with := func(change func(*Profile)) Profile { q := p; change(&q); return q }
	for name, tt := range map[string]struct {
		profile Profile
		sent    []*authority
		want    string
	}{
		"one":                 {p, []*authority{leaf}, ""},
		"one, in PEM":         {p, []*authority{long[0].serverAt(at("pem"))}, ""},
		"several":             {p, []*authority{long[maxIssuers-1].serverAt(at(fmt.Sprint(maxIssuers - 1)))}, ""},
		"none is missing":     {p, []*authority{leaf, long[0]}, ""},
		"one in between":      {p, []*authority{long[2].serverAt(at("2")), long[2], long[0]}, ""},
		"a namesake was sent": {p, []*authority{leaf, twin}, ""},
		"too many":            {p, []*authority{long[maxIssuers].serverAt(at(fmt.Sprint(maxIssuers)))}, "more certificates are missing than are fetched"},
		"not asked for":       {with(func(p *Profile) { p.AIA = false }), []*authority{leaf}, "the origin has to send its intermediate certificate, or `aia: true`"},
		"nowhere":             {p, []*authority{long[0].serverAt("")}, `it was looked for: the certificate of "CN=origin.example" does not say where it can be had`},
		"gone":                {p, []*authority{long[0].serverAt(at("gone"))}, "/gone answers 404"},
		"a page":              {p, []*authority{long[0].serverAt(at("page"))}, "/page what is there is no certificate in DER"},
		"of another key":      {p, []*authority{long[0].serverAt(at("twin"))}, `/twin is that of "CN=Middle 0", who did not issue it`},
		"of another name":     {p, []*authority{long[0].serverAt(at("stranger"))}, `/stranger is that of "CN=Stranger", who did not issue it`},
		"by TLS":              {p, []*authority{long[0].serverAt("https://a.example/")}, "only http:// is fetched"},
		"leads to a stranger": {p, []*authority{stranger.serverAt(at("stranger"))}, `the certificate was issued by an authority that is not trusted, "CN=Stranger"`},
		"in circles":          {p, []*authority{a0.serverAt(at("a"))}, "which is not trusted"},
		"another's name":      {p, []*authority{issue(t, long[0], serverTemplate("b.example")), long[0]}, "the certificate is for b.example, not for origin.example"},
		"pinned":              {with(func(p *Profile) { p.Pins = [][32]byte{long[0].pin()} }), []*authority{leaf}, ""},
		"another pin":         {with(func(p *Profile) { p.Pins = [][32]byte{twin.pin()} }), []*authority{leaf}, "none of its keys is pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			o := serve(t, &tls.Config{Certificates: []tls.Certificate{tt.sent[0].with(tt.sent[1:]...)}})
			_, err := o.connect(t, read(t, tt.profile).Config(host))
			checkDescribed(t, err, tt.want)
		})
	}
}

// TestFetchedOnce, for all origins that miss it and all their handshakes.
func TestFetchedOnce(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	middle := root.ca("Middle", "")
	l.has("middle", middle.cert.Raw)
	r := read(t, Profile{Roots: []string{root.certFile()}, AIA: true})
	for range 2 {
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{middle.serverAt(l.URL + "/middle").with()}})
		for range 3 {
			if _, err := o.connect(t, r.Config(host)); err != nil {
				t.Fatal(Describe(err, host))
			}
		}
	}
	if n := l.asked.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// TestVerifyName: in place of the name that is sent, also on a resumed session,
// of which crypto/tls remembers no verified chain.
func TestVerifyName(t *testing.T) {
	root := newRoot(t, "Root")
	leaf := root.server("inner.example")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{leaf.with()}, MaxVersion: version})
		trust := load(t, Profile{Roots: []string{root.certFile()}, SNI: "front.example", VerifyName: "inner.example"})
		for i, resumed := range []bool{false, true} {
			cs, err := o.connect(t, trust.Config(host))
			if err != nil || cs.DidResume != resumed {
				t.Fatalf("connection %d: resumed %t, %v", i, cs.DidResume, err)
			}
			if seen := <-o.seen; seen.ServerName != "front.example" {
				t.Errorf("sent %q", seen.ServerName)
			}
		}
		for _, p := range []Profile{
			{Roots: []string{root.certFile()}, VerifyName: "front.example"},
			{Roots: []string{newRoot(t, "Root").certFile()}, VerifyName: "inner.example"},
		} {
			other := load(t, p).Config(host)
			other.ClientSessionCache = trust.base.ClientSessionCache // as no caller can: law 7
			if _, err := o.connect(t, other); err == nil {
				t.Errorf("%s: accepted for %s", tls.VersionName(version), p.VerifyName)
			}
		}
	}
}

// TestWhoVerifies: a configuration that has crypto/tls verify nothing has
// somebody else who does, for every profile.
func TestWhoVerifies(t *testing.T) {
	root := newRoot(t, "Root")
	stranger := newRoot(t, "Stranger").server(host)
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{stranger.with()}})
	for _, p := range []Profile{{}, {AIA: true}, {VerifyName: host}, {AIA: true, VerifyName: host, Revocation: RevocationRequire}} {
		p.Roots = []string{root.certFile()}
		c := load(t, p).Config(host)
		if c.VerifyConnection == nil || c.InsecureSkipVerify != (p.AIA || p.VerifyName != "") {
			t.Errorf("%+v", c)
		}
		_, err := o.connect(t, c)
		checkDescribed(t, err, "which is not trusted")
		// Without a name nobody is verified, which is not everybody.
		c = load(t, p).Config("")
		if _, err := o.connect(t, c); err == nil {
			t.Error("accepted without a name")
		}
	}
}

func TestMaxTLS(t *testing.T) {
	root := newRoot(t, "Root")
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{root.server(host).with()}})
	cs, err := o.connect(t, load(t, Profile{Roots: []string{root.certFile()}, MaxTLS: tls.VersionTLS12}).Config(host))
	if err != nil || cs.Version != tls.VersionTLS12 {
		t.Errorf("%x, %v", cs.Version, err)
	}
	for _, p := range []Profile{{MaxTLS: tls.VersionTLS11}, {MinTLS: tls.VersionTLS13, MaxTLS: tls.VersionTLS12}, {VerifyName: "a:443"}} {
		if _, err := p.Load(); err == nil || !strings.Contains(err.Error(), "max_tls: ") && !strings.Contains(err.Error(), "verify_name: ") {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
