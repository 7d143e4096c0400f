// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// explained is a chain, what is asked of it, and the whole of what is said.
type explained struct {
	name string
	q    Question
	want []string // code link what: next; dates as DATE
	ssl  string   // what openssl verify says; "": it has to agree; "-": it does not ask for this
}

var dates = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d UTC`)

func (f Finding) text() string {
	level := "error"
	if f.Warning {
		level = "warning"
	}
	return dates.ReplaceAllString(fmt.Sprintf("%s %s %d: %s: %s", level, f.Code, f.Link, f.What, f.Next), "DATE")
}

func chainOf(as ...*authority) (chain []*x509.Certificate) {
	for _, a := range as {
		chain = append(chain, a.cert)
	}
	return chain
}

func middle(t testing.TB, parent *authority, name string, change func(*x509.Certificate)) *authority {
	c := x509.Certificate{Subject: subject(name), IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name)}
	if change != nil {
		change(&c)
	}
	return issue(t, parent, c)
}

func leafOf(t testing.TB, parent *authority, change func(*x509.Certificate)) *authority {
	c := serverTemplate("www.test")
	if change != nil {
		change(&c)
	}
	return issue(t, parent, c)
}

func explainCases(t *testing.T) []explained {
	root := middle(t, nil, "Root", nil)
	sub := middle(t, root, "Sub", nil)
	good := leafOf(t, sub, nil)
	roots := chainOf(root)
	on := func(a *authority, rest ...*authority) Question {
		return Question{Chain: chainOf(append([]*authority{a}, rest...)...), Roots: roots}
	}
	with := func(q Question, change func(*Question)) Question { change(&q); return q }
	now := time.Now()
	old := leafOf(t, sub, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(-100*day), now.Add(-72*time.Hour-time.Minute)
	})
	early := leafOf(t, sub, func(c *x509.Certificate) { c.NotBefore = now.Add(72*time.Hour + time.Minute) })
	oldSub := middle(t, root, "Old Sub", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(-100*day), now.Add(-time.Hour*3-time.Minute)
	})
	oldRoot := issue(t, nil, x509.Certificate{Subject: subject("Old Root"), IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-100 * day), NotAfter: now.Add(-49 * time.Hour)})
	client := leafOf(t, sub, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	clientSub := middle(t, root, "Client Sub", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	short := middle(t, root, "Short", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := middle(t, short, "Below", nil)
	zones := middle(t, root, "Zones", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"corp.test"}, true
	})
	noSign := middle(t, root, "No Sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	notCA := leafOf(t, root, func(c *x509.Certificate) { c.Subject = subject("Not CA") })
	aia := leafOf(t, sub, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.test/sub.crt"} })
	stranger, self := newRoot(t, "Stranger"), newRoot(t, "self.test")
	namesake := newRoot(t, "Root")
	subNamesake := middle(t, root, "Sub", func(c *x509.Certificate) { c.SubjectKeyId = []byte("another") })
	many := leafOf(t, sub, func(c *x509.Certificate) {
		c.DNSNames = strings.Split("a.test b.test c.test d.test e.test f.test g.test", " ")
	})
	person := leafOf(t, sub, func(c *x509.Certificate) { c.DNSNames, c.Subject = nil, subject("www.test") })
	weak := leafOf(t, sub, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })
	critical := leafOf(t, sub, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	})
	must := leafOf(t, sub, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	})
	evil := leafOf(t, sub, func(c *x509.Certificate) { c.DNSNames = []string{"\x1b[31mred\x1b[0m.test"} })
	unknown := `"CN=Sub", which is neither trusted nor did its certificate come along`

	return []explained{
		{"good", on(good, sub), nil, ""},
		{"the name it has", with(on(good, sub), func(q *Question) { q.Name = "WWW.test." }), nil, ""},
		{"out of order, root too", on(good, root, sub), nil, ""},
		{"the leaf is trusted itself", Question{Chain: chainOf(self), Roots: chainOf(self)}, nil, "26"}, // OpenSSL takes no root for a server
		{"of another time", with(on(old, sub), func(q *Question) { q.At = now.Add(-80 * day) }), []string{
			"error not_yet_valid 1: is not valid before DATE, 79 days later: wait, or set the clock right",
			"error not_yet_valid 2: is not valid before DATE, 79 days later: wait, or set the clock right",
		}, "9"},
		{"nothing", Question{}, []string{"error empty -1: there is no certificate: name a file or a host that has one"}, "-"},
		{"expired", on(old, sub), []string{"error expired 0: expired on DATE, 3 days before: renew it"}, "10"},
		{"not yet valid", on(early, sub), []string{"error not_yet_valid 0: is not valid before DATE, 3 days later: wait, or set the clock right"}, "9"},
		{"expired in the middle", on(leafOf(t, oldSub, nil), oldSub), []string{"error expired 1: expired on DATE, 3 hours before: ask its authority for a new one"}, "10"},
		{"expired root", Question{Chain: chainOf(leafOf(t, oldRoot, nil)), Roots: chainOf(oldRoot)}, []string{"error expired 1: expired on DATE, 2 days before: ask its authority for a new one"}, "10"},
		{"another name", with(on(good, sub), func(q *Question) { q.Name = "mail.test" }), []string{"error name 0: is for www.test, not for mail.test: use one of its names, or have it issued again with this one"}, "62"},
		{"another address", with(on(good, sub), func(q *Question) { q.Name = "[2001:db8::1]" }), []string{"error name 0: is for www.test, not for [2001:db8::1]: use one of its names, or have it issued again with this one"}, "-"},
		{"one of many names", with(on(many, sub), func(q *Question) { q.Name = "h.test" }), []string{"error name 0: is for a.test, b.test, c.test, d.test, e.test and 2 more, not for h.test: use one of its names, or have it issued again with this one"}, "62"},
		{"only a subject", with(on(person, sub), func(q *Question) { q.Name = "www.test" }), []string{"error name 0: names no host, so it is not for www.test; its subject does not count (RFC 9525 §2): use one of its names, or have it issued again with this one"}, "-"},
		{"a name that moves the cursor", with(on(evil, sub), func(q *Question) { q.Name = "www.test" }), []string{`error name 0: is for "\x1b[31mred\x1b[0m.test", not for www.test: use one of its names, or have it issued again with this one`}, "62"},
		{"another key", with(on(good, sub), func(q *Question) { q.Key = old.key.Public() }), []string{"error key 0: has another key than the one given: find the key that it was issued for, or have it issued again for this one"}, "-"},
		{"the key of another link", with(on(good, sub), func(q *Question) { q.Key = sub.key.Public() }), []string{`error key 0: has another key than the one given; the key given belongs to certificate 2, "CN=Sub": put that certificate first`}, "-"},
		{"for clients", on(client, sub), []string{"error usage 0: is not for serverAuth: it is for clientAuth only: use one with serverAuth"}, "26"},
		{"for servers", with(on(good, sub), func(q *Question) { q.Usage = x509.ExtKeyUsageClientAuth }), []string{"error usage 0: is not for clientAuth: it is for serverAuth only: use one with clientAuth"}, "26"},
		{"of an authority for clients", on(leafOf(t, clientSub, nil), clientSub), []string{"error usage 1: issues no certificates for serverAuth: only for clientAuth: use one of an authority that may issue for serverAuth"}, "26"},
		{"path length", on(leafOf(t, below, nil), below, short), []string{"error path_length 2: allows no further authority between it and the leaf, and there is one: have the leaf issued by an authority higher up, or this one issued again with a larger path length"}, "25"},
		{"name constraint", on(leafOf(t, zones, nil), zones), []string{`error name_constraint 1: may not issue for that name: "DNS name \"www.test\" is not permitted by any constraint": use a name that it may issue for, or another authority`}, "47"},
		{"not an authority", on(leafOf(t, notCA, nil), notCA), []string{`error not_authority 1: has signed "CN=www.test" without being an authority (CA:FALSE): do not trust it: have the certificate issued by an authority`}, "79"},
		{"no keyCertSign", on(leafOf(t, noSign, nil), noSign), []string{`error key_usage 1: has signed "CN=www.test" with a key that is not for signing certificates (no keyCertSign): have the authority issued again with keyCertSign`}, "32"},
		{"missing intermediate", on(aia), []string{`error missing_intermediate 0: was issued by ` + unknown + `: put the certificate of that issuer behind it: it can be had at "http://ca.test/sub.crt"`}, "20"},
		{"missing issuer", on(good), []string{`error missing_issuer 0: was issued by ` + unknown + `: put the certificate of that issuer behind it; if the issuer is a root, name it with --roots`}, "20"},
		{"untrusted root", on(leafOf(t, stranger, nil), stranger), []string{"error untrusted_root 1: is a root that is not trusted: if it should be, name its file with --roots, or under `roots` of a trust profile"}, "19"},
		{"a root of the same name", Question{Chain: chainOf(good, sub, root), Roots: chainOf(namesake)}, []string{"error untrusted_root 2: is a root that is not trusted; a trusted one has the same name and another key: if it should be, name its file with --roots, or under `roots` of a trust profile"}, "19"},
		{"self-signed", on(self), []string{"error self_signed 0: is self-signed and not trusted: if it should be, name its file with --roots, or under `roots` of a trust profile"}, "18"},
		{"an intermediate of the same name", on(good, subNamesake), []string{
			`error bad_signature 0: was not signed by the key of "CN=Sub", whose name it gives as its issuer's: take the issuer's certificate of the right generation; if there is none, the certificate was altered`,
			`warning unused -1: "CN=Sub" came along and is not part of the chain: take it out, unless some clients need it`,
		}, "20"},
		{"SHA-1", on(weak, sub), []string{"error weak_signature 0: is signed with ECDSA-SHA1, which can be forged: have it issued again, with SHA-256"}, "-"},
		{"short key", on(shortKey(t, sub, 1024), sub), []string{"warning weak_key 0: has an RSA key of 1024 bits, which is too short: have it issued again, for a key of at least 2048 bits or P-256"}, ""},
		{"critical extension", on(critical, sub), []string{"error critical_extension 0: has a critical extension that is not understood, 1.2.3.4: ask its issuer for one without it"}, "34"},
		{"what is not of the chain", on(good, stranger, sub, self), []string{`warning unused -1: "CN=Stranger" and 1 more came along and are not part of the chain: take it out, unless some clients need it`}, ""},
		{"two things at once", with(on(old), func(q *Question) { q.Name = "x.test" }), []string{
			"error expired 0: expired on DATE, 3 days before: renew it",
			`error missing_issuer 0: was issued by ` + unknown + `: put the certificate of that issuer behind it; if the issuer is a root, name it with --roots`,
			"error name 0: is for www.test, not for x.test: use one of its names, or have it issued again with this one",
		}, "20"},
		{"revoked", with(on(good, sub), func(q *Question) { q.CRLs = crl(t, sub, good, 1, now.Add(time.Hour)) }), []string{"error revoked 0: was revoked on DATE, says the CRL (keyCompromise): do not use it any more: have a new one issued, for a new key"}, "23"},
		{"revoked intermediate", with(on(good, sub), func(q *Question) { q.CRLs = crl(t, root, sub, 2, now.Add(time.Hour)) }), []string{"error revoked 1: was revoked on DATE, says the CRL (cACompromise): do not use it any more: have a new one issued, for a new key"}, "-"},
		{"not in the CRL", with(on(good, sub), func(q *Question) { q.CRLs = crl(t, sub, old, 1, now.Add(time.Hour)) }), nil, ""},
		{"old CRL", with(on(good, sub), func(q *Question) { q.CRLs = crl(t, sub, old, 1, now.Add(-time.Minute)) }), []string{"warning crl_old 0: was looked up in a CRL that was to be replaced by DATE: fetch a new one"}, "12"},
		{"somebody else's CRL", with(on(good, sub), func(q *Question) { q.CRLs = crl(t, subNamesake, good, 1, now.Add(time.Hour)) }), []string{`warning crl_other -1: the CRL of "CN=Sub" is of no issuer of this chain, or not signed by its key: take the one that the certificate names; sallyport cert inspect shows where it is`}, "-"},
		{"stapled", with(on(must, sub), func(q *Question) { q.Handshake, q.Staple = true, staple(t, sub, must, ocsp.Good, now) }), nil, "-"},
		{"revoked by the staple", with(on(good, sub), func(q *Question) { q.Staple = staple(t, sub, good, ocsp.Revoked, now) }), []string{"error revoked 0: was revoked on DATE, says the stapled OCSP response (superseded): do not use it any more: have a new one issued, for a new key"}, "-"},
		{"unknown to the staple", with(on(good, sub), func(q *Question) { q.Staple = staple(t, sub, good, ocsp.Unknown, now) }), []string{"warning bad_staple 0: has a stapled OCSP response that does not count: the OCSP responder does not know the certificate: look at the server's stapling"}, "-"},
		{"old staple", with(on(must, sub), func(q *Question) { q.Staple = staple(t, sub, must, ocsp.Good, now.Add(-48*time.Hour)) }), []string{"error bad_staple 0: has a stapled OCSP response that does not count: the OCSP response held until DATE: look at the server's stapling"}, "-"},
		{"a staple of somebody else", with(on(good, sub), func(q *Question) { q.Staple = staple(t, stranger, good, ocsp.Good, now) }), []string{`warning bad_staple 0: has a stapled OCSP response that does not count: the OCSP response is about a certificate of another issuer: look at the server's stapling`}, "-"},
		{"a staple and no issuer", with(on(good), func(q *Question) { q.Staple = []byte{1} }), []string{
			`error missing_issuer 0: was issued by ` + unknown + `: put the certificate of that issuer behind it; if the issuer is a root, name it with --roots`,
			"warning bad_staple 0: has a stapled OCSP response, which cannot be checked without its issuer: ",
		}, "-"},
		{"no staple", with(on(must, sub), func(q *Question) { q.Handshake = true }), []string{"error no_staple 0: says that its server staples an OCSP response, and it did not (RFC 7633): switch stapling on at the server"}, "-"},
	}
}

