// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// TokenOptions are what tokens are held to. All but User are needed.
type TokenOptions struct {
	Issuer   string // what iss has to be
	Audience string // what aud has to be or to contain: a token for another service is none for this one
	User     string // the claim that names the user; "": sub
}

// Tokens verify JSON Web Tokens (RFC 7519, as RFC 8725 wants it) by the public
// keys of a JWK Set (RFC 7517). But for what is remembered they are immutable.
type Tokens struct {
	o    TokenOptions
	keys []tokenKey

	mu    sync.Mutex
	known map[[32]byte]*token // by the SHA-256 of the text
}

// A tokenKey is one key of the set.
type tokenKey struct {
	id    string // kid; "": none
	alg   string // the one algorithm it is for; "": those that fit its type
	key   any
	print [32]byte // RFC 7638
}

// A token is what a verified token says.
type token struct {
	who       claims
	expires   time.Time
	notBefore time.Time
	print     [32]byte // of the key that signed it
}

// Bounds on tokens and keys.
const (
	maxKeys    = 64
	minRSA     = 2048 // bits
	maxRSA     = 8192
	leeway     = time.Minute // between clocks
	maxTokens  = 8192        // that are remembered
	maxKeyFile = 1 << 20
)

// algorithms are those that tokens may be signed by. That there is neither none
// nor an HMAC, whose key would be a public one here, is the point of the list
// (RFC 8725 §3.1).
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// ReadTokens reads a JWK Set; name is what messages call it. Keys for encryption
// and of types that sign nothing here are left out; a symmetric or a private key
// is an error, because then the file is not what was meant to be given.
func ReadTokens(name string, text []byte, o TokenOptions) (*Tokens, error) {
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxKeyFile)
	}
	if o.Issuer == "" || o.Audience == "" {
		return nil, errors.New("tokens are held to an issuer and an audience, and one of them is missing")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("%s is no JWK Set: %w", name, err)
	}
	t := &Tokens{o: o, known: make(map[[32]byte]*token)}
	if t.o.User == "" {
		t.o.User = "sub"
	}
	for i, raw := range set.Keys {
		k, err := readKey(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", name, i+1, err)
		}
		if k.key != nil {
			t.keys = append(t.keys, k)
		}
	}
	switch {
	case len(t.keys) == 0:
		return nil, fmt.Errorf("%s has no key that signs tokens", name)
	case len(t.keys) > maxKeys:
		return nil, fmt.Errorf("%s has more than %d keys", name, maxKeys)
	}
	return t, nil
}

// readKey reads one key of a set; its key is nil when it is to be left out.
func readKey(raw json.RawMessage) (k tokenKey, err error) {
	var j jose.JSONWebKey
	if err := j.UnmarshalJSON(raw); err != nil {
		if errors.Is(err, jose.ErrUnsupportedKeyType) { // RFC 7517 §5
			return k, nil
		}
		return k, err
	}
	if j.Use != "" && j.Use != "sig" {
		return k, nil
	}
	switch key := j.Key.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < minRSA || n > maxRSA {
			return k, fmt.Errorf("an RSA key of %d bits: it has to have %d to %d", n, minRSA, maxRSA)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case []byte:
		return k, errors.New("a symmetric key (oct): whoever can verify by it can make tokens as well")
	default:
		return k, errors.New("a private key: give the public ones")
	}
	k.id, k.alg, k.key = j.KeyID, j.Algorithm, j.Key
	print, err := j.Thumbprint(crypto.SHA256)
	copy(k.print[:], print)
	return k, err
}

// A tokenError is why a token proves nothing. Its text goes to the client, in
// error_description, and is made of printable ASCII without quotes.
type tokenError struct {
	text   string
	forged bool // no key of the set has signed it
}

func (e *tokenError) Error() string { return e.text }

// verify is what text says when it is a token for this gateway, now.
func (t *Tokens) verify(text string, now time.Time) (*token, error) {
	sum := sha256.Sum256([]byte(text))
	t.mu.Lock()
	k := t.known[sum]
	t.mu.Unlock()
	if k == nil {
		var err error
		if k, err = t.read(text); err != nil {
			return nil, err
		}
	}
	switch {
	case !now.Before(k.expires.Add(leeway)):
		return nil, &tokenError{text: "the token has expired"}
	case now.Before(k.notBefore.Add(-leeway)):
		return nil, &tokenError{text: "the token is not valid yet"}
	}
	t.remember(sum, k, now)
	return k, nil
}

func (t *Tokens) remember(sum [32]byte, k *token, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known[sum] != nil {
		return
	}
	if len(t.known) >= maxTokens {
		for s, k := range t.known {
			if !now.Before(k.expires) {
				delete(t.known, s)
			}
		}
	}
	for s := range t.known { // any: it costs somebody a verification
		if len(t.known) < maxTokens {
			break
		}
		delete(t.known, s)
	}
	t.known[sum] = k
}

// read verifies text, but for the times in it.
func (t *Tokens) read(text string) (*token, error) {
	forged := &tokenError{text: "the token is not signed by a key of the issuer", forged: true}
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, &tokenError{text: "the token cannot be read, or is signed by an algorithm that is not accepted", forged: true}
	}
	h := jws.Signatures[0].Protected
	for _, name := range []jose.HeaderKey{"crit", "b64", "zip"} {
		if _, ok := h.ExtraHeaders[name]; ok { // what it asks for is not done here
			return nil, &tokenError{text: "the token asks for " + string(name) + ", which is not understood", forged: true}
		}
	}
	for i := range t.keys {
		k := &t.keys[i]
		if h.KeyID != "" && k.id != "" && k.id != h.KeyID || k.alg != "" && k.alg != h.Algorithm || !signs(k.key, h.Algorithm) {
			continue
		}
		payload, err := jws.Verify(k.key)
		if err != nil {
			continue
		}
		said, err := t.claims(payload)
		if err != nil {
			return nil, err
		}
		said.print = k.print
		return said, nil
	}
	return nil, forged
}

// signs reports whether a key is of the type that an algorithm is for.
func signs(key any, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg[0] == 'R' || alg[0] == 'P'
	case *ecdsa.PublicKey:
		return alg == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Curve.Params().BitSize]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// has reports whether the key of a fingerprint is in the set.
func (t *Tokens) has(print [32]byte) bool {
	if t == nil {
		return false
	}
	for i := range t.keys {
		if t.keys[i].print == print {
			return true
		}
	}
	return false
}
