// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A backup is made while others issue, and restored on a new machine it has
// everything, keys and secrets included.
func TestBackupAndRestore(t *testing.T) {
	ca, _ := diskCA(t, Settings{Name: "corp"})
	ctx := context.Background()
	alice := issueClient(t, ca, "alice")
	if err := ca.Revoke(ctx, alice[0].SerialNumber, 1, "ops"); err != nil {
		t.Fatal(err)
	}
	if err := ca.RotateIssuer(ctx, Client); err != nil {
		t.Fatal(err)
	}
	if err := ca.RotateRoot(ctx, Edge, Prepare); err != nil {
		t.Fatal(err)
	}
	if err := ca.Secrets().Put(ctx, "cache", []byte("a secret")); err != nil {
		t.Fatal(err)
	}
	err := ca.store.Change(func(t tx) error {
		skid := ca.state.Load().issuer(Server).skid
		return errors.Join(t.Put(bucketCRL, skid, []byte("17")), t.Put(bucketLastCRL, skid, []byte("list 17")))
	})
	if err != nil {
		t.Fatal(err)
	}
	busy, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-busy:
				return
			default:
				issueClient(t, ca, "bob")
			}
		}
	}()
	var b bytes.Buffer
	err = ca.Backup(ctx, &b)
	close(busy)
	<-done
	if err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(t.TempDir(), "elsewhere", "ca")
	if err := Restore(dir, secret, bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := Restore(dir, secret, bytes.NewReader(b.Bytes())); !errors.Is(err, ErrExists) {
		t.Errorf("restored over another: %v", err)
	}
	re := reopen(t, dir)
	if !re.Revoked(alice[0]) {
		t.Error("a revocation was lost")
	}
	if got, err := re.Secrets().Get(ctx, "cache"); err != nil || string(got) != "a secret" {
		t.Errorf("the secret is %q, %v", got, err)
	}
	for _, d := range []Domain{Edge, Identity} {
		if !slices.EqualFunc(ca.Roots(d), re.Roots(d), (*x509.Certificate).Equal) {
			t.Errorf("the %s roots are others", d)
		}
	}
	if len(re.Issuers()) != len(ca.Issuers()) || re.Settings().Name != "corp" {
		t.Error("issuers or settings were lost")
	}
	issueClient(t, re, "carol")
	issueServer(t, re, "gw.test")
	if err := re.RotateRoot(ctx, Edge, Switch); err != nil {
		t.Errorf("the next root's key was lost: %v", err)
	}
	re.store.View(func(tx tx) error {
		skid := ca.state.Load().issuer(Server).skid
		n, _ := tx.Get(bucketCRL, skid)
		last, _ := tx.Get(bucketLastCRL, skid)
		if string(n) != "65553" || last != nil {
			t.Errorf("the CRL's number is %s, the list %q", n, last)
		}
		return nil
	})
	if names := files(t, dir); !slices.Equal(names, []string{"ca.db"}) {
		t.Errorf("files left: %v", names)
	}
}

func TestRestoreRefuses(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	var buf bytes.Buffer
	if err := ca.Backup(context.Background(), &buf); err != nil {
		t.Fatal(err)
	}
	good := buf.Bytes()
	change := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	head := bytes.IndexByte(good[len(backupFormat):], '\n') + len(backupFormat)
	for _, c := range []struct {
		name   string
		backup []byte
		secret string
		is     error
		want   string
	}{
		{"empty", nil, "", nil, "this is no backup that this program can read"},
		{"a later format", bytes.Replace(good, []byte("backup 1"), []byte("backup 2"), 1), "", nil, "this is no backup that this program can read"},
		{"another passphrase", good, "not the passphrase", ErrPassphrase, "the passphrase is not the one it was sealed with"},
		{"cut in the head", good[:head-5], "", ErrSealed, "the backup was cut short: what was sealed has been changed, or belongs elsewhere"},
		{"cut in the middle", good[:len(good)/2], "", ErrSealed, "the backup was cut short: what was sealed has been changed, or belongs elsewhere"},
		{"cut by a byte", good[:len(good)-1], "", ErrSealed, "the backup was cut short: what was sealed has been changed, or belongs elsewhere"},
		{"a byte more", append(bytes.Clone(good), 0), "", ErrSealed, "the backup is not what was written: what was sealed has been changed, or belongs elsewhere"},
		{"a bit in the rows", change(head + 8000), "", ErrSealed, "the backup is not what was written: what was sealed has been changed, or belongs elsewhere"},
		{"a bit in the sum", change(len(good) - 3), "", ErrSealed, "the backup is not what was written: what was sealed has been changed, or belongs elsewhere"},
		{"a cost that takes all memory", bytes.Replace(good, []byte(`"N":1024`), []byte(`"N":9999999`), 1), "", ErrSealed, "what was sealed has been changed, or belongs elsewhere: the costs of its key derivation are out of bounds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "ca")
			pass := secret
			if c.secret != "" {
				pass = []byte(c.secret)
			}
			err := Restore(to, pass, bytes.NewReader(c.backup))
			if want := "restoring a certification authority into " + to + ": " + c.want; err == nil || err.Error() != want || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if n := files(t, to); len(n) > 0 {
				t.Errorf("files left: %v", n)
			}
		})
	}
	if n := files(t, dir); !slices.Equal(n, []string{"ca.db"}) {
		t.Errorf("files left by the backup: %v", n)
	}
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
