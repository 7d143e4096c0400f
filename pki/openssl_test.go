// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// openssl runs the program; a test skips without it.
func openssl(t testing.TB, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	return exec.Command(path, args...).CombinedOutput()
}

func pemOf(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// write makes a file for another program.
func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opensslVerify has OpenSSL verify a chain for a purpose, trusting roots only.
func opensslVerify(t testing.TB, chain []*x509.Certificate, eku x509.ExtKeyUsage, roots ...*x509.Certificate) error {
	t.Helper()
	purpose := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "sslserver", x509.ExtKeyUsageClientAuth: "sslclient"}[eku]
	args := []string{"verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose", purpose, "-CAfile", write(t, "roots.pem", pemOf(roots...))}
	if len(chain) > 1 {
		args = append(args, "-untrusted", write(t, "chain.pem", pemOf(chain[1:]...)))
	}
	out, err := openssl(t, append(args, write(t, "leaf.pem", pemOf(chain[0])))...)
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}
