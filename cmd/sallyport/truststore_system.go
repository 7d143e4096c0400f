// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A distribution is how one keeps the roots of its own and its administrator's.
type distribution struct {
	anchors        string // where the administrator's are
	ext            string
	added, deleted []string
}

// distributions, by the directory that only they have.
var distributions = []distribution{
	// Fedora, RHEL.
	{"/etc/pki/ca-trust/source/anchors", ".pem", []string{"update-ca-trust", "extract"}, []string{"update-ca-trust", "extract"}},
	// Arch.
	{"/etc/ca-certificates/trust-source/anchors", ".crt", []string{"trust", "extract-compat"}, []string{"trust", "extract-compat"}},
	// openSUSE.
	{"/etc/pki/trust/anchors", ".pem", []string{"update-ca-certificates"}, []string{"update-ca-certificates"}},
	// Debian, Ubuntu, Alpine. Without --fresh the links to a root that has gone
	// stay behind.
	{"/usr/local/share/ca-certificates", ".crt", []string{"update-ca-certificates"}, []string{"update-ca-certificates", "--fresh"}},
}

// findSystem returns the system's store below root, which is "" but for tests;
// nil when it is of a kind that is not known.
func findSystem(root string) *trustStore {
	for _, d := range distributions {
		if info, err := os.Stat(root + d.anchors); err == nil && info.IsDir() {
			return systemStore(root+d.anchors, d)
		}
	}
	return nil
}

func systemStore(where string, d distribution) *trustStore {
	file := func(r trustedRoot) string { return filepath.Join(where, r.name()+d.ext) }
	return &trustStore{
		kind: "system", where: where, root: true,
		has: func(_ context.Context, r trustedRoot) (bool, error) {
			text, err := os.ReadFile(file(r))
			if errors.Is(err, fs.ErrNotExist) {
				return false, nil
			}
			return err == nil && r.isRoot(text), err
		},
		add:   func(r trustedRoot) [][]string { return [][]string{{"install", "-m", "0644", r.file, file(r)}} },
		del:   func(r trustedRoot) [][]string { return [][]string{{"rm", "-f", file(r)}} },
		added: [][]string{d.added}, deleted: [][]string{d.deleted},
	}
}
