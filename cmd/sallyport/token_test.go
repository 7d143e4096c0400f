// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdTokenKey makes a key that tokens are signed by: tokenkey NAME. NAME.jwks is
// the set with its public half, NAME.der the private one.
func cmdTokenKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tokenkey name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalECPrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".der"), der, 0o600))
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: args[0], Algorithm: "ES256", Use: "sig"}}})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".jwks"), set, 0o600))
}

// cmdToken signs a token and sets $NAME to it: token NAME KEY [claim=value...].
// A value with commas is a list; exp is a time from now. Without others, it is
// issued by https://idp.test for sallyport and good for an hour.
func cmdToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: token name key [claim=value...]")
	}
	der, err := os.ReadFile(ts.MkAbs(args[1] + ".der"))
	ts.Check(err)
	key, err := x509.ParseECPrivateKey(der)
	ts.Check(err)
	said := map[string]any{"iss": "https://idp.test", "aud": "sallyport", "exp": time.Now().Add(time.Hour).Unix()}
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		switch {
		case name == "exp":
			d, err := time.ParseDuration(value)
			ts.Check(err)
			said[name] = time.Now().Add(d).Unix()
		case strings.Contains(value, ","):
			said[name] = strings.Split(value, ",")
		default:
			said[name] = value
		}
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", args[1]))
	ts.Check(err)
	payload, err := json.Marshal(said)
	ts.Check(err)
	signed, err := s.Sign(payload)
	ts.Check(err)
	text, err := signed.CompactSerialize()
	ts.Check(err)
	ts.Setenv(args[0], text)
}
