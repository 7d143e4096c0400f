// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// A rootSet is what the roots files hold. Nil stands for the system's roots.
type rootSet []*x509.Certificate

func loadRoots(files []string) (rootSet, error) {
	var set rootSet
	var errs []error
	for _, f := range files {
		certs, err := readCerts(f, false)
		if err != nil {
			errs = append(errs, fmt.Errorf("roots %s: %w", f, err))
		}
		set = append(set, certs...)
	}
	return set, errors.Join(errs...)
}

// pool returns nil, the system's roots, for a nil set.
func (s rootSet) pool() *x509.CertPool {
	if s == nil {
		return nil
	}
	pool := x509.NewCertPool()
	for _, c := range s {
		pool.AddCert(c)
	}
	return pool
}

func (s rootSet) warnings() (lines []string) {
	for _, c := range s {
		switch left := time.Until(c.NotAfter); {
		case left >= 0 && left < expiresSoon:
			lines = append(lines, fmt.Sprintf("the root %s expires on %s: name its successor beside it before that",
				quote(c.Subject.String()), date(c.NotAfter)))
		case left < 0:
			lines = append(lines, fmt.Sprintf("the root %s expired on %s and vouches for nothing: replace it",
				quote(c.Subject.String()), date(c.NotAfter)))
		}
	}
	return lines
}

// readCerts reads the certificates of a PEM file. Nothing else may be in it,
// unless keyToo says that it also holds their private key.
func readCerts(file string, keyToo bool) ([]*x509.Certificate, error) {
	text, _, err := readFile(file)
	if err != nil {
		return nil, err
	}
	blocks, err := decodePEM(text)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			if keyToo {
				continue
			}
			return nil, fmt.Errorf("holds a %s: leave only certificates in it", b.Type)
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w: export it again", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in it: PEM is expected (-----BEGIN CERTIFICATE-----)")
	}
	return certs, nil
}

// decodePEM returns every block of text. pem.Decode passes over a block that
// it cannot read; a root that is left out in silence is a refused origin next
// month, so that is an error here.
func decodePEM(text []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	begins := bytes.Count(text, []byte("-----BEGIN "))
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) < begins {
		return nil, fmt.Errorf("%d of %d PEM blocks in it are damaged: export it again", begins-len(blocks), begins)
	}
	return blocks, nil
}

// maxFile is more than every bundle of roots in use.
const maxFile = 16 << 20

// readFile reads a regular file. The mode is that of the file that was read,
// not of whatever has the name a moment later.
func readFile(name string) ([]byte, os.FileMode, error) {
	// O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fileError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, fileError(err)
	}
	if !st.Mode().IsRegular() {
		return nil, 0, errors.New("is not a regular file: name the PEM file itself")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, 0, fileError(err)
	}
	if len(text) > maxFile {
		return nil, 0, fmt.Errorf("has more than %d MiB: is it the right file?", maxFile>>20)
	}
	return text, st.Mode().Perm(), nil
}

// fileError drops operation and path, which the caller's message has.
func fileError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: check the path", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: it must belong to the gateway's user", err)
	}
	return err
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
