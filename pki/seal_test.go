// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// change edits rows of a ca.db that nobody has open.
func change(t *testing.T, dir string, f func(t *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, databaseName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestEnvelopesOpenAtTheirPlaceOnly(t *testing.T) {
	_, k, err := newLock(secret)
	if err != nil {
		t.Fatal(err)
	}
	clear := []byte("a key")
	sealed := k.seal("keys", "issuer/server", 1, clear)
	if bytes.Contains(sealed, clear) || bytes.Equal(sealed, k.seal("keys", "issuer/server", 1, clear)) {
		t.Error("an envelope shows what is in it, or looks like the one before")
	}
	if got, err := k.open("keys", "issuer/server", 1, sealed); err != nil || !bytes.Equal(got, clear) {
		t.Fatalf("%q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another bucket":     func() ([]byte, error) { return k.open("secrets", "issuer/server", 1, sealed) },
		"another name":       func() ([]byte, error) { return k.open("keys", "issuer/client", 1, sealed) },
		"another generation": func() ([]byte, error) { return k.open("keys", "issuer/server", 2, sealed) },
		"nothing":            func() ([]byte, error) { return k.open("keys", "issuer/server", 1, nil) },
		"another version": func() ([]byte, error) {
			return k.open("keys", "issuer/server", 1, append([]byte{2}, sealed[1:]...))
		},
	} {
		if got, err := open(); !errors.Is(err, ErrSealed) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for n := range sealed {
		b := bytes.Clone(sealed)
		b[n] ^= 1
		if _, err := k.open("keys", "issuer/server", 1, b); !errors.Is(err, ErrSealed) {
			t.Fatalf("byte %d changed: %v", n, err)
		}
	}
}

// What a thief or a fault can do to ca.db while nobody has it open is noticed,
// and said.
func TestOpenRefuses(t *testing.T) {
	row := func(bucket, key string, edit func([]byte) []byte) func(*bolt.Tx) error {
		return func(t *bolt.Tx) error {
			b := t.Bucket([]byte(bucket))
			return b.Put([]byte(key), edit(bytes.Clone(b.Get([]byte(key)))))
		}
	}
	copyFrom := func(bucket, from, to string) func(*bolt.Tx) error {
		return func(t *bolt.Tx) error {
			b := t.Bucket([]byte(bucket))
			return b.Put([]byte(to), bytes.Clone(b.Get([]byte(from))))
		}
	}
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	for _, c := range []struct {
		name   string
		edit   func(*bolt.Tx) error
		secret string
		is     error
		want   string
	}{
		{"another passphrase", nil, "correct horse battery stable", ErrPassphrase, "the passphrase is not the one it was sealed with"},
		{"a short passphrase", nil, "short", nil, "a passphrase of 5 bytes: want at least 8, better 32 random ones"},
		{"a later format", row(bucketCA, "format", func([]byte) []byte { return []byte("2") }), "", nil, `its format is "2", and this program knows 1 only`},
		{"nothing in it", func(t *bolt.Tx) error { return t.DeleteBucket([]byte(bucketCA)) }, "", nil, `its format is "", and this program knows 1 only`},
		{"a key changed", row(bucketKeys, "issuer/client/000001", flip), "", ErrSealed, "its issuers: keys issuer/client, generation 1: what was sealed has been changed, or belongs elsewhere"},
		{"a key of another issuer", copyFrom(bucketKeys, "issuer/client/000001", "issuer/server/000001"), "", ErrSealed, "its issuers: keys issuer/server, generation 1: what was sealed has been changed, or belongs elsewhere"},
		{"a key gone", row(bucketKeys, "issuer/server/000001", func([]byte) []byte { return nil }), "", ErrSealed, "its issuers: keys issuer/server: what was sealed has been changed, or belongs elsewhere"},
		{"another issuer's certificate", row(bucketIssuers, "server/000001", func(b []byte) []byte { return otherIssuer(t, b) }), "", nil, "its issuers: the key of server, generation 1, is not that of its certificate"},
		{"an issuer gone", func(t *bolt.Tx) error { return t.Bucket([]byte(bucketIssuers)).Delete([]byte("client/000001")) }, "", nil, "there is no client issuer, or no root for it"},
		{"a cost that takes all memory", row(bucketCA, "kek", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"N":1024`), []byte(`"N":1073741824`), 1)
		}), "", ErrSealed, "what was sealed has been changed, or belongs elsewhere: the costs of its key derivation are out of bounds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca, dir := diskCA(t, Settings{})
			ca.Close()
			if c.edit != nil {
				change(t, dir, c.edit)
			}
			pass := secret
			if c.secret != "" {
				pass = []byte(c.secret)
			}
			_, err := Open(dir, pass, Options{})
			if want := "opening the certification authority in " + dir + ": " + c.want; err == nil || err.Error() != want || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// otherIssuer puts the certificate of an issuer elsewhere into a row.
func otherIssuer(t *testing.T, b []byte) []byte {
	var w issuerRow
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	w.Chain = [][]byte{memoryCA(t, Settings{}, Options{}).state.Load().issuer(Server).cert().Raw}
	out, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSecretsAreSealed(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	s, ctx := ca.Secrets(), t.Context()
	clear := []byte("-----BEGIN EC PRIVATE KEY----- and more")
	for _, name := range []string{"gw.test", "gw.test+rsa"} {
		if _, err := s.Get(ctx, name); !errors.Is(err, ErrNoSecret) {
			t.Errorf("before: %v", err)
		}
		if err := s.Put(ctx, name, clear); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, "gw.test+rsa"); err != nil {
		t.Error(err)
	}
	ca.Close()
	b, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil || bytes.Contains(b, []byte("PRIVATE KEY")) {
		t.Errorf("%v, or a secret in clear", err)
	}
	// A secret under another's name is none.
	change(t, dir, func(t *bolt.Tx) error {
		b := t.Bucket([]byte(bucketSecrets))
		return b.Put([]byte("other.test"), bytes.Clone(b.Get([]byte("gw.test"))))
	})
	s = reopen(t, dir).Secrets()
	if got, err := s.Get(ctx, "gw.test"); err != nil || !bytes.Equal(got, clear) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Get(ctx, "other.test"); !errors.Is(err, ErrSealed) {
		t.Errorf("moved: %v", err)
	}
	if _, err := s.Get(ctx, "gw.test+rsa"); !errors.Is(err, ErrNoSecret) {
		t.Errorf("deleted: %v", err)
	}
	if err := s.Put(ctx, "", clear); err == nil || !strings.Contains(err.Error(), "want a name") {
		t.Errorf("without a name: %v", err)
	}
}
