// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/acme"
)

func bindTo(kid string, key []byte) *acme.Account {
	return &acme.Account{ExternalAccountBinding: &acme.ExternalAccountBinding{KID: kid, Key: key}}
}

// refusedWith returns the problem of an error, which has to be the client's.
func refusedWith(t *testing.T, err error) *acme.Error {
	t.Helper()
	var e *acme.Error
	if !errors.As(err, &e) || e.StatusCode < 400 || e.StatusCode > 499 {
		t.Fatalf("want a refusal, not %v", err)
	}
	return e
}

func TestEAB(t *testing.T) {
	ctx := within30s(t)
	w := openWorld(t, func(o *ACMEOptions) { o.RequireEAB = true })
	kid, key, err := w.ca.NewEAB(ctx, "web team")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.client().Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if e := refusedWith(t, err); e.ProblemType != acmeErrors+"externalAccountRequired" {
		t.Errorf("without a key: %v", e)
	}
	for name, acc := range map[string]*acme.Account{
		"an unknown key": bindTo("nosuchkey", key),
		"a wrong secret": bindTo(kid, bytes.Repeat([]byte{1}, 32)),
	} {
		_, err := w.client().Register(ctx, acc, acme.AcceptTOS)
		if e := refusedWith(t, err); e.ProblemType != acmeErrors+"unauthorized" || e.StatusCode != 403 {
			t.Errorf("%s: %v", name, e)
		}
	}
	c := w.client()
	if _, err := c.Register(ctx, bindTo(kid, key), acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.order(ctx, c, "http-01", "www.corp.test"); err != nil {
		t.Fatal(err)
	}
	// smallstep answers 500 to the second use, which clients repeat for ever.
	_, err = w.client().Register(ctx, bindTo(kid, key), acme.AcceptTOS)
	if e := refusedWith(t, err); e.StatusCode != 403 || !strings.Contains(e.Detail, "has been used; ask for another") {
		t.Errorf("the second use: %v", e)
	}
	list, err := w.ca.EABs(ctx)
	if err != nil || len(list) != 1 || list[0].KeyID != kid || list[0].Reference != "web team" || list[0].Bound.IsZero() || list[0].Account == "" {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if _, err := w.ca.Secrets().Get(ctx, eabSecret(kid)); !errors.Is(err, ErrNoSecret) {
		t.Errorf("the secret of a key that was used: %v", err)
	}
	if err := w.ca.RemoveEAB(ctx, kid); err != nil {
		t.Fatal(err)
	}
	_, err = c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
	if e := refusedWith(t, err); !strings.Contains(e.Detail, "was removed") {
		t.Errorf("an order after the key was removed: %v", e)
	}
	if err := w.ca.RemoveEAB(ctx, kid); !errors.Is(err, ErrNoEAB) {
		t.Errorf("removing it again: %v", err)
	}
	unused, key2, err := w.ca.NewEAB(ctx, "nobody")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ca.RemoveEAB(ctx, unused); err != nil {
		t.Fatal(err)
	}
	_, err = w.client().Register(ctx, bindTo(unused, key2), acme.AcceptTOS)
	refusedWith(t, err)
	for _, ref := range []string{"", "a\nb", strings.Repeat("x", 101)} {
		if _, _, err := w.ca.NewEAB(ctx, ref); err == nil || !strings.Contains(err.Error(), "say who gets it in up to 100 printable letters") {
			t.Errorf("reference %q: %v", ref, err)
		}
	}
}

// Accounts of before keys were required get nothing until they have one.
func TestEABRequiredLater(t *testing.T) {
	ctx := within30s(t)
	ca := memoryCA(t, worldSettings, Options{Log: t.Logf})
	c := openWorldOn(t, ca, nil).registered(ctx)
	w := openWorldOn(t, ca, func(o *ACMEOptions) { o.RequireEAB = true })
	c.HTTPClient = w.browser()
	_, err := c.AuthorizeOrder(ctx, acme.DomainIDs("www.corp.test"))
	if e := refusedWith(t, err); !strings.Contains(e.Detail, "make a new account with one") {
		t.Errorf("%v", e)
	}
}

// Of eight who use a key at once, one has an account; smallstep gives all of them
// one, and binds the key to the last.
func TestEABRace(t *testing.T) {
	t.Run("memory", func(t *testing.T) { eabRace(t, memoryCA(t, worldSettings, Options{Log: t.Logf})) })
	t.Run("bbolt", func(t *testing.T) {
		ca, _ := diskCA(t, worldSettings)
		eabRace(t, ca)
	})
}

func eabRace(t *testing.T, ca *CA) {
	ctx := within30s(t)
	w := openWorldOn(t, ca, func(o *ACMEOptions) { o.RequireEAB = true })
	kid, key, err := ca.NewEAB(ctx, "race")
	if err != nil {
		t.Fatal(err)
	}
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		c := w.client()
		wg.Go(func() {
			_, err := c.Register(ctx, bindTo(kid, key), acme.AcceptTOS)
			var e *acme.Error
			switch {
			case err == nil:
				made.Add(1)
			case errors.As(err, &e) && e.StatusCode == 403:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d accounts were made with one key, and %d refused", made.Load(), refused.Load())
	}
}

// The key is nowhere in clear.
func TestEABIsSealed(t *testing.T) {
	ctx := context.Background()
	ca := memoryCA(t, Settings{}, Options{})
	_, key, err := ca.NewEAB(ctx, "web team")
	if err != nil {
		t.Fatal(err)
	}
	err = ca.store.View(func(t2 tx) error {
		for _, b := range []string{bucketACMEEAB, bucketSecrets} {
			err := t2.Each(b, "", func(k string, v []byte) bool {
				if bytes.Contains(v, key) || bytes.Contains(v, []byte(base64.StdEncoding.EncodeToString(key))) || bytes.Contains(v, []byte(base64.RawURLEncoding.EncodeToString(key))) {
					t.Errorf("%s/%s has the key in clear", b, k)
				}
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
