// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPairReload: a new certificate goes into force, a broken one leaves the
// old in force and is loud, once.
func TestPairReload(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	p := Pair{Cert: filepath.Join(dir, "gw.crt"), Key: filepath.Join(dir, "gw.key")}
	write := func(cert, key []byte, mode os.FileMode) {
		t.Helper()
		for name, text := range map[string][]byte{p.Cert: cert, p.Key: key} {
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(p.Key, mode); err != nil {
			t.Fatal(err)
		}
	}
	first, second := b.issuer.server(gw), b.issuer.server(gw, "*.apps.test")
	write(first.certPEM(), first.keyPEM(), 0o600)
	b.Keeper = &Keeper{Files: []Pair{p}, Report: b.Report}
	if err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	shows := func(what string, want *authority) {
		t.Helper()
		if c := b.shown(gw); !c.Equal(want.cert) {
			t.Errorf("%s: not the right certificate is shown", what)
		}
	}
	shows("at first", first)
	b.Reload(t.Context())
	if got := b.said(Info); len(got) != 1 || !strings.Contains(got[0], "gw.crt (file): is in force: serial ") {
		t.Errorf("read twice, said %q", got)
	}

	for what, broken := range map[string]struct {
		cert, key []byte
		mode      os.FileMode
		want      string
	}{
		"half written":    {first.certPEM()[:100], first.keyPEM(), 0o600, "of 1 PEM blocks in it are damaged"},
		"empty":           {nil, nil, 0o600, "no certificate in it"},
		"another's key":   {second.certPEM(), first.keyPEM(), 0o600, "it is not the key of "},
		"readable key":    {second.certPEM(), second.keyPEM(), 0o640, "others than its owner can use it (mode 0640): chmod 600 "},
		"for clients":     {b.issuer.client("x").certPEM(), first.keyPEM(), 0o600, "it is not the key of "},
		"without a name":  pairOf(issue(t, b.issuer, x509.Certificate{Subject: subject(gw)}), "it names no host, and no client would accept it"),
		"of a client":     pairOf(issue(t, b.issuer, x509.Certificate{DNSNames: []string{gw}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "it is not for servers, and no client would accept it: get one with the extended key usage serverAuth"),
		"already expired": pairOf(issue(t, b.issuer, x509.Certificate{DNSNames: []string{gw}, NotAfter: time.Now().Add(-time.Minute)}), "expired on "),
	} {
		write(broken.cert, broken.key, broken.mode)
		b.Reload(t.Context())
		b.Reload(t.Context())
		shows(what, first)
		got := b.said(Warn)
		if len(got) != 1 || !strings.Contains(got[0], "the files have changed and cannot be used, the certificate from before stays: ") || !strings.Contains(got[0], broken.want) {
			t.Errorf("%s: said %q", what, got)
		}
		if s := b.List()[0]; !s.Valid || s.Err == nil || s.Source != "file" || !s.NextRenew.IsZero() {
			t.Errorf("%s: listed as %+v", what, s)
		}
		write(first.certPEM(), first.keyPEM(), 0o600)
		b.Reload(t.Context())
		b.said(Info)
	}

	write(second.certPEM(), second.keyPEM(), 0o600)
	b.Reload(t.Context())
	shows("replaced", second)
	if c := b.shown("x.apps.test"); !c.Equal(second.cert) {
		t.Error("not for its second name")
	}
}

type brokenPair = struct {
	cert, key []byte
	mode      os.FileMode
	want      string
}

func pairOf(a *authority, want string) brokenPair {
	return brokenPair{a.certPEM(), a.keyPEM(), 0o600, want}
}

// TestPairAtStart: what is wrong at the start is an error, of all files together.
func TestPairAtStart(t *testing.T) {
	k := &Keeper{Files: []Pair{{Cert: "/nowhere/a.crt", Key: "/nowhere/a.key"}, {Key: "/nowhere/b.key"}}}
	want := "certs: certificate /nowhere/a.crt: no such file or directory: check the path\n" +
		"certs: key /nowhere/b.key: there is no certificate for it: name its file as well"
	if err := k.Load(t.Context()); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestPairExpires: nobody renews it but its owner, who is told in time.
func TestPairExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		root := newRoot(t, "Corp")
		a := issue(t, root, x509.Certificate{DNSNames: []string{gw}, NotBefore: time.Now(), NotAfter: time.Now().Add(90 * 24 * time.Hour)})
		b.Keeper = &Keeper{Files: []Pair{{Cert: a.certFile(), Key: a.keyFile()}}, Report: b.Report}
		defer b.start()()
		pass(59 * 24 * time.Hour)
		if got := b.said(Warn); got != nil {
			t.Errorf("too early: %q", got)
		}
		pass(2 * 24 * time.Hour)
		if got := b.said(Warn); len(got) < 1 || len(got) > 25 || !strings.HasSuffix(got[0], "the certificate expires on 2000-03-31 00:00 UTC: renew it") {
			t.Errorf("a third before the end: %q", got)
		}
		pass(28 * 24 * time.Hour)
		if got := b.said(Error); len(got) == 0 || !strings.HasSuffix(got[0], ": renew it") {
			t.Errorf("in the last days: %q", got)
		}
		pass(2 * 24 * time.Hour)
		if got := b.said(Error); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "the certificate expired on 2000-03-31 00:00 UTC and is not shown any more: renew it") {
			t.Errorf("expired: %q", got)
		}
	})
}
