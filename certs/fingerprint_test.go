// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"
)

func TestKey(t *testing.T) {
	rootA, rootB := newRoot(t, "A"), newRoot(t, "B")
	clientA, clientB := rootA.client("a"), rootA.client("b")
	a, b := rootA.certFile(), rootB.certFile()
	fileA, fileB := clientA.certFile(), clientB.certFile()
	keyA, keyB := clientA.keyFile(), clientB.keyFile()
	chain := writeFile(t, "chain.pem", slices.Concat(clientA.certPEM(), rootA.certPEM()), 0o644)
	sealed := func(of *authority, password string) func(*Profile) {
		der, err := pkcs12.Modern.Encode(of.key, of.cert, nil, password)
		if err != nil {
			t.Fatal(err)
		}
		file := writeFile(t, "client.p12", der, 0o600)
		return func(p *Profile) {
			p.Cert, p.Key, p.PKCS12 = "", "", file
			if password != "" {
				p.Password = writeFile(t, "password", []byte(password), 0o600)
			}
		}
	}
	base := Profile{
		Name: "base", Roots: []string{a, b}, Pins: [][32]byte{{1}, {2}}, MinTLS: tls.VersionTLS12,
		ALPN: []string{"h2", "http/1.1"}, SNI: "sni.example", Cert: fileA, Key: keyA,
	}
	differ := map[string][]func(*Profile){
		"Roots":      {func(p *Profile) { p.Roots = nil }, func(p *Profile) { p.Roots = []string{a} }, func(p *Profile) { p.Roots = []string{b} }},
		"Pins":       {func(p *Profile) { p.Pins = nil }, func(p *Profile) { p.Pins = p.Pins[:1] }, func(p *Profile) { p.Pins = [][32]byte{{1}, {3}} }},
		"MinTLS":     {func(p *Profile) { p.MinTLS = tls.VersionTLS13 }},
		"MaxTLS":     {func(p *Profile) { p.MaxTLS = tls.VersionTLS13 }, func(p *Profile) { p.MaxTLS = tls.VersionTLS12 }},
		"VerifyName": {func(p *Profile) { p.VerifyName = "sni.example" }, func(p *Profile) { p.VerifyName = "other.example" }},
		"Revocation": {func(p *Profile) { p.Revocation = RevocationPrefer }, func(p *Profile) { p.Revocation = RevocationRequire }},
		"AIA":        {func(p *Profile) { p.AIA = true }},
		"Reach":      {func(p *Profile) { p.Revocation, p.Reach = RevocationRequire, "10.0.0.0/8" }, func(p *Profile) { p.AIA, p.Reach = true, "10.0.0.0/8" }},
		"ALPN":       {func(p *Profile) { p.ALPN = nil }, func(p *Profile) { p.ALPN = []string{"http/1.1", "h2"} }, func(p *Profile) { p.ALPN = []string{"h2http/1.1"} }, func(p *Profile) { p.ALPN = []string{"h", "2http/1.1"} }},
		"SNI":        {func(p *Profile) { p.SNI = "" }, func(p *Profile) { p.SNI = "other.example" }},
		"Cert":       {func(p *Profile) { p.Cert, p.Key = "", "" }, func(p *Profile) { p.Cert = chain }},
		"Key":        {func(p *Profile) { p.Cert, p.Key = fileB, keyB }},
		"PKCS12":     {sealed(rootA.client("gateway-c"), "")},
	}
	same := map[string][]func(*Profile){
		"Name":    {func(p *Profile) { p.Name = "other" }},
		"Roots":   {func(p *Profile) { p.Roots = []string{b, a, a} }, func(p *Profile) { p.Roots = []string{rootB.certFile(), rootA.certFile()} }},
		"Pins":    {func(p *Profile) { p.Pins = [][32]byte{{2}, {1}, {2}} }},
		"MinTLS":  {func(p *Profile) { p.MinTLS = 0 }},
		"Reach":   {func(p *Profile) { p.Reach = "10.0.0.0/8" }}, // nothing is fetched
		"Sources": {func(p *Profile) { p.Sources = &Sources{} }},
		"Dial":    {func(p *Profile) { p.Dial = (&net.Dialer{}).DialContext }},
		"SNI":     {func(p *Profile) { p.SNI = "SNI.example." }},
		"Cert":    {func(p *Profile) { p.Cert, p.Key = clientA.certFile(), clientA.keyFile() }},
		"Key": {func(p *Profile) {
			p.Cert = writeFile(t, "both.pem", slices.Concat(clientA.certPEM(), clientA.keyPEM()), 0o600)
			p.Key = ""
		}},
		"PKCS12":   {sealed(clientA, "")},
		"Password": {sealed(clientA, "another one")},
	}
	keys := map[string]string{load(t, base).Key(): "base"}
	for name, changes := range differ {
		for i, change := range changes {
			p := base
			change(&p)
			key := load(t, p).Key()
			if was, ok := keys[key]; ok {
				t.Errorf("%s, change %d: the key of %s", name, i, was)
			}
			keys[key] = name
			key, _, _ = strings.Cut(key, "-")
			if len(key) != 64 || strings.Trim(key, "0123456789abcdef") != "" {
				t.Errorf("%q is not a hash", key)
			}
		}
	}
	for name, changes := range same {
		for i, change := range changes {
			p := base
			change(&p)
			if key := load(t, p).Key(); keys[key] != "base" {
				t.Errorf("%s, change %d: another key, for the same trust", name, i)
			}
		}
	}
	for f := range reflect.TypeFor[Profile]().Fields() {
		if differ[f.Name] == nil && same[f.Name] == nil {
			t.Errorf("does Profile.%s belong into the key? say it here", f.Name)
		}
	}
}
