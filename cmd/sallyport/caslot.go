// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport/pki"
	"sallyport/policy"
)

// A caSlot is the place of a CA in a state directory, and the CA once it is
// open. It may be used by many at once.
type caSlot struct {
	state          string
	passphraseFile string // "": a systemd credential, or the file beside ca.db
	log            func(format string, a ...any)
	wait           time.Duration // for another process to close it; zero: a quarter of a second

	mu         sync.Mutex
	ca         *pki.CA
	passphrase pki.Passphrase // without its text
}

// dir is where the CA is, by the same name for a gateway and for a command.
func (s *caSlot) dir() string {
	dir := filepath.Join(s.state, "ca")
	if full, err := filepath.Abs(dir); err == nil {
		return full
	}
	return dir
}

// exists reports whether there is a CA, of whatever use it may be.
func (s *caSlot) exists() bool {
	_, err := os.Lstat(filepath.Join(s.dir(), "ca.db"))
	return err == nil
}

// get opens the CA unless it is open.
func (s *caSlot) get() (*pki.CA, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ca != nil {
		return s.ca, nil
	}
	if !s.exists() {
		return nil, &exitError{exitNegative, fmt.Errorf("there is no CA in the state directory %s; sallyport ca init makes one", filepath.Dir(s.dir()))}
	}
	p, err := s.read()
	if err != nil {
		return nil, err
	}
	defer clear(p.Text)
	ca, err := pki.Open(s.dir(), p.Text, pki.Options{Log: s.log, Wait: s.wait})
	switch {
	case errors.Is(err, pki.ErrLocked):
		return nil, fmt.Errorf("%w: a gateway that starts or stops, or another command; try again when it is done", err)
	case errors.Is(err, pki.ErrPassphrase):
		return nil, fmt.Errorf("%w: %s; give the right file with --passphrase-file", err, p.From)
	case err != nil:
		return nil, err
	}
	s.ca, s.passphrase = ca, pki.Passphrase{From: p.From, Beside: p.Beside}
	return ca, nil
}

// delegate makes a certificate to be shown to origins in a user's name, for
// gateway.Server.
func (s *caSlot) delegate(who policy.Subject) (*tls.Certificate, error) {
	ca, err := s.get()
	if err != nil {
		return nil, err
	}
	return ca.Minter(pki.Delegated).User(pki.Delegation{User: who.User, Email: who.Email, Unit: who.Unit, Path: who.Path, Life: who.TTL})
}

// missing is what it takes to mint, if f is about that; "": nothing.
func (s *caSlot) missing(f policy.Fact) string {
	what := map[policy.Fact]string{
		policy.FactCA:        "have clients trust its edge root (sallyport ca root)",
		policy.FactDelegated: "have origins trust its identity root (sallyport ca root --domain identity)",
	}[f]
	if what == "" || s.exists() {
		return ""
	}
	return "make a CA by sallyport ca init --state " + s.state + ", and " + what
}

// opened is the CA if it is open.
func (s *caSlot) opened() *pki.CA {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ca
}

// read reads the passphrase.
func (s *caSlot) read() (pki.Passphrase, error) {
	p, err := pki.ReadPassphrase(s.dir(), s.passphraseFile, os.Getenv("CREDENTIALS_DIRECTORY"))
	if errors.Is(err, fs.ErrNotExist) && s.passphraseFile == "" {
		err = fmt.Errorf("there is no passphrase to open the CA with: give its file with --passphrase-file, as the systemd credential sallyport-passphrase, or as %s", filepath.Join(s.dir(), "passphrase"))
	}
	return p, err
}

// init makes a CA, and a passphrase for it when none was given.
func (s *caSlot) init(settings pki.Settings) error {
	if s.exists() {
		return fmt.Errorf("making a CA in %s: %w", s.dir(), pki.ErrExists)
	}
	p, err := pki.ReadPassphrase(s.dir(), s.passphraseFile, os.Getenv("CREDENTIALS_DIRECTORY"))
	if errors.Is(err, fs.ErrNotExist) && s.passphraseFile == "" {
		if err = pki.NewPassphrase(s.dir()); err == nil || errors.Is(err, fs.ErrExist) {
			p, err = s.read()
		}
	}
	if err != nil {
		return err
	}
	defer clear(p.Text)
	return errors.Join(pki.Init(s.dir(), p.Text, settings), s.own())
}

// own gives what root has made to whom the state directory belongs: the
// gateway has to open it.
func (s *caSlot) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	root, err := os.OpenRoot(s.state)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	uid, gid := owner(info)
	if uid <= 0 {
		return nil
	}
	return fs.WalkDir(root.FS(), "ca", func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(name, uid, gid)
	})
}

// close closes the CA if it is open.
func (s *caSlot) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ca == nil {
		return nil
	}
	ca := s.ca
	s.ca = nil
	return ca.Close()
}
