// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/crypto/scrypt"
)

// A derivation is how a passphrase becomes keys. It is kept in clear.
type derivation struct {
	Salt    []byte
	N, R, P int
}

// usualCost takes 32 MiB and a tenth of a second, once per start.
var usualCost = derivation{N: 1 << 15, R: 8, P: 1}

// maxCost keeps a file that somebody has changed, or a backup of unknown
// origin, from taking all memory before its first byte is verified.
const maxCost = 1 << 20

// A kek seals what must not lie in a file in clear, and authenticates
// backups. One passphrase makes one key for each.
type kek struct {
	aead cipher.AEAD
	mac  []byte
}

func newDerivation() derivation {
	d := usualCost
	d.Salt = make([]byte, 32)
	rand.Read(d.Salt)
	return d
}

func (d derivation) kek(passphrase []byte) (*kek, error) {
	if len(passphrase) < 8 {
		return nil, fmt.Errorf("a passphrase of %d bytes: want at least 8, better 32 random ones", len(passphrase))
	}
	if len(d.Salt) < 16 || len(d.Salt) > 64 || d.N < 2 || d.N > maxCost || d.R < 1 || d.R > 32 || d.P < 1 || d.P > 4 {
		return nil, fmt.Errorf("%w: the costs of its key derivation are out of bounds", ErrSealed)
	}
	b, err := scrypt.Key(passphrase, d.Salt, d.N, d.R, d.P, 64)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(b[:32])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &kek{aead, b[32:]}, nil
}

const envelope = 1 // the version of what seal makes: version, nonce, AES-256-GCM

// seal makes an envelope that opens at its own place only: another bucket,
// name or generation is another additional datum.
func (k *kek) seal(bucket, name string, generation int, clear []byte) []byte {
	out := make([]byte, 1+k.aead.NonceSize(), 1+k.aead.NonceSize()+len(clear)+k.aead.Overhead())
	out[0] = envelope
	rand.Read(out[1:])
	return k.aead.Seal(out, out[1:], clear, place(bucket, name, generation))
}

func (k *kek) open(bucket, name string, generation int, sealed []byte) ([]byte, error) {
	n := 1 + k.aead.NonceSize()
	if len(sealed) < n || sealed[0] != envelope {
		return nil, fmt.Errorf("%s %s: %w", bucket, name, ErrSealed)
	}
	clear, err := k.aead.Open(nil, sealed[1:n], sealed[n:], place(bucket, name, generation))
	if err != nil {
		return nil, fmt.Errorf("%s %s, generation %d: %w", bucket, name, generation, ErrSealed)
	}
	return clear, nil
}

func place(bucket, name string, generation int) []byte {
	return []byte("sallyport\x00" + bucket + "\x00" + name + "\x00" + strconv.Itoa(generation))
}

// A lock is the row that tells the right passphrase from a wrong one.
type lock struct {
	derivation
	Proof []byte
}

const proof = "this passphrase opens this certification authority"

// newLock makes the row, and the key it goes with.
func newLock(passphrase []byte) ([]byte, *kek, error) {
	l := lock{derivation: newDerivation()}
	k, err := l.kek(passphrase)
	if err != nil {
		return nil, nil, err
	}
	l.Proof = k.seal(bucketCA, "kek", 0, []byte(proof))
	b, err := json.Marshal(l)
	return b, k, err
}

// unlock derives the key and proves it. A proof that was tampered with looks
// like a wrong passphrase: nothing can tell them apart.
func unlock(b, passphrase []byte) (*kek, error) {
	var l lock
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	k, err := l.kek(passphrase)
	if err != nil {
		return nil, err
	}
	if _, err := k.open(bucketCA, "kek", 0, l.Proof); err != nil {
		return nil, ErrPassphrase
	}
	return k, nil
}

// putKey seals a private key into its row.
func (k *kek) putKey(t tx, name string, generation int, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("the key of %s: %w", name, err)
	}
	defer clear(der)
	return t.Put(bucketKeys, numbered(name, generation), k.seal(bucketKeys, name, generation, der))
}

func (k *kek) key(t tx, name string, generation int) (crypto.Signer, error) {
	b, err := t.Get(bucketKeys, numbered(name, generation))
	if err != nil {
		return nil, err
	}
	der, err := k.open(bucketKeys, name, generation, b)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the key of %s, generation %d, cannot be read", name, generation)
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key of %s, generation %d, cannot sign", name, generation)
	}
	return s, nil
}

// numbered is the key of a row of a generation. Generations sort by number.
func numbered(name string, generation int) string { return fmt.Sprintf("%s/%06d", name, generation) }
