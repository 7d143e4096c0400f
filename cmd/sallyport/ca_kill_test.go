// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/pki"
)

// must runs the program and returns what it says.
func (d *desk) must(args ...string) string {
	d.t.Helper()
	cmd, out := d.command(0, args...)
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out.String()
}

// killed runs the program and kills it after a while, unless it ends before.
func (d *desk) killed(after time.Duration, args ...string) (done bool, out string) {
	d.t.Helper()
	cmd, b := d.command(0, args...)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return false, b.String()
	}
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, b)
	}
	return true, b.String()
}

// Commands about the CA may be killed at any moment: what was acknowledged is
// there afterwards, the database opens, certificates and keys on the disk go
// with each other, and no key is in clear where the CA is.
func TestCAKilledAnywhere(t *testing.T) {
	d := newDesk(t)
	d.must("ca", "init")
	start := time.Now()
	d.must("ca", "issue", "--user", "first")
	usual := time.Since(start) * 5 / 4
	var acknowledged, revoked []string
	kills := 0
	for n := 0; n < 200 && kills < 20; n++ {
		name := fmt.Sprintf("u%d", n)
		after := time.Duration(mathrand.Int64N(int64(usual)))
		switch n % 4 {
		case 0, 1:
			done, out := d.killed(after, "ca", "issue", "--user", name, "--json")
			if done {
				var i issued
				if err := json.Unmarshal([]byte(out), &i); err != nil {
					t.Fatal(err, out)
				}
				acknowledged = append(acknowledged, i.Serial)
			} else {
				kills++
			}
			if _, err := os.Stat(filepath.Join(d.dir, name+".crt")); err == nil {
				if _, err := tls.LoadX509KeyPair(filepath.Join(d.dir, name+".crt"), filepath.Join(d.dir, name+".key")); err != nil {
					t.Fatalf("kill %d: %v", kills, err)
				}
			} else if done {
				t.Fatal(err)
			}
		case 2:
			if len(acknowledged) == len(revoked) {
				continue
			}
			serial := acknowledged[len(revoked)]
			if done, _ := d.killed(after, "ca", "revoke", serial); done {
				revoked = append(revoked, serial)
				continue
			}
			kills++
			if d.record(serial).Revoked.IsZero() { // or it was done, and nobody was told
				continue
			}
			revoked = append(revoked, serial)
		case 3:
			args := [][]string{{"ca", "rotate-issuer", "client"}, {"ca", "backup", "--force", "--out", "b"}}[n/4%2]
			if done, _ := d.killed(after, args...); !done {
				kills++
			}
		}
		d.caWhole(fmt.Sprintf("after kill %d", kills), acknowledged, revoked)
	}
	if kills < 20 {
		t.Fatalf("only %d were killed", kills)
	}
	d.must("ca", "backup", "--force", "--out", "b") // or each one before was killed
	d.noKeyInClear()
	d.must("ca", "issue", "--user", "last")
}

