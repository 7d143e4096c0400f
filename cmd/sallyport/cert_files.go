// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/certs/inspect"
	"sallyport/policy"
)

// fromFiles adds what the policy and the state directory have in files.
func (g *certGather) fromFiles(l *certListing) {
	warn := func(err error) {
		if err != nil {
			l.Warnings = append(l.Warnings, err.Error())
		}
	}
	for _, f := range g.clientCAs {
		es, err := fileEntries(kindClientCA, f, l.Time)
		warn(err)
		l.Certificates = append(l.Certificates, es...)
		l.files = append(l.files, f)
	}
	p, err := g.thePolicy()
	warn(err)
	used := make(map[string]bool)
	if p != nil {
		l.files = append(l.files, p.Files()...)
		g.ofOrigins(l, p, used, warn)
	}
	secrets := filepath.Join(g.state, "secrets")
	entries, err := os.ReadDir(secrets)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		warn(fmt.Errorf("the secrets cannot be read: %w", err))
	}
	for _, e := range entries {
		f := filepath.Join(secrets, e.Name())
		if filepath.Ext(f) != ".pem" || used[f] {
			continue
		}
		l.files = append(l.files, f)
		es, err := leafEntry(certEntry{Kind: kindOrigin, Name: strings.TrimSuffix(e.Name(), ".pem"), Where: "unused " + f}, f, "", l.Time)
		warn(err)
		l.Certificates = append(l.Certificates, es...)
	}
}

// thePolicy is the one given, or the one in force; nil: there is none in a file.
func (g *certGather) thePolicy() (*policy.Policy, error) {
	path := g.policy
	if path == "" {
		if _, err := os.Stat(filepath.Join(g.state, "policy")); err != nil {
			return nil, nil
		}
		a, err := openArchive(g.state)
		if err != nil {
			return nil, err
		}
		now, ok, err := a.inForce()
		if err != nil || !ok || now.Policy == "" {
			return nil, err
		}
		path = now.Policy
	}
	p, err := policy.Load(path)
	if err != nil {
		return nil, fmt.Errorf("the policy %s does not load; sallyport policy check tells why", path)
	}
	return p, nil
}

// ofOrigins adds client certificates, roots and pins of origin profiles.
func (g *certGather) ofOrigins(l *certListing, p *policy.Policy, used map[string]bool, warn func(error)) {
	rules := make(map[*policy.Origin][]string)
	for _, r := range p.Rules {
		if r.Origin != nil {
			rules[r.Origin] = append(rules[r.Origin], r.Name)
		}
	}
	byFile := make(map[string]int)    // client certificates that several profiles show
	rootFiles := make(map[string]int) // place of the first of their entries
	for _, o := range p.Origins {
		if f, password := g.clientFile(o); f != "" {
			used[f] = true
			if i, ok := byFile[f]; ok {
				l.Certificates[i].Origins = append(l.Certificates[i].Origins, o.Name)
				l.Certificates[i].Rules = append(l.Certificates[i].Rules, rules[o]...)
			} else {
				e := certEntry{Kind: kindOrigin, Name: o.ClientCert.Secret, Where: f, Origins: []string{o.Name}, Rules: rules[o]}
				es, err := leafEntry(e, f, password, l.Time)
				warn(err)
				byFile[f] = len(l.Certificates)
				l.Certificates = append(l.Certificates, es...)
				l.files = append(l.files, f)
			}
		}
		var known []*x509.Certificate
		for _, f := range o.Roots {
			cs, err := certsOf(f, "")
			warn(err)
			known = append(known, cs...)
			if _, ok := rootFiles[f]; !ok && len(cs) <= maxOriginRoots {
				rootFiles[f] = len(l.Certificates)
				l.files = append(l.files, f)
				for _, c := range cs {
					l.Certificates = append(l.Certificates, certEntry{Kind: kindOriginRoot, Where: f, Origins: []string{o.Name}, Rules: rules[o]}.fill(c, l.Time))
				}
			}
		}
		if len(o.Roots) == 0 && len(o.Pins) > 0 {
			known = systemRoots()
		}
		for _, pin := range o.Pins {
			l.Certificates = append(l.Certificates, pinEntry(pin, o.Name, rules[o], known, l.Time))
		}
	}
}

// maxOriginRoots is how many roots of one file are listed: a bundle of the
// system's is nobody's own.
const maxOriginRoots = 50

// clientFile is where an origin profile's client certificate is, and where the
// password of that is, if it has one.
func (g *certGather) clientFile(o *policy.Origin) (file, password string) {
	if o.ClientCert == nil || o.ClientCert.Minted {
		return "", ""
	}
	cert, _, p12, password := clientFiles(g.state, o.ClientCert)
	return cert + p12, password
}

// pinEntry finds whose key a pin is. It is good for as long as the last of
// those is.
func pinEntry(pin [32]byte, origin string, rules []string, known []*x509.Certificate, now time.Time) certEntry {
	text := "sha256//" + base64.StdEncoding.EncodeToString(pin[:])
	e := certEntry{Kind: kindPin, Name: text, Pin: text, Origins: []string{origin}, Rules: rules}
	for _, c := range known {
		if sha256.Sum256(c.RawSubjectPublicKeyInfo) != pin {
			continue
		}
		d := inspect.Describe(c, now)
		if name := d.Name(); !slices.Contains(e.Matches, name) {
			e.Matches = append(e.Matches, name)
		}
		if c.NotAfter.After(e.NotAfter) {
			e.NotBefore, e.NotAfter, e.State, e.Left, e.Serial, e.SHA256 = d.NotBefore, d.NotAfter, d.State, d.Left, d.Serial, d.SHA256
		}
	}
	return e
}

// systemRoots are the system's roots as far as they are in one of the usual files.
func systemRoots() []*x509.Certificate {
	files := []string{
		os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
	for _, f := range files {
		if cs, err := certsOf(f, ""); f != "" && err == nil {
			return cs
		}
	}
	return nil
}

// certsOf are the certificates of a file, of which there has to be one. Its
// password is in the file named; "": it has none.
func certsOf(file, password string) ([]*x509.Certificate, error) {
	data, err := readAnyFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s %w", line(file), err)
	}
	secret, err := passwordIn(password)
	if err != nil {
		return nil, fmt.Errorf("%s: its password %s %w", line(file), line(password), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := inspect.Read(ctx, data, secret)
	clear(data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s", line(file), line(err.Error()))
	case len(c.Damaged) > 0:
		return nil, fmt.Errorf("%s: %s", line(file), line(c.Damaged[0]))
	case len(c.Certificates) == 0:
		return nil, fmt.Errorf("%s: there is no certificate in it", line(file))
	}
	return c.Certificates, nil
}

// fileEntries are all certificates of a file.
func fileEntries(kind, file string, now time.Time) (es []certEntry, err error) {
	cs, err := certsOf(file, "")
	for _, c := range cs {
		es = append(es, certEntry{Kind: kind, Where: file}.fill(c, now))
	}
	return es, err
}

// leafEntry is e, of the first certificate of a file; one that cannot be read is
// listed with the reason.
func leafEntry(e certEntry, file, password string, now time.Time) ([]certEntry, error) {
	cs, err := certsOf(file, password)
	if err != nil {
		e.Error = err.Error()
		return []certEntry{e}, err
	}
	return []certEntry{e.fill(cs[0], now)}, nil
}

// parsePEM reads certificates that were written by us.
func parsePEM(text string) []*x509.Certificate {
	c, err := inspect.Read(context.Background(), []byte(text), nil)
	if err != nil {
		return nil
	}
	return c.Certificates
}
