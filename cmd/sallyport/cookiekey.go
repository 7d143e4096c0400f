// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"sallyport/gateway/reconcile"
)

// cookieKey is the key that clients' cookies are sealed with, STATE/cookies.key, made
// when there is none. Where it cannot be had the gateway serves with another, which ends
// with it: then clients without TLS have to log in again after a restart.
func cookieKey(state string, logger *zerolog.Logger) reconcile.Key {
	if state == "" {
		return reconcile.NewKey()
	}
	path := filepath.Join(state, "cookies.key")
	key, err := readCookieKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeCookieKey(path); err == nil {
			key, err = readCookieKey(path)
		}
	}
	if err != nil {
		logger.Warn().Str("error", fmt.Sprintf("%s: %v; remove it, and a new one is made at the next start", path, err)).
			Msg("sessions of clients without TLS will not outlast this gateway")
		return reconcile.NewKey()
	}
	return key
}

// readCookieKey reads the one line that only its owner can read, as a secret is.
func readCookieKey(path string) (reconcile.Key, error) {
	if _, err := os.Lstat(path); err != nil {
		return nil, pathless(err)
	}
	line, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(line)
	if err != nil || len(key) != reconcile.KeySize {
		return nil, fmt.Errorf("it is not a key: %d hexadecimal digits", 2*reconcile.KeySize)
	}
	return key, nil
}

// makeCookieKey makes a key, unless another gateway has made one meanwhile.
func makeCookieKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return pathless(err)
	}
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return pathless(err)
	}
	defer dir.Close()
	temp := tempPrefix(path) + rand.Text()
	f, err := dir.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return pathless(err)
	}
	defer dir.Remove(temp)
	if err := fill(f, []byte(hex.EncodeToString(reconcile.NewKey())+"\n"), stamp{0o600, -1, -1}); err != nil {
		return pathless(err)
	}
	if err := dir.Link(temp, filepath.Base(path)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}
