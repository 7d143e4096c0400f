// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/identity"
)

// An identityFile is read anew when it changes. What cannot be read leaves what
// was there (law 8): of each file by itself, so that a broken list of groups does
// not keep a user who was taken out.
type identityFile struct {
	what string // for people
	path string
	load func(text []byte) (warnings []string, err error)
	sum  [32]byte // of what was loaded
	told string   // what was last told of a content that does not load
}

// maxIdentityFile is the most that is read of one.
const maxIdentityFile = 32 << 20

// plan lists the files, in the order in which they are loaded.
func (i *identities) plan() {
	add := func(what, path string, load func([]byte) ([]string, error)) {
		if path != "" {
			i.files = append(i.files, &identityFile{what: what, path: path, load: load})
		}
	}
	add("passwords", i.o.htpasswd, func(text []byte) (warnings []string, err error) {
		p, warnings, err := identity.ReadPasswords(i.o.htpasswd, text)
		if err == nil {
			i.sources.Passwords = p
		}
		return warnings, err
	})
	add("groups", i.o.groups, func(text []byte) (_ []string, err error) {
		g, err := identity.ReadGroups(i.o.groups, text)
		if err == nil {
			i.sources.Groups = g
		}
		return nil, err
	})
	add("keys of tokens", i.o.jwks, func(text []byte) (_ []string, err error) {
		t, err := identity.ReadTokens(i.o.jwks, text, i.o.jwt)
		if err == nil {
			i.sources.Tokens = t
		}
		return nil, err
	})
	for _, a := range i.cas {
		if a.Own {
			continue
		}
		var roots atomic.Pointer[[]*x509.Certificate]
		a.Roots = func() []*x509.Certificate { return *roots.Load() }
		add("CA of clients", a.Name, func(text []byte) (_ []string, err error) {
			certs, err := readAuthority(a.Name, text)
			if err == nil {
				roots.Store(&certs)
			}
			return nil, err
		})
	}
	for k, path := range i.o.clientCRLs {
		add("revocation list", path, func(text []byte) (warnings []string, err error) {
			lists, err := identity.ReadCRLs(path, text)
			if err != nil {
				return nil, err
			}
			i.crls[k] = lists
			for _, name := range lists.Stale(time.Now()) {
				warnings = append(warnings, name+": the list is out of date: certificates of its issuer are refused until it is renewed")
			}
			return warnings, nil
		})
	}
	i.crls = make([]*identity.CRLs, len(i.o.clientCRLs))
}

// read loads f if it says something else than before.
func (i *identities) read(f *identityFile) error {
	text, err := readWhole(f.path)
	if err != nil {
		return fmt.Errorf("the %s cannot be read: %w", f.what, err)
	}
	sum := sha256.Sum256(text)
	if sum == f.sum {
		f.told = ""
		return errSame
	}
	warnings, err := f.load(text)
	if err != nil {
		return fmt.Errorf("the %s are not loaded: %w", f.what, err)
	}
	f.sum, f.told = sum, ""
	for _, w := range warnings {
		i.logger.Warn().Msg(w)
	}
	return nil
}

var errSame = errors.New("nothing has changed")

// readWhole reads a regular file.
func readWhole(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("everybody on this machine can write to %s, and say who clients are: chmod o-w %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err == nil && len(text) > maxIdentityFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxIdentityFile)
	}
	return text, err
}

// readAuthority reads the certificates of a CA.
func readAuthority(name string, text []byte) (certs []*x509.Certificate, err error) {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return nil, fmt.Errorf("%s holds a private key: give the CA's certificate alone", name)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("%s: %q is not the certificate of a CA", name, c.Subject)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s has no certificate (PEM)", name)
	}
	return certs, nil
}

// use puts what was loaded into force, at once.
func (i *identities) use() error {
	i.sources.Certificates = nil
	if len(i.cas) > 0 {
		var crls *identity.CRLs
		for _, c := range i.crls {
			crls = crls.With(c)
		}
		c, err := identity.NewCertificates(i.cas, crls)
		if err != nil {
			return err
		}
		i.sources.Certificates = c
	}
	i.prover.Use(i.sources)
	return nil
}

// Paths are the files that are read.
func (i *identities) paths() (paths []string) {
	for _, f := range i.files {
		paths = append(paths, f.path)
	}
	return paths
}

// again reads the files anew, and ends the tunnels of those who are not let in
// any more.
func (i *identities) again(server *gateway.Server, why string) {
	if i.reload(why) {
		server.Recheck()
	}
}

// reload reads the files anew, and reports whether anything has changed. It is
// called by one goroutine at a time.
func (i *identities) reload(why string) (changed bool) {
	for _, f := range i.files {
		switch err := i.read(f); {
		case err == nil:
			changed = true
			i.logger.Info().Str("trigger", why).Str("file", f.path).Msgf("the %s were read anew", f.what)
		case err == errSame:
		case err.Error() != f.told || why == "SIGHUP":
			f.told = err.Error()
			e := i.logger.Error().Str("trigger", why).Str("file", f.path).Str("error", err.Error())
			if errors.Is(err, fs.ErrNotExist) {
				e.Msgf("the file of the %s is gone: what it said is kept, so nobody is locked out; give an empty file for nobody", f.what)
			} else {
				e.Msgf("the %s are wrong: what was there is kept", f.what)
			}
		}
	}
	if !changed {
		return false
	}
	if err := i.use(); err != nil {
		i.logger.Error().Str("error", err.Error()).Msg("who clients are is found out as before")
		return false
	}
	return true
}
