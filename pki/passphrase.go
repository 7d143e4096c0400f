// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// passphraseName is the file beside ca.db, and credentialName that of systemd
// (LoadCredential=, systemd.exec(5)).
const (
	passphraseName = "passphrase"
	credentialName = "sallyport-passphrase"
)

// A Passphrase is what ca.db is sealed with, and where it was read.
type Passphrase struct {
	Text   []byte
	From   string // the file
	Beside bool   // it lies beside ca.db: backups are protected, a stolen disk is not
}

// ReadPassphrase reads file if that is not empty; else the credential that
// systemd has put into the directory credentials, if that is not empty and has
// one; else dir/passphrase. A file that others may read or write is ErrLoose,
// and so is dir. When there is none at all, the error is fs.ErrNotExist.
func ReadPassphrase(dir, file, credentials string) (Passphrase, error) {
	if file != "" {
		return readNamed(file, 0o077)
	}
	if credentials != "" {
		// systemd lets the service's user in by an access list, whose mask is
		// what shows as the group's bits.
		p, err := readNamed(filepath.Join(credentials, credentialName), 0o037)
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	root, err := openDir(dir)
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	defer root.Close()
	from := filepath.Join(dir, passphraseName)
	before, err := root.Lstat(passphraseName)
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	if !before.Mode().IsRegular() {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: it is a %v and not a regular file", from, before.Mode().Type())
	}
	f, err := root.Open(passphraseName)
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	defer f.Close()
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: it was replaced meanwhile: try again", from)
	}
	p, err := read(f, from, 0o077)
	p.Beside = true
	return p, err
}

// readNamed reads a file that the operator has named, through links if there
// are any: Kubernetes mounts secrets that way. What counts is the file itself.
func readNamed(path string, banned fs.FileMode) (Passphrase, error) {
	fi, err := os.Stat(path) // before opening: a named pipe would block
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("it is a %v and not a regular file", fi.Mode().Type())
	}
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase: %w", err)
	}
	defer f.Close()
	return read(f, path, banned)
}

func read(f *os.File, from string, banned fs.FileMode) (Passphrase, error) {
	fi, err := f.Stat()
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: %w", from, err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&banned != 0 {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: %w: run chmod 600 %s", from, ErrLoose, from)
	}
	const most = 4096
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: %w", from, err)
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) < 8 || len(b) > most {
		return Passphrase{}, fmt.Errorf("reading the passphrase %s: want 8 to %d bytes", from, most)
	}
	return Passphrase{Text: b, From: from}, nil
}

// NewPassphrase makes dir, 0700, if it is not there, and dir/passphrase, 0600,
// from 32 random bytes. It replaces none: fs.ErrExist.
func NewPassphrase(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a passphrase: %w", err)
	}
	root, err := openDir(dir)
	if err != nil {
		return fmt.Errorf("making a passphrase: %w", err)
	}
	defer root.Close()
	var b [32]byte
	rand.Read(b[:])
	temp := temporary(passphraseName)
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making a passphrase: %w", err)
	}
	defer root.Remove(temp)
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(b[:]) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("making a passphrase: %w", err)
	}
	if err := publish(root, temp, passphraseName); errors.Is(err, ErrExists) {
		return fmt.Errorf("making a passphrase: %s: %w", filepath.Join(dir, passphraseName), fs.ErrExist)
	} else if err != nil {
		return fmt.Errorf("making a passphrase: %w", err)
	}
	return nil
}

// temporary names a file that is not whole yet, so that it can be told from
// all others: see sweepFiles.
func temporary(name string) string { return name + ".new-" + rand.Text() }
