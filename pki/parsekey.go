// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"

	"go.step.sm/crypto/pemutil"
)

// ParseKey reads the first private key of a PEM text: PKCS#8, PKCS#1 or SEC 1,
// in clear or encrypted (RFC 5958 with PBES2, or as OpenSSL did before that)
// under the passphrase. What its errors say has nothing of the key.
func ParseKey(text, passphrase []byte) (crypto.Signer, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("there is no private key in PEM in it")
		}
		if !bytes.HasSuffix([]byte(block.Type), []byte("PRIVATE KEY")) {
			continue
		}
		defer clear(block.Bytes)
		encrypted := block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != ""
		switch {
		case encrypted && len(passphrase) == 0:
			return nil, errors.New("the private key is encrypted, and no passphrase was given")
		case encrypted:
			return signer(pemutil.ParseKey(pem.EncodeToMemory(block), pemutil.WithPassword(passphrase)))
		}
		return signer(pemutil.ParseKey(pem.EncodeToMemory(block)))
	}
}

func signer(key any, err error) (crypto.Signer, error) {
	s, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("the private key cannot be read: the passphrase is wrong, or it is of a kind that does not sign")
	}
	return s, nil
}