func (d *desk) withCA(do func(*pki.CA)) {
	d.t.Helper()
	slot := &caSlot{state: d.state, wait: 10 * time.Second}
	ca, err := slot.get()
	if err != nil {
		d.t.Fatal(err)
	}
	do(ca)
	if err := slot.close(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) record(serial string) (r pki.Record) {
	d.t.Helper()
	d.withCA(func(ca *pki.CA) {
		var err error
		if r, _, err = ca.Find(serial); err != nil {
			d.t.Fatal(err)
		}
	})
	return r
}

func (d *desk) caWhole(when string, acknowledged, revoked []string) {
	d.t.Helper()
	d.withCA(func(ca *pki.CA) {
		for i, serial := range acknowledged {
			r, _, err := ca.Find(serial)
			if err != nil {
				d.t.Fatalf("%s: %v", when, err)
			}
			if i < len(revoked) && r.Revoked.IsZero() {
				d.t.Fatalf("%s: %s is no longer revoked", when, serial)
			}
		}
		current := 0
		for _, i := range ca.Issuers() {
			if i.Current {
				current++
			}
		}
		if current != len(pki.Roles) {
			d.t.Fatalf("%s: %d issuers are current", when, current)
		}
	})
	a, err := openArchive(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.root.Close()
	if _, broken, _, err := a.audit(); err != nil || broken != nil && !strings.Contains(broken.msg, "the next entry will keep") {
		d.t.Fatalf("%s: %v, %v", when, broken, err)
	}
}

// noKeyInClear looks through all that is kept for private keys: their markers
// in PEM and in DER, and the bytes of those that the test knows.
func (d *desk) noKeyInClear(known ...*ecdsa.PrivateKey) {
	d.t.Helper()
	marks := map[string][]byte{
		"a PEM marker":           []byte("PRIVATE KEY"),
		"the beginning of a key": {0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13}, // PKCS#8 of P-256
		"the inside of a key":    {0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20},       // RFC 5915
	}
	for i, k := range known {
		secret, err := k.Bytes()
		if err != nil {
			d.t.Fatal(err)
		}
		marks[fmt.Sprintf("key %d", i)] = secret
		marks[fmt.Sprintf("key %d in hexadecimal", i)] = []byte(hex.EncodeToString(secret))
		marks[fmt.Sprintf("key %d in base64", i)] = []byte(base64.RawStdEncoding.EncodeToString(secret)[:40])
	}
	files := 0
	for _, root := range []string{d.state, filepath.Join(d.dir, "b")} {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			files++
			b, err := os.ReadFile(path)
			for what, mark := range marks {
				if bytes.Contains(b, mark) {
					d.t.Errorf("%s has %s", path, what)
				}
			}
			return err
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	if files < 4 {
		d.t.Fatalf("only %d files", files)
	}
}

// Whatever is done with the CA, no file in the state directory and no backup has
// a private key in clear: not of the CA, not of an imported issuer, and not of
// those whose certificates it signs. What it looks for it would find.
func TestCAHasNoKeyInClear(t *testing.T) {
	d := newDesk(t)
	d.must("ca", "init")
	d.must("ca", "issue", "--user", "alice", "--p12")
	imported := d.company()
	d.must("ca", "import", "--role", "intercept", "--cert", "sub.pem", "--key", "sub.key")
	d.must("ca", "rotate-issuer", "client")
	for _, step := range []string{"prepare", "switch"} {
		d.must("ca", "rotate-root", "identity", step)
	}
	d.must("ca", "rotate-root", "identity", "retire", "--force")
	d.must("ca", "eab", "create", "web team")
	d.must("ca", "issue", "--server", "gw.test")
	d.must("ca", "backup", "--out", "b")
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.dir, "alice.crt"), filepath.Join(d.dir, "alice.key"))
	if err != nil {
		t.Fatal(err)
	}
	alice := pair.PrivateKey.(*ecdsa.PrivateKey)
	d.noKeyInClear(imported, alice)

	der, err := x509.MarshalPKCS8PrivateKey(alice)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range [][]byte{{0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13}, {0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20}} {
		if !bytes.Contains(der, mark) {
			t.Errorf("a key in clear has no %x: the test looks for the wrong thing", mark)
		}
	}
}

// company leaves sub.pem, with its root, and sub.key: a company's own issuer.
func (d *desk) company() *ecdsa.PrivateKey {
	d.t.Helper()
	ca, err := newTestCA("corp root")
	if err != nil {
		d.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "corp sub"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(20 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, SubjectKeyId: []byte{1, 2, 3, 4},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca.cert, key.Public(), ca.key)
	if err != nil {
		d.t.Fatal(err)
	}
	var text []byte
	for _, c := range [][]byte{der, ca.cert.Raw} {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	d.write(filepath.Join(d.dir, "sub.pem"), string(text))
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := writePEM(filepath.Join(d.dir, "sub.key"), "PRIVATE KEY", pkcs8, 0o600); err != nil {
		d.t.Fatal(err)
	}
	return key
}
