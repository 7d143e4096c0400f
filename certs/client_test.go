// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestClientCertificate is shown to an origin that asks, whatever issuers the
// origin says it knows, and to no other's surprise.
func TestClientCertificate(t *testing.T) {
	root, corp := newRoot(t, "Root"), newRoot(t, "Corp")
	middle := issue(t, corp, x509.Certificate{Subject: subject("Corp Middle"), IsCA: true, KeyUsage: x509.KeyUsageCertSign})
	gw := middle.client("gateway-7")
	pool := x509.NewCertPool()
	pool.AddCert(corp.cert)
	cfg := &tls.Config{
		Certificates: []tls.Certificate{root.server(host).with()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}
	o := serve(t, cfg)
	trust := load(t, Profile{
		Roots: []string{root.certFile()}, Key: gw.keyFile(),
		Cert: writeFile(t, "chain.pem", slices.Concat(gw.certPEM(), middle.certPEM()), 0o644),
	})
	if got := trust.ClientCertName(); got != "CN=gateway-7" {
		t.Errorf("named %q", got)
	}
	for range 2 { // and on the resumed session
		if _, err := o.connect(t, trust.Config(host)); err != nil {
			t.Fatal(err)
		}
		cs := <-o.seen
		if len(cs.PeerCertificates) != 2 || !cs.PeerCertificates[0].Equal(gw.cert) {
			t.Errorf("presented %d certificates", len(cs.PeerCertificates))
		}
	}

	// Sent without its intermediate, the origin can only refuse it.
	short := load(t, Profile{Roots: []string{root.certFile()}, Cert: gw.certFile(), Key: gw.keyFile()})
	_, err := o.connect(t, short.Config(host))
	checkDescribed(t, err, "the origin did not accept the client certificate, or misses one (alert unknown_ca): check `client_cert` on the rule")

	if name := load(t, Profile{}).ClientCertName(); name != "" {
		t.Errorf("no certificate is named %q", name)
	}
}

// TestKeyFormats: what openssl and others write can be read.
func TestKeyFormats(t *testing.T) {
	root := newRoot(t, "Root")
	gw := root.client("gw")
	ec, err := x509.MarshalECPrivateKey(gw.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	params := block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	for name, text := range map[string][]byte{
		"PKCS #8":         gw.keyPEM(),
		"SEC 1":           block("EC PRIVATE KEY", ec),
		"with parameters": slices.Concat(params, block("EC PRIVATE KEY", ec)),
		"with words":      slices.Concat([]byte("Bag Attributes\n    friendlyName: gw\n"), gw.keyPEM()),
	} {
		if _, err := (Profile{Cert: gw.certFile(), Key: writeFile(t, "key.pem", text, 0o600)}).Load(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: root.cert.SerialNumber, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, root.cert, key.Public(), root.key)
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "both.pem", slices.Concat(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), block("CERTIFICATE", der)), 0o600)
	for _, p := range []Profile{{Cert: file}, {Cert: file, Key: file}} {
		trust, err := p.Load()
		if err != nil {
			t.Errorf("PKCS #1 in one file: %v", err)
		} else if !slices.Equal(trust.Files(), []string{file}) {
			t.Errorf("files %q", trust.Files())
		}
	}
}

// TestLoadErrors: each mistake names the file, what is wrong and what to do,
// in these words.
func TestLoadErrors(t *testing.T) {
	root := newRoot(t, "Root")
	gw, other := root.client("gw"), root.client("other")
	past, future := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2190, 1, 2, 3, 4, 5, 0, time.UTC)
	expired := issue(t, root, x509.Certificate{Subject: subject("old"), NotBefore: past.AddDate(-1, 0, 0), NotAfter: past})
	early := issue(t, root, x509.Certificate{Subject: subject("young"), NotBefore: future, NotAfter: future.AddDate(1, 0, 0)})
	good, goodKey := gw.certFile(), gw.keyFile()
	damaged := bytes.Replace(root.certPEM(), []byte("M"), []byte("*"), 1)
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("garbage")})
	badKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("garbage")})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")})
	missing := filepath.Join(t.TempDir(), "missing.pem")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(text []byte) string { return writeFile(t, "file.pem", text, 0o600) }
	mode := func(m os.FileMode) string { return writeFile(t, "key.pem", gw.keyPEM(), m) }
	roots := func(f string) Profile { return Profile{Roots: []string{f}} }
	key := func(f string) Profile { return Profile{Cert: good, Key: f} }
	spaced := filepath.Join(t.TempDir(), "it's a key.pem")
	if err := os.WriteFile(spaced, gw.keyPEM(), 0o644); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name    string
		profile Profile
		want    string
	}{
		{"missing roots", roots(missing), "roots {file}: no such file or directory: check the path"},
		{"a directory", roots(t.TempDir()), "roots {file}: is not a regular file: name the PEM file itself"},
		{"empty", roots(put(nil)), "roots {file}: no certificate in it: PEM is expected (-----BEGIN CERTIFICATE-----)"},
		{"DER", roots(put(root.cert.Raw)), "roots {file}: no certificate in it: PEM is expected (-----BEGIN CERTIFICATE-----)"},
		{"damaged among good", roots(put(slices.Concat(root.certPEM(), damaged))), "roots {file}: 1 of 2 PEM blocks in it are damaged: export it again"},
		{"garbage in PEM", roots(put(garbage)), "roots {file}: certificate 1 cannot be read: "},
		{"a key among roots", roots(put(slices.Concat(root.certPEM(), root.keyPEM()))), "roots {file}: holds a PRIVATE KEY: leave only certificates in it"},
		{"huge", roots(put(make([]byte, maxFile+1))), "roots {file}: has more than 16 MiB: is it the right file?"},

		{"missing certificate", Profile{Cert: missing, Key: goodKey}, "client certificate {file}: no such file or directory: check the path"},
		{"a key without certificate", Profile{Key: goodKey}, "key {key}: there is no certificate for it: name its file as well"},
		{"expired", Profile{Cert: expired.certFile(), Key: expired.keyFile()}, `client certificate {file}: "CN=old" expired on 2020-01-02 03:04 UTC: renew it`},
		{"not yet valid", Profile{Cert: early.certFile(), Key: early.keyFile()}, `client certificate {file}: "CN=young" is not valid before 2190-01-02 03:04 UTC: wait, or set the clock right (it is `},
		{"garbage certificate", Profile{Cert: put(garbage), Key: goodKey}, "client certificate {file}: certificate 1 cannot be read: "},

		{"group can read the key", key(mode(0o640)), "key {key}: others than its owner can use it (mode 0640): chmod 600 {key}"},
		{"others can read the key", key(mode(0o604)), "key {key}: others than its owner can use it (mode 0604): chmod 600 {key}"},
		{"group can write the key", key(mode(0o620)), "key {key}: others than its owner can use it (mode 0620): chmod 600 {key}"},
		{"a path to quote", key(spaced), "key {key}: others than its owner can use it (mode 0644): chmod 600 '" + strings.ReplaceAll(spaced, "'", `'\''`) + "'"},
		{"both in a file that others read", Profile{Cert: writeFile(t, "both.pem", slices.Concat(gw.certPEM(), gw.keyPEM()), 0o644)}, "key {file}: others than its owner can use it (mode 0644): chmod 600 {file}"},
		{"missing key", key(missing), "key {key}: no such file or directory: check the path"},
		{"key is a pipe", key(fifo), "key {key}: is not a regular file: name the PEM file itself"},
		{"no key in the key file", key(put(gw.certPEM())), "key {key}: no private key in it: PEM is expected (-----BEGIN PRIVATE KEY-----)"},
		{"no key in the one file", Profile{Cert: put(gw.certPEM())}, "key {file}: no private key in it: PEM is expected (-----BEGIN PRIVATE KEY-----)"},
		{"two keys", key(put(slices.Concat(gw.keyPEM(), other.keyPEM()))), "key {key}: 2 private keys in it: leave the one that belongs to the certificate"},
		{"unreadable key", key(put(badKey)), "key {key}: its private key cannot be read: export it again as PKCS #8"},
		{"encrypted key", key(put(encrypted)), "key {key}: the private key is encrypted: decrypt it with openssl pkey -in {key} -out NEW and chmod 600 NEW"},
		{"encrypted key, old style", key(put(legacy)), "key {key}: the private key is encrypted: decrypt it with openssl pkey -in {key} -out NEW and chmod 600 NEW"},
		{"another's key", key(other.keyFile()), `key {key}: it is not the key of "CN=gw": name the file that was made with that certificate`},
		{"chain upside down", Profile{Cert: put(slices.Concat(root.certPEM(), gw.certPEM())), Key: goodKey}, "key {key}: it belongs to certificate 2 of the file: move that one to the top"},

		{"TLS 1.1", Profile{MinTLS: tls.VersionTLS11}, "min_tls: TLS 1.1 is not possible: write 1.2 or 1.3 (RFC 8996)"},
		{"TLS 1.4", Profile{MinTLS: 0x0305}, "min_tls: 0x0305 is not possible: write 1.2 or 1.3 (RFC 8996)"},
		{"empty protocol", Profile{ALPN: []string{"h2", ""}}, `alpn: "" has 0 bytes: write 1 to 255, such as h2 or http/1.1`},
		{"sni with a port", Profile{SNI: "a.example:443"}, `sni: "a.example:443" has a port: write the name alone`},
		{"sni with a scheme", Profile{SNI: "https://a.example"}, `sni: "https://a.example" is neither a name nor an address: write it in ASCII, without scheme and port`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.profile.Name = "partner"
			_, err := tt.profile.Load()
			if err == nil {
				t.Fatal("loaded")
			}
			file := tt.profile.Cert
			if len(tt.profile.Roots) > 0 {
				file = tt.profile.Roots[0]
			}
			want := `certs: trust profile "partner": ` + strings.NewReplacer("{file}", file, "{key}", tt.profile.Key).Replace(tt.want)
			if got := err.Error(); got != want && !(strings.HasSuffix(tt.want, " ") && strings.HasPrefix(got, want)) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// TestErrorsTogether: all mistakes of a profile are reported at once.
func TestErrorsTogether(t *testing.T) {
	p := Profile{Roots: []string{"/no/a.pem", "/no/b.pem"}, Cert: "/no/c.pem", MinTLS: 1, SNI: "a b"}
	_, err := p.Load()
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{"/no/a.pem", "/no/b.pem", "/no/c.pem", "min_tls", "sni"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in %v", want, err)
		}
	}
}

// TestNoKeyInErrors: whatever is done to a key file, nothing of it shows.
func TestNoKeyInErrors(t *testing.T) {
	root := newRoot(t, "Root")
	gw := root.client("gw")
	text := gw.keyPEM()
	block, _ := pem.Decode(text)
	cert := gw.certFile()
	secret := base64.StdEncoding.EncodeToString(block.Bytes)
	check := func(file []byte, mode os.FileMode) {
		name := writeFile(t, "key.pem", file, mode)
		for _, p := range []Profile{{Cert: cert, Key: name}, {Cert: name}, {Roots: []string{name}}} {
			_, err := p.Load()
			if err == nil {
				continue // the change did not matter
			}
			for i := 0; i+8 <= len(secret); i++ {
				if strings.Contains(err.Error(), secret[i:i+8]) {
					t.Fatalf("%q shows a part of the key", err)
				}
			}
		}
	}
	check(text, 0o644)
	for i := 0; i < len(text); i += 3 {
		check(text[:i], 0o600)
		changed := bytes.Clone(text)
		changed[i] ^= 1
		check(changed, 0o600)
	}
}

// TestWarnings: what works and should still be looked at.
func TestWarnings(t *testing.T) {
	root := newRoot(t, "Root")
	usage := issue(t, root, x509.Certificate{Subject: subject("web"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	soon := issue(t, root, x509.Certificate{Subject: subject("soon"), NotAfter: time.Now().Add(24 * time.Hour)})
	old := issue(t, nil, x509.Certificate{Subject: subject("old"), IsCA: true, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)})
	ending := issue(t, nil, x509.Certificate{Subject: subject("ending"), IsCA: true, NotAfter: time.Now().Add(24 * time.Hour)})
	anyUse := issue(t, root, x509.Certificate{Subject: subject("any"), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	tests := []struct {
		profile Profile
		want    []string
	}{
		{Profile{}, nil},
		{Profile{Roots: []string{root.certFile()}, Cert: root.client("gw").certFile()}, nil},
		{Profile{Cert: anyUse.certFile(), Key: anyUse.keyFile()}, nil},
		{Profile{Cert: usage.certFile(), Key: usage.keyFile()}, []string{`"CN=web" is not for client authentication`}},
		{Profile{Cert: soon.certFile(), Key: soon.keyFile()}, []string{`"CN=soon" expires on `}},
		{Profile{Roots: []string{old.certFile()}}, []string{`the root "CN=old" expired on `}},
		{Profile{Roots: []string{ending.certFile()}}, []string{`the root "CN=ending" expires on `}},
	}
	gw := root.client("gw")
	tests[1].profile.Cert, tests[1].profile.Key = gw.certFile(), gw.keyFile()
	for i, tt := range tests {
		got := load(t, tt.profile).Warnings()
		if len(got) != len(tt.want) {
			t.Errorf("%d: %q", i, got)
			continue
		}
		for j, want := range tt.want {
			if !strings.Contains(got[j], want) {
				t.Errorf("%d: %q, want %q", i, got[j], want)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	root := newRoot(t, "Root")
	gw := root.client("gw")
	p := Profile{Roots: []string{root.certFile(), root.certFile()}, Cert: gw.certFile(), Key: gw.keyFile()}
	p.Roots = append(p.Roots, p.Roots[0])
	want := []string{p.Roots[0], p.Roots[1], p.Cert, p.Key}
	trust := load(t, p)
	if got := trust.Files(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	trust.Files()[0] = "changed"
	if got := trust.Files(); !slices.Equal(got, want) {
		t.Error("a caller's change shows")
	}
	if got := load(t, Profile{}).Files(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
