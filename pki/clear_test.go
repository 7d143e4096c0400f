// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"testing"
)

// inClear says what key it finds in b; "" for none.
func inClear(t *testing.T, keys map[string]*ecdsa.PrivateKey, b []byte) string {
	t.Helper()
	needles := map[string][]byte{
		"PEM":    []byte("PRIVATE KEY"),
		"PKCS#8": {0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01},
		"SEC 1":  {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20},
	}
	for name, key := range keys {
		d, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		needles[name+" raw, as in DER"] = d
		needles[name+" in hex"] = []byte(hex.EncodeToString(d))
		needles[name+" in HEX"] = bytes.ToUpper([]byte(hex.EncodeToString(d)))
		for n := range 3 { // base64 of what surrounds it begins at any of three places
			e := base64.StdEncoding.EncodeToString(d[n:])
			needles[fmt.Sprint(name, " in base64, ", n)] = []byte(e[:len(e)-4])
		}
	}
	for what, needle := range needles {
		if bytes.Contains(b, needle) {
			return what
		}
	}
	return ""
}

// The search finds what it looks for.
func TestSearchFindsKeys(t *testing.T) {
	key := mustKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := key.Bytes()
	for name, b := range map[string][]byte{
		"PKCS#8": der, "raw": d, "hex": []byte(fmt.Sprintf("%x", d)), "base64": []byte(base64.StdEncoding.EncodeToString(der)),
		"PEM": []byte("-----BEGIN EC PRIVATE KEY-----"),
	} {
		if inClear(t, map[string]*ecdsa.PrivateKey{"it": key}, b) == "" {
			t.Errorf("%s is not found", name)
		}
	}
	if inClear(t, map[string]*ecdsa.PrivateKey{"it": key}, []byte("nothing")) != "" {
		t.Error("found where nothing is")
	}
}
