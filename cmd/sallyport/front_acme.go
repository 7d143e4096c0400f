// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"

	"sallyport/certs"
	"sallyport/pki"
	"sallyport/tunnel"
)

// openACME says where the certificates for --tls-name come from: from the
// gateway's own CA, by ACME in this process, or from --acme-directory. What is
// obtained is sealed beside the CA's own keys either way.
func (f *front) openACME(names *tunnel.Names) error {
	f.keeper.ACME = &certs.ACME{Secrets: sealed{f.ca.Secrets()}, Contact: f.o.contact}
	if f.o.directory != "" {
		f.keeper.Names = f.o.names
		if err := f.openAuthority(names); err != nil || !f.serve.serve {
			return err
		}
	}
	// Addresses, and names without a dot, are in the fallback only.
	var obtained []string
	for _, name := range f.o.names {
		if obtainable(name) {
			obtained = append(obtained, name)
		}
	}
	o := pki.ACMEOptions{Names: obtained, Life: f.life(), Own: f.keeper.Dial}
	err := f.serve.fill(&o, names)
	if err == nil {
		f.server, err = f.ca.ACME(o)
	}
	if err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("--tls-name: %w", err)}
	}
	if f.serve.serve && len(obtained) == 0 {
		return &exitError{code: exitUsage, err: errors.New("--acme-serve: give a --tls-name with a dot in it, under which the server is asked")}
	}
	if f.o.directory != "" {
		return nil
	}
	f.keeper.Names = obtained
	f.keeper.ACME.Directory, f.keeper.ACME.Transport = f.server.Directory(), f.server.Transport()
	return nil
}

// obtainable is whether a certificate for name can be had by ACME.
func obtainable(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && strings.Contains(strings.TrimSuffix(name, "."), ".")
}

// openAuthority is about an authority somewhere else.
func (f *front) openAuthority(names *tunnel.Names) error {
	u, err := url.Parse(f.o.directory)
	if err != nil {
		return err
	}
	p := certs.Profile{Name: "acme-directory"}
	if f.o.root != "" {
		p.Roots = []string{f.o.root}
	}
	trust, err := p.Load()
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	// SECURITY: every address is permitted, because it is the operator who has named
	// the authority, which may well be in the private network. oneHost sees to it
	// that nothing else is reached, and trust that it is the one that was meant.
	dialer := tunnel.Dialer{Names: names, Permit: func(netip.AddrPort) error { return nil }}
	f.keeper.ACME.Directory = f.o.directory
	f.keeper.ACME.Transport = oneHost{host: u.Host, to: &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: trust.Config(u.Hostname()),
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 2,
	}}
	if f.o.kid == "" {
		return nil
	}
	f.keeper.ACME.KID = f.o.kid
	if f.keeper.ACME.Key, err = readMACKey(f.o.keyFile); err != nil {
		return &exitError{code: exitUsage, err: fmt.Errorf("--acme-eab-key-file %s: %w", f.o.keyFile, err)}
	}
	return nil
}

// oneHost asks nobody but host: an authority's answers are full of URLs, and
// its redirects as well.
type oneHost struct {
	host string
	to   http.RoundTripper
}

func (h oneHost) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != h.host {
		return nil, fmt.Errorf("the authority refers to %s, and is asked at https://%s only", r.URL.Redacted(), h.host)
	}
	return h.to.RoundTrip(r)
}

// readMACKey reads the key of an external account binding (RFC 8555 §7.3.4) as
// authorities hand it out. It must be nobody else's to read, and no error has
// anything of it.
func readMACKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fmt.Errorf("others than its owner can use it (mode %04o): chmod 600 %s", info.Mode().Perm(), file)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, err
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) < 16 {
		return nil, errors.New("want a key of 16 bytes or more in base64url, as the authority has handed it out")
	}
	return key, nil
}

// sealed is the CA's store of secrets as certs wants it.
type sealed struct{ pki.Secrets }

func (s sealed) Get(ctx context.Context, name string) ([]byte, error) {
	secret, err := s.Secrets.Get(ctx, name)
	if errors.Is(err, pki.ErrNoSecret) {
		return nil, fs.ErrNotExist
	}
	return secret, err
}
