// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// TestPKCS12IsShown: an origin gets the certificate of a PKCS #12 file with what
// lies between it and its root, whose own copy is left out.
func TestPKCS12IsShown(t *testing.T) {
	root, corp := newRoot(t, "Root"), newRoot(t, "Corp")
	middle := issue(t, corp, x509.Certificate{Subject: subject("Corp Middle"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	gw := middle.client("gateway-7")
	der, err := pkcs12.Modern.Encode(gw.key, gw.cert, []*x509.Certificate{corp.cert, root.cert, middle.cert}, "öffne dich")
	if err != nil {
		t.Fatal(err)
	}
	file, password := writeFile(t, "gw.p12", der, 0o600), writeFile(t, "password", []byte("öffne dich\r\n"), 0o600)
	trust := load(t, Profile{Roots: []string{root.certFile()}, PKCS12: file, Password: password})
	if got := trust.ClientCertName(); got != "CN=gateway-7" {
		t.Errorf("named %q", got)
	}
	if files := trust.Files(); !slices.Contains(files, file) || !slices.Contains(files, password) {
		t.Errorf("files %q", files)
	}
	pool := x509.NewCertPool()
	pool.AddCert(corp.cert)
	o := serve(t, &tls.Config{
		Certificates: []tls.Certificate{root.server(host).with()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	})
	if _, err := o.connect(t, trust.Config(host)); err != nil {
		t.Fatal(err)
	}
	if cs := <-o.seen; len(cs.PeerCertificates) != 2 || !cs.PeerCertificates[0].Equal(gw.cert) || !cs.PeerCertificates[1].Equal(middle.cert) {
		t.Errorf("presented %d certificates", len(cs.PeerCertificates))
	}
	pem := load(t, Profile{
		Roots: []string{root.certFile()}, Key: gw.keyFile(),
		Cert: writeFile(t, "chain.pem", slices.Concat(gw.certPEM(), middle.certPEM()), 0o644),
	})
	if !trust.Same(pem) {
		t.Error("the same certificate from PEM is kept apart")
	}
	other := load(t, Profile{Roots: []string{root.certFile()}})
	if trust.Same(other) {
		t.Error("a trust with the certificate is the same as one without")
	}
}

// TestWayUp: whatever the order of the file, TLS gets the leaf first and each
// issuer behind what it has issued; what does not belong there is left out.
func TestWayUp(t *testing.T) {
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	upper := issue(t, root, x509.Certificate{Subject: subject("Upper"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	lower := issue(t, upper, x509.Certificate{Subject: subject("Lower"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	impostor := issue(t, other, x509.Certificate{Subject: subject("Lower"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	gw := lower.client("gw")
	all := []*x509.Certificate{root.cert, impostor.cert, upper.cert, lower.cert, other.cert, gw.cert}
	for range len(all) {
		all = append(all[1:], all[0])
		chain, err := wayUp(gw.key, all)
		if err != nil {
			t.Fatal(err)
		}
		if want := []*x509.Certificate{gw.cert, lower.cert, upper.cert}; !slices.Equal(chain, want) {
			t.Errorf("the way up is %d certificates", len(chain))
		}
	}
	if _, err := wayUp(other.client("x").key, all); err == nil || err.Error() != "its private key belongs to none of its certificates: export it again" {
		t.Error(err)
	}
}

// TestPKCS12Errors: each mistake names the file, what is wrong and what to do, in
// these words, and has nothing of a key or password.
func TestPKCS12Errors(t *testing.T) {
	root := newRoot(t, "Root")
	gw := root.client("gw")
	past := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	old := issue(t, root, x509.Certificate{Subject: subject("old"), NotBefore: past.AddDate(-1, 0, 0), NotAfter: past})
	encode := func(d *authority, password string) []byte {
		der, err := pkcs12.Modern.Encode(d.key, d.cert, nil, password)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	good := encode(gw, "sesame-4711")
	put := func(text []byte) string { return writeFile(t, "gw.p12", text, 0o600) }
	word := func(text string) string { return writeFile(t, "word", []byte(text), 0o600) }
	missing := filepath.Join(t.TempDir(), "missing")
	const damaged = "client certificate {file}: it is not PKCS #12, or damaged, or encrypted by what is not read (AES, 3DES and RC2 are): export it again with openssl pkcs12 -export"
	tests := []struct {
		name    string
		profile Profile
		want    string
	}{
		{"missing", Profile{PKCS12: missing}, "client certificate {file}: no such file or directory: check the path"},
		{"missing password", Profile{PKCS12: put(good), Password: missing}, "client certificate {file}: its password {password}: no such file or directory: check the path"},
		{"others read it", Profile{PKCS12: writeFile(t, "gw.p12", good, 0o644), Password: word("sesame-4711")}, "client certificate {file}: others than its owner can use it (mode 0644): chmod 600 {file}"},
		{"others read the password", Profile{PKCS12: put(good), Password: writeFile(t, "word", []byte("sesame-4711"), 0o640)}, "client certificate {file}: its password {password}: others than its owner can use it (mode 0640): chmod 600 {password}"},
		{"wrong password", Profile{PKCS12: put(good), Password: word("sesame-4712\n")}, "client certificate {file}: the password in {password} is not its"},
		{"a space behind the password", Profile{PKCS12: put(good), Password: word("sesame-4711 \n")}, "client certificate {file}: the password in {password} is not its"},
		{"no password", Profile{PKCS12: put(good)}, "client certificate {file}: it has a password: write it to a secret and name that as password_secret"},
		{"empty password", Profile{PKCS12: put(good), Password: word("\n")}, "client certificate {file}: its password {password}: it is empty: write the password to it, or leave out password_secret"},
		{"two lines", Profile{PKCS12: put(good), Password: word("sesame-4711\nx\n")}, "client certificate {file}: its password {password}: it is not one line of UTF-8: write the password alone to it"},
		{"Latin 1", Profile{PKCS12: put(good), Password: word("sesame-\xfc4711")}, "client certificate {file}: its password {password}: it is not one line of UTF-8: write the password alone to it"},
		{"beyond the plane", Profile{PKCS12: put(good), Password: word("sesame-4711\U0001f511")}, "client certificate {file}: its password {password}: it has a character that no PKCS #12 password can have: export the certificate with another"},
		{"a long password", Profile{PKCS12: put(good), Password: word(strings.Repeat("sesame-4711", 100))}, "client certificate {file}: its password {password}: it has more than 1024 bytes: is it the right file?"},
		{"cut", Profile{PKCS12: put(good[:len(good)-9]), Password: word("sesame-4711")}, damaged},
		{"bytes behind", Profile{PKCS12: put(append(slices.Clone(good), 0)), Password: word("sesame-4711")}, damaged},
		{"PEM", Profile{PKCS12: put(slices.Concat(gw.certPEM(), gw.keyPEM())), Password: word("sesame-4711")}, damaged},
		{"empty", Profile{PKCS12: put(nil)}, damaged},
		{"huge", Profile{PKCS12: put(make([]byte, maxPKCS12+1))}, "client certificate {file}: has more than 1 MiB: is it the right file?"},
		{"expired", Profile{PKCS12: put(encode(old, "sesame-4711")), Password: word("sesame-4711")}, `client certificate {file}: "CN=old" expired on 2020-01-02 03:04 UTC: renew it`},
		{"and PEM as well", Profile{PKCS12: put(good), Cert: gw.certFile()}, "client certificate {file}: there is another in {cert}: name one of them"},
		{"a password of nothing", Profile{Password: word("sesame-4711")}, "password {password}: there is no PKCS #12 file for it: name that as well"},
	}
	for _, tt := range tests {
		_, err := tt.profile.Load()
		want := "certs: " + strings.NewReplacer("{file}", tt.profile.PKCS12, "{password}", tt.profile.Password, "{cert}", tt.profile.Cert).Replace(tt.want)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", tt.name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: the password is told: %v", tt.name, err)
		}
	}
	if os.Getuid() == 0 {
		return // who reads every file
	}
	file := put(good)
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := (Profile{PKCS12: file}).Load(); err == nil || !strings.Contains(err.Error(), "it must belong to the gateway's user") {
		t.Error(err)
	}
}
