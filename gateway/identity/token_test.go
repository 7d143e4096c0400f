// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var heldTo = TokenOptions{Issuer: "https://idp.test", Audience: "sallyport"}

type said map[string]any

// a token that is right, with changes; nil takes a claim away.
func claimed(changes said) said {
	all := said{"iss": "https://idp.test", "aud": "sallyport", "sub": "eva", "exp": noon.Add(time.Hour).Unix()}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func TestTokens(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, other := ecKey(t), ecKey(t)
	tokens, err := ReadTokens("keys", jwks(t,
		jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "rsa", Use: "sig"},
		jose.JSONWebKey{Key: p256.Public(), KeyID: "p256", Algorithm: "ES256"},
		jose.JSONWebKey{Key: p384.Public(), KeyID: "p384"},
		jose.JSONWebKey{Key: edKey.Public(), KeyID: "ed"},
		jose.JSONWebKey{Key: other.Public(), KeyID: "enc", Use: "enc"},
	), heldTo)
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range []struct {
		alg jose.SignatureAlgorithm
		key any
		kid string
	}{
		{jose.RS256, rsaKey, "rsa"},
		{jose.PS512, rsaKey, "rsa"},
		{jose.ES256, p256, "p256"},
		{jose.ES256, p256, ""},
		{jose.ES384, p384, "p384"},
		{jose.EdDSA, edKey, "ed"},
	} {
		for range 2 { // the second time, it is remembered
			got, err := tokens.verify(signed(t, right.alg, right.key, right.kid, claimed(nil)), noon)
			if err != nil || got.who.user != "eva" {
				t.Errorf("%s %s: %v", right.alg, right.kid, err)
			}
		}
	}
	es := func(changes said) string { return signed(t, jose.ES256, p256, "p256", claimed(changes)) }
	good := es(nil)
	part := strings.Split(good, ".")
	der, _ := x509.MarshalPKIXPublicKey(rsaKey.Public())
	crit := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(base64.StdEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"p256","crit":["exp"],"exp":1}`)))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	const (
		unreadable = "the token cannot be read, or is signed by an algorithm that is not accepted"
		forged     = "the token is not signed by a key of the issuer"
	)
	for name, c := range map[string]struct{ token, want string }{
		"alg none":                    {none + "." + part[1] + ".", unreadable},
		"alg none, with a signature":  {none + "." + part[1] + "." + part[2], unreadable},
		"HS256 by the public RSA key": {signed(t, jose.HS256, der, "rsa", claimed(nil)), unreadable},
		"another key":                 {signed(t, jose.ES256, other, "p256", claimed(nil)), forged},
		"a key for encryption":        {signed(t, jose.ES256, other, "enc", claimed(nil)), forged},
		"an unknown kid":              {signed(t, jose.ES256, p256, "what", claimed(nil)), forged},
		"the kid of another key":      {signed(t, jose.ES256, p256, "p384", claimed(nil)), forged},
		"another payload":             {part[0] + "." + strings.Split(es(said{"sub": "bob"}), ".")[1] + "." + part[2], forged},
		"no signature":                {part[0] + "." + part[1] + ".", forged},
		"cut":                         {part[0] + "." + part[1], unreadable},
		"a critical header":           {crit + "." + part[1] + "." + part[2], "the token asks for crit, which is not understood"},
		"JSON":                        {`{"payload":"` + part[1] + `","protected":"` + part[0] + `","signature":"` + part[2] + `"}`, unreadable},
		"expired":                     {es(said{"exp": noon.Add(-2 * time.Minute).Unix()}), "the token has expired"},
		"no end":                      {es(said{"exp": nil}), "the token does not say when it expires"},
		"an end that is none":         {es(said{"exp": "tomorrow"}), "the token does not say when it expires"},
		"not yet":                     {es(said{"nbf": noon.Add(2 * time.Minute).Unix()}), "the token is not valid yet"},
		"issued later":                {es(said{"iat": noon.Add(2 * time.Minute).Unix()}), "the token is not valid yet"},
		"another issuer":              {es(said{"iss": "https://idp.test/"}), "the token is of another issuer"},
		"no issuer":                   {es(said{"iss": nil}), "the token is of another issuer"},
		"issuers":                     {es(said{"iss": []string{"https://idp.test"}}), "the token is of another issuer"},
		"another audience":            {es(said{"aud": "mail"}), "the token is for another audience"},
		"no audience":                 {es(said{"aud": nil}), "the token is for another audience"},
		"other audiences":             {es(said{"aud": []string{"mail", "sallyport2"}}), "the token is for another audience"},
		"no user":                     {es(said{"sub": nil}), "the token names no user (sub)"},
		"an empty user":               {es(said{"sub": ""}), "the token names no user (sub)"},
		"a user that is none":         {es(said{"sub": "eva\n"}), "the token names no user (sub)"},
		"a user in a list":            {es(said{"sub": []string{"eva"}}), "the token names no user (sub)"},
		"groups that are none":        {es(said{"groups": map[string]string{"a": "b"}}), "the groups of the token cannot be used"},
		"a group with a line end":     {es(said{"groups": []string{"a\nb"}}), "the groups of the token cannot be used"},
		"a long claim":                {es(said{"x": strings.Repeat("a", 300)}), "the token has more than 64 claims, or one that cannot be used"},
		"no claims":                   {signed(t, jose.ES256, p256, "p256", "[]"), "the token holds no claims"},
		"a name twice":                {signed(t, jose.ES256, p256, "p256", fmt.Sprintf(`{"iss":"https://idp.test","aud":"sallyport","sub":"bob","sub":"eva","exp":%d}`, noon.Add(time.Hour).Unix())), "the token holds no claims"},
		"empty":                       {"", unreadable},
	} {
		_, err := tokens.verify(c.token, noon)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	// What was right is remembered, and ends all the same.
	if _, err := tokens.verify(good, noon.Add(2*time.Hour)); err == nil || err.Error() != "the token has expired" {
		t.Errorf("a remembered token: %v", err)
	}
	if _, err := tokens.verify(good, noon.Add(time.Hour+30*time.Second)); err != nil {
		t.Errorf("within the difference of clocks: %v", err)
	}
}

func TestClaims(t *testing.T) {
	key := ecKey(t)
	o := heldTo
	o.User = "email"
	tokens, err := ReadTokens("keys", jwks(t, jose.JSONWebKey{Key: key.Public()}), o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.verify(signed(t, jose.ES256, key, "", claimed(said{
		"aud": []string{"mail", "sallyport"}, "email": "eva@corp.test", "groups": []string{"staff", "sre"}, "iat": noon.Unix(), "jti": "1",
		"role": "agent", "level": 7, "share": 0.5, "admin": false, "scope": "read write", "tags": []string{"a", "b"}, "address": said{"street": "x"}, "mixed": []any{"a", 1},
	})), noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"admin=false", "email=eva@corp.test", "level=7", "role=agent", "scope=read", "scope=write", "sub=eva", "tags=a", "tags=b"}
	if got.who.user != "eva@corp.test" || !slices.Equal(got.who.groups, []string{"staff", "sre"}) || !slices.Equal(got.who.claims, want) {
		t.Errorf("%+v", got.who)
	}
}

func TestKeySetsRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]jose.JSONWebKey, 65)
	for i := range many {
		many[i] = jose.JSONWebKey{Key: ecKey(t).Public(), KeyID: fmt.Sprint(i)}
	}
	for want, text := range map[string][]byte{
		"keys is no JWK Set: ":                                              []byte("{"),
		"keys has no key that signs tokens":                                 []byte(`{"keys":[]}`),
		"keys: key 1: a symmetric key (oct): whoever can verify":            jwks(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")}),
		"keys: key 1: a private key: give the public ones":                  jwks(t, jose.JSONWebKey{Key: ecKey(t)}),
		"keys: key 1: an RSA key of 1024 bits: it has to have 2048 to 8192": jwks(t, jose.JSONWebKey{Key: small.Public()}),
		"keys has more than 64 keys":                                        jwks(t, many...),
	} {
		if _, err := ReadTokens("keys", text, heldTo); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// A key of a type that is not known is somebody else's.
	text := []byte(`{"keys":[{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"},` + string(jwks(t, jose.JSONWebKey{Key: ecKey(t).Public()})[len(`{"keys":[`):]))
	if tokens, err := ReadTokens("keys", text, heldTo); err != nil || len(tokens.keys) != 1 {
		t.Errorf("%v", err)
	}
	for _, o := range []TokenOptions{{Issuer: "i"}, {Audience: "a"}} {
		if _, err := ReadTokens("keys", text, o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// FuzzToken: nothing that is not signed by the key is a token.
func FuzzToken(f *testing.F) {
	key := ecKey(f)
	tokens, err := ReadTokens("keys", jwks(f, jose.JSONWebKey{Key: key.Public()}), heldTo)
	if err != nil {
		f.Fatal(err)
	}
	stranger := signed(f, jose.ES256, ecKey(f), "", claimed(nil))
	f.Add(stranger)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add(signed(f, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), "", claimed(nil)))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := tokens.verify(text, noon); err == nil {
			t.Fatal("accepted")
		} else if strings.ContainsAny(err.Error(), "\"\\\r\n") {
			t.Fatalf("%q cannot stand in a challenge", err)
		}
	})
}
