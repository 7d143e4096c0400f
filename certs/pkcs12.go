// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"software.sslmate.com/src/go-pkcs12"
)

const (
	maxPKCS12   = 1 << 20          // bytes
	pkcs12Time  = 20 * time.Second // for hashing its password as often as it says
	maxPassword = 1 << 10          // bytes
)

// loadPKCS12 reads a client certificate, what lies between it and its root, and
// its key from a PKCS #12 file (RFC 7292). passwordFile "" means that the file
// has an empty password. No error contains anything of a key or password.
func loadPKCS12(file, passwordFile string) (*clientCert, error) {
	fail := func(err error) (*clientCert, error) { return nil, fmt.Errorf("client certificate %s: %w", file, err) }
	password := ""
	if passwordFile != "" {
		var err error
		if password, err = readPassword(passwordFile); err != nil {
			return nil, fmt.Errorf("client certificate %s: its password %s: %w", file, passwordFile, err)
		}
	}
	der, mode, err := readFile(file)
	if err != nil {
		return fail(err)
	}
	defer clear(der)
	// Its encryption may be of the last century and its password short.
	if err := private(file, mode); err != nil {
		return fail(err)
	}
	if len(der) > maxPKCS12 {
		return fail(fmt.Errorf("has more than %d MiB: is it the right file?", maxPKCS12>>20))
	}
	key, all, err := openPKCS12(der, password)
	switch {
	case errors.Is(err, errPassword) && passwordFile == "":
		return fail(errors.New("it has a password: write it to a secret and name that as password_secret"))
	case errors.Is(err, errPassword):
		return fail(fmt.Errorf("the password in %s is not its", passwordFile))
	case err != nil:
		return fail(err)
	}
	chain, err := wayUp(key, all)
	if err != nil {
		return fail(err)
	}
	if err := checkDates(chain[0]); err != nil {
		return fail(err)
	}
	c := &clientCert{file: file, cert: tls.Certificate{PrivateKey: key, Leaf: chain[0]}}
	for _, x := range chain {
		c.cert.Certificate = append(c.cert.Certificate, x.Raw)
	}
	return c, nil
}

var errPassword = errors.New("wrong password")

// openPKCS12 decrypts der. The file says how often its password is to be hashed,
// so it is done beside a clock; what has not ended by then is left to itself.
func openPKCS12(der []byte, password string) (crypto.Signer, []*x509.Certificate, error) {
	type opened struct {
		key   any
		certs []*x509.Certificate
		err   error
	}
	done := make(chan opened, 1)
	der = bytes.Clone(der)
	go func() {
		defer func() {
			if recover() != nil { // the decoder is not ours
				done <- opened{err: errors.New("damaged")}
			}
		}()
		key, first, others, err := pkcs12.DecodeChain(der, password)
		done <- opened{key, append([]*x509.Certificate{first}, others...), err}
	}()
	clock := time.NewTimer(pkcs12Time)
	defer clock.Stop()
	var o opened
	select {
	case o = <-done:
	case <-clock.C:
		return nil, nil, errors.New("it wants its password hashed too often: export it again")
	}
	if o.err != nil {
		return nil, nil, pkcs12Error(o.err)
	}
	key, ok := o.key.(crypto.Signer)
	if !ok {
		return nil, nil, errors.New("its private key cannot sign: an RSA, ECDSA or Ed25519 key is needed")
	}
	return key, o.certs, nil
}

// pkcs12Error says in our words what the decoder found: its own may come from
// parsing a key.
func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return errPassword
	}
	switch err.Error() {
	case "pkcs12: private key missing":
		return errors.New("there is no private key in it: export the certificate together with its key")
	case "pkcs12: certificate missing":
		return errors.New("there is no certificate in it: export the key together with its certificate")
	case "pkcs12: expected exactly one key bag":
		return errors.New("there are several private keys in it: leave the one that belongs to the certificate")
	}
	return errors.New("it is not PKCS #12, or damaged, or encrypted by what is not read (AES, 3DES and RC2 are): export it again with openssl pkcs12 -export")
}

// wayUp is the certificate of key and its issuers as far as they are there, in
// the order that TLS sends them, without the root, which the other side has.
// Programs write the file in any order.
func wayUp(key crypto.Signer, all []*x509.Certificate) (chain []*x509.Certificate, err error) {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, errors.New("its private key is of an unknown kind: an RSA, ECDSA or Ed25519 key is needed")
	}
	i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return pub.Equal(c.PublicKey) })
	if i < 0 {
		return nil, errors.New("its private key belongs to none of its certificates: export it again")
	}
	for i >= 0 {
		c := all[i]
		if chain = append(chain, c); len(chain) == len(all) || bytes.Equal(c.RawSubject, c.RawIssuer) {
			break
		}
		i = slices.IndexFunc(all, func(up *x509.Certificate) bool {
			return bytes.Equal(up.RawSubject, c.RawIssuer) && !bytes.Equal(up.RawSubject, up.RawIssuer) &&
				!slices.Contains(chain, up) && c.CheckSignatureFrom(up) == nil
		})
	}
	return chain, nil
}

// readPassword reads the one line of a file that nobody else can read.
func readPassword(file string) (string, error) {
	text, mode, err := readFile(file)
	if err != nil {
		return "", err
	}
	defer clear(text)
	if err := private(file, mode); err != nil {
		return "", err
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case line == "":
		return "", errors.New("it is empty: write the password to it, or leave out password_secret")
	case len(line) > maxPassword:
		return "", fmt.Errorf("it has more than %d bytes: is it the right file?", maxPassword)
	case !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl):
		return "", errors.New("it is not one line of UTF-8: write the password alone to it")
	case strings.ContainsFunc(line, func(r rune) bool { return r > 0xffff }): // BMPString
		return "", errors.New("it has a character that no PKCS #12 password can have: export the certificate with another")
	}
	return line, nil
}

// private refuses a file that others can use.
func private(file string, mode os.FileMode) error {
	// Windows keeps its permissions elsewhere and shows 0666 for all files.
	if mode&0o077 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("others than its owner can use it (mode %04o): chmod 600 %s", mode, shell(file))
	}
	return nil
}
