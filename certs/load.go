// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

const maxIssuer = 64 << 10 // bytes of a certificate

// load fetches p, or finds it on disk. It runs without s.mu.
func (s *Sources) load(p *place, dial dialFunc) (got fetched, err error) {
	u, err := checkURL(p.url)
	if err != nil {
		return got, err
	}
	got.at = time.Now()
	switch p.kind {
	case ocspPlace:
		got.said, err = s.askOCSP(p, dial, u)
	case issuerPlace:
		got.cert, err = s.fetchIssuer(dial, u)
	default:
		return s.loadCRL(p, dial, u)
	}
	return got, err
}

func (s *Sources) loadCRL(p *place, dial dialFunc, u *url.URL) (fetched, error) {
	s.mu.Lock()
	fresh := p.list == nil
	s.mu.Unlock()
	var kept fetched
	if fresh {
		if kept = s.kept(p); kept.list != nil && time.Now().Before(next(kept.at, kept.list.until)) {
			return kept, nil
		}
	}
	der, err := fetch(s.ctx, dial, u, nil, "", maxCRL)
	if err == nil {
		der = unarmour(der)
		var l *parsedCRL
		if l, err = readCRL(der, p.issuer); err == nil && kept.list != nil && l.older(kept.list) {
			err = fmt.Errorf("the CRL of %s is older than the one of %s that is known", date(l.from), date(kept.list.from))
		}
		if err == nil {
			return fetched{list: l, at: time.Now()}, s.keep(p, l, der)
		}
	}
	if kept.list != nil && time.Now().Before(kept.list.until) {
		kept.at = time.Now() // in half the time that is left it is tried again
		return kept, nil
	}
	return fetched{}, err
}

// file is where a CRL is kept. Its name says what it is of; what it says is
// believed for its signature.
func (s *Sources) file(p *place) string { return filepath.Join(s.Dir, p.key+".crl") }

// kept returns the CRL that is on disk, when it holds.
func (s *Sources) kept(p *place) fetched {
	if s.Dir == "" {
		return fetched{}
	}
	f, err := os.Stat(s.file(p))
	if err != nil || f.Size() > maxCRL {
		return fetched{}
	}
	der, _, err := readFile(s.file(p))
	if err != nil {
		return fetched{}
	}
	l, err := readCRL(der, p.issuer)
	if err != nil || !time.Now().Before(l.until) {
		return fetched{}
	}
	return fetched{list: l, at: f.ModTime()}
}

// keep writes a CRL to disk, unless it is older than what is known. That it
// cannot be written is told, and nothing else comes of it.
func (s *Sources) keep(p *place, l *parsedCRL, der []byte) error {
	s.mu.Lock()
	old := p.list != nil && l.older(p.list)
	s.mu.Unlock()
	if s.Dir == "" || old {
		return nil
	}
	if err := writeWhole(s.file(p), der); err != nil && s.Log != nil {
		s.Log(fmt.Sprintf("the CRL of %s is not kept in %s: %v", printable(p.url), s.Dir, err))
	}
	return nil
}

// writeWhole writes a file whole or not at all.
func writeWhole(name string, data []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".crl-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// prune removes CRLs that nobody has fetched for a month, and what a process that
// was killed has left.
func (s *Sources) prune(now time.Time) {
	if s.Dir == "" {
		return
	}
	for pattern, age := range map[string]time.Duration{"*.crl": 30 * 24 * time.Hour, ".crl-*": time.Hour} {
		files, _ := filepath.Glob(filepath.Join(s.Dir, pattern))
		for _, f := range files {
			if st, err := os.Lstat(f); err == nil && now.Sub(st.ModTime()) > age {
				os.Remove(f)
			}
		}
	}
}

// unarmour takes PEM off: some servers send it, against RFC 5280 §4.2.1.13.
func unarmour(der []byte) []byte {
	if b, _ := pem.Decode(der); b != nil {
		return b.Bytes
	}
	return der
}

// askOCSP asks by GET, which caches on the way answer (RFC 5019 §5), and by POST
// where that is not understood.
func (s *Sources) askOCSP(p *place, dial dialFunc, u *url.URL) (*answer, error) {
	question, err := ocsp.CreateRequest(p.cert, p.issuer, nil)
	if err != nil {
		return nil, errors.New("it cannot be asked about this certificate")
	}
	text := base64.StdEncoding.EncodeToString(question)
	get := *u
	get.Path = strings.TrimSuffix(u.Path, "/") + "/" + text
	get.RawPath = strings.TrimSuffix(u.EscapedPath(), "/") + "/" + url.PathEscape(text)
	der, err := fetch(s.ctx, dial, &get, nil, "", maxOCSP)
	if err != nil {
		der, err = fetch(s.ctx, dial, u, question, "application/ocsp-request", maxOCSP)
	}
	if err != nil {
		return nil, err
	}
	return readOCSP(der, p.cert, p.issuer, time.Now())
}

// fetchIssuer gets a certificate. Whoever wants it looks at whose it is.
func (s *Sources) fetchIssuer(dial dialFunc, u *url.URL) (*x509.Certificate, error) {
	der, err := fetch(s.ctx, dial, u, nil, "", maxIssuer)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(unarmour(der))
	if err != nil {
		return nil, errors.New("what is there is no certificate in DER")
	}
	return c, nil
}
