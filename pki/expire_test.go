// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/smallstep/certificates/db"
)

// The sweep takes what nobody can use any more, and nothing else.
func TestSweep(t *testing.T) {
	at := &clock{time.Now()}
	ca := memoryCA(t, Settings{}, Options{Now: at.now})
	ctx := t.Context()
	const day = 24 * time.Hour
	gone := issueClient(t, ca, "gone")
	if err := ca.Revoke(ctx, gone[0].SerialNumber, 1, ""); err != nil {
		t.Fatal(err)
	}
	token := func(exp time.Time) string {
		return "x." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, exp.Unix())) + ".x"
	}
	tokens := &db.DB{DB: nosql{ca.store}}
	tokens.UseToken("old", token(at.at.Add(time.Hour)))
	tokens.UseToken("new", token(at.at.Add(150*day)))
	tokens.UseToken("odd", "not a token")
	if err := ca.RotateIssuer(ctx, Client); err != nil {
		t.Fatal(err)
	}
	hold := func(want int) {
		t.Helper()
		if n, err := ca.Sweep(ctx); err != nil || n != want {
			t.Errorf("swept %d, %v, want %d", n, err, want)
		}
	}
	count := func(bucket string) (n int) {
		ca.store.View(func(x tx) error {
			return x.Each(bucket, "", func(string, []byte) bool { n++; return true })
		})
		return n
	}
	hold(0)
	at.at = at.at.Add(120 * day) // expired 30 days ago
	later := issueClient(t, ca, "later")
	hold(1) // the old token
	if !ca.Revoked(gone[0]) {
		t.Error("the revocation is gone too early")
	}
	at.at = at.at.Add(61 * day)
	hold(2) // record and revocation
	if _, _, err := ca.Find(SerialText(gone[0].SerialNumber)); err == nil || ca.Revoked(gone[0]) {
		t.Error("it is still there")
	}
	if _, _, err := ca.Find(SerialText(later[0].SerialNumber)); err != nil {
		t.Error(err)
	}
	if n := count("used_ott"); n != 2 {
		t.Errorf("%d tokens", n)
	}
	before := count(bucketKeys)
	at.at = at.at.Add(550 * day)
	hold(3) // later, the new token, and the first client issuer with its key
	if n := count(bucketKeys); n != before-1 || len(ca.Issuers()) != 4 {
		t.Errorf("%d keys, %d issuers", n, len(ca.Issuers()))
	}
}

// More rows than are looked at in one go.
func TestSweepMany(t *testing.T) {
	at := &clock{time.Now()}
	ca := memoryCA(t, Settings{}, Options{Now: at.now})
	ca.store.Change(func(x tx) error {
		for n := range 2*expiryBatch + 7 {
			life := time.Hour
			if n%3 == 0 {
				life = 10000 * time.Hour
			}
			putJSON(x, bucketIssued, fmt.Sprintf("%032x", n), issuedRow{Record: Record{Role: Client, NotAfter: at.at.Add(life)}})
		}
		return nil
	})
	at.at = at.at.Add(91 * 24 * time.Hour)
	if n, err := ca.Sweep(t.Context()); err != nil || n != 1338 {
		t.Errorf("swept %d, %v", n, err)
	}
	if n, err := ca.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("and again %d, %v", n, err)
	}
}