const day = 24 * time.Hour

func TestExplainChain(t *testing.T) {
	for _, c := range explainCases(t) {
		t.Run(c.name, func(t *testing.T) {
			v := ExplainChain(c.q)
			var got []string
			for _, f := range v.Findings {
				got = append(got, f.text())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if v.Trusted != (len(v.Failed()) == 0) {
				t.Errorf("trusted %v with %d failures", v.Trusted, len(v.Failed()))
			}
			if c.ssl != "-" {
				agreesWithOpenSSL(t, c)
			}
		})
	}
}

// shortKey issues a certificate for an RSA key of so many bits.
func shortKey(t *testing.T, by *authority, bits int) *authority {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	c := serverTemplate("www.test")
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(4711), time.Now().Add(-time.Hour), time.Now().Add(day)
	der, err := x509.CreateCertificate(rand.Reader, &c, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key}
}

// crl is by's list with gone on it.
func crl(t *testing.T, by, gone *authority, reason int, next time.Time) []*x509.RevocationList {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: next.Add(-2 * time.Hour), NextUpdate: next,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: gone.cert.SerialNumber, RevocationTime: time.Now().Add(-2 * time.Hour), ReasonCode: reason}},
	}, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.RevocationList{l}
}

func staple(t *testing.T, by, about *authority, status int, at time.Time) []byte {
	t.Helper()
	der, err := ocsp.CreateResponse(by.cert, by.cert, ocsp.Response{
		Status: status, SerialNumber: about.cert.SerialNumber, ThisUpdate: at, NextUpdate: at.Add(time.Hour),
		RevokedAt: at, RevocationReason: ocsp.Superseded,
	}, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// agreesWithOpenSSL: two who know nothing of each other say the same.
func agreesWithOpenSSL(t *testing.T, c explained) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl to compare with: apt-get install openssl")
	}
	dir := t.TempDir()
	file := func(name string, blocks ...*pem.Block) string {
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	blocks := func(cs []*x509.Certificate) (bs []*pem.Block) {
		for _, c := range cs {
			bs = append(bs, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
		return bs
	}
	args := []string{"verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-CAfile", file("roots.pem", blocks(c.q.Roots)...)}
	if len(c.q.Chain) > 1 {
		args = append(args, "-untrusted", file("chain.pem", blocks(c.q.Chain[1:])...))
	}
	purpose := "sslserver"
	if c.q.Usage == x509.ExtKeyUsageClientAuth {
		purpose = "sslclient"
	}
	args = append(args, "-purpose", purpose)
	if c.q.Name != "" {
		args = append(args, "-verify_hostname", strings.TrimSuffix(c.q.Name, "."))
	}
	if !c.q.At.IsZero() {
		args = append(args, "-attime", fmt.Sprint(c.q.At.Unix()))
	}
	for _, l := range c.q.CRLs {
		args = append(args, "-crl_check", "-CRLfile", file("crl.pem", &pem.Block{Type: "X509 CRL", Bytes: l.Raw}))
	}
	out, err := exec.Command(openssl, append(args, file("leaf.pem", blocks(c.q.Chain[:1])...))...).CombinedOutput()
	switch {
	case c.ssl == "" && err != nil:
		t.Errorf("openssl does not trust it:\n%s", out)
	case c.ssl != "" && (err == nil || !strings.Contains(string(out), "error "+c.ssl+" at ")):
		t.Errorf("openssl does not say error %s: %v\n%s", c.ssl, err, out)
	}
}

// TestExplainNeverTrustsMore: whatever crypto/x509 does not trust is not trusted,
// and the other way round when only what it looks at was asked.
func TestExplainNeverTrustsMore(t *testing.T) {
	for _, c := range explainCases(t) {
		if len(c.q.Chain) == 0 || c.q.Roots == nil {
			continue
		}
		opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: c.q.At, DNSName: c.q.Name}
		if c.q.Usage != 0 {
			opts.KeyUsages = []x509.ExtKeyUsage{c.q.Usage}
		}
		for _, r := range c.q.Roots {
			opts.Roots.AddCert(r)
		}
		for _, r := range c.q.Chain[1:] {
			opts.Intermediates.AddCert(r)
		}
		_, err := c.q.Chain[0].Verify(opts)
		v := ExplainChain(c.q)
		asked := c.q.Key != nil || c.q.CRLs != nil || c.q.Staple != nil || c.q.Handshake
		if v.Trusted && err != nil || !v.Trusted && err == nil && !asked {
			t.Errorf("%s: trusted %v, and crypto/x509 says %v", c.name, v.Trusted, err)
		}
	}
}

// TestExplainManyAuthorities: certificates that all issue each other have more
// ways through them than anybody can walk.
func TestExplainManyAuthorities(t *testing.T) {
	one := newRoot(t, "A")
	var all []*authority
	for range 30 { // each has the same name and key
		x := *one
		c := x509.Certificate{Subject: subject("A"), IsCA: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(day)}
		c.SerialNumber, c.NotBefore, c.BasicConstraintsValid = big.NewInt(int64(9000+len(all))), time.Now().Add(-time.Hour), true
		der, err := x509.CreateCertificate(rand.Reader, &c, one.cert, one.key.Public(), one.key)
		if err != nil {
			t.Fatal(err)
		}
		if x.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		all = append(all, &x)
	}
	v := ExplainChain(Question{Chain: chainOf(append([]*authority{leafOf(t, one, nil)}, all...)...), Roots: chainOf(newRoot(t, "B"))})
	if v.Trusted || len(v.Failed()) == 0 {
		t.Errorf("%+v", v)
	}
}

// TestExplainManyNamesakes: the issuer is found among thousands of its name, by
// its key identifier, without a signature checked for each.
func TestExplainManyNamesakes(t *testing.T) {
	root := middle(t, nil, "Root", nil)
	sub := middle(t, root, "Sub", nil)
	q := Question{Chain: chainOf(leafOf(t, sub, nil)), Roots: chainOf(root)}
	one := middle(t, root, "Sub", func(c *x509.Certificate) { c.SubjectKeyId = []byte("another") })
	for i := range 3000 {
		c := *one.cert // the same name, and each another certificate
		c.Raw = append(c.Raw[:len(c.Raw):len(c.Raw)], byte(i), byte(i>>8))
		q.Chain = append(q.Chain, &c)
	}
	q.Chain = append(q.Chain, sub.cert)
	v := ExplainChain(q)
	if !v.Trusted || len(v.Path) != 3 || len(v.Findings) != 1 || v.Findings[0].text() !=
		`warning unused -1: "CN=Sub" and 2999 more came along and are not part of the chain: take it out, unless some clients need it` {
		t.Errorf("%v %d %+v", v.Trusted, len(v.Path), v.Findings)
	}
}
