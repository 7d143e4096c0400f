// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// nssPlaces are where browsers keep NSS databases below a home directory.
var nssPlaces = []string{
	".pki/nssdb", // Chromium, Chrome
	".mozilla/firefox/*",
	".config/mozilla/firefox/*",
	"snap/firefox/common/.mozilla/firefox/*",
	"snap/*/current/.pki/nssdb",
	".var/app/*/.mozilla/firefox/*", // flatpak
	".var/app/*/config/mozilla/firefox/*",
	".var/app/*/data/pki/nssdb",
	".var/app/*/.pki/nssdb",
}

// findNSS returns the NSS databases below home, each once.
func findNSS(home string) (stores []*trustStore) {
	var seen []string
	for _, place := range nssPlaces {
		dirs, _ := filepath.Glob(filepath.Join(globEscape(home), place)) // the patterns are good
		for _, dir := range dirs {
			real, err := filepath.EvalSymlinks(dir)
			if err != nil || slices.Contains(seen, real) {
				continue
			}
			if info, err := os.Stat(filepath.Join(real, "cert9.db")); err != nil || !info.Mode().IsRegular() {
				continue
			}
			seen = append(seen, real)
			stores = append(stores, nssStore(real))
		}
	}
	return stores
}

// globEscape is a path in which no character is a pattern.
func globEscape(path string) string {
	var b []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}

func nssStore(dir string) *trustStore {
	db := "sql:" + dir
	return &trustStore{
		kind: "nss", where: dir,
		has: func(ctx context.Context, r trustedRoot) (bool, error) {
			// It fails when there is none of that name; why it fails is not told.
			text, err := runQuietly(ctx, []string{"certutil", "-L", "-d", db, "-n", r.name(), "-a"})
			return err == nil && r.isRoot(text), nil
		},
		add: func(r trustedRoot) [][]string {
			return [][]string{{"certutil", "-A", "-d", db, "-t", "C,,", "-n", r.name(), "-i", r.file}}
		},
		del: func(r trustedRoot) [][]string { return [][]string{{"certutil", "-D", "-d", db, "-n", r.name()}} },
	}
}
