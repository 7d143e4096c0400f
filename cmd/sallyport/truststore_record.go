// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A trustRecord is what ca install has done, in the state directory: what ca
// uninstall undoes, and nothing else.
type trustRecord struct {
	dir     string // STATE/trust
	own     stamp
	Entries []trustEntry `json:"installed"`
}

// A trustEntry is a root in a store. It is written before the commands are run:
// one that is not there is no harm.
type trustEntry struct {
	Kind    string    `json:"store"`
	Where   string    `json:"where"`
	SHA256  string    `json:"sha256"`
	Subject string    `json:"subject"`
	Time    time.Time `json:"time"`
}

// openTrustRecord reads the record of a state directory; there need not be one.
func openTrustRecord(state string) (*trustRecord, error) {
	if state == "" {
		return nil, &exitError{exitUsage, errors.New("there is no state directory to remember it in; give one with --state")}
	}
	full, err := filepath.Abs(state)
	if err != nil {
		return nil, &exitError{exitFailed, err}
	}
	t := &trustRecord{dir: filepath.Join(full, "trust"), own: stamp{0o600, -1, -1}}
	if info, err := os.Stat(full); err == nil {
		t.own.uid, t.own.gid = owner(info)
	}
	b, err := os.ReadFile(t.path())
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err == nil {
		err = json.Unmarshal(b, t)
	}
	for _, e := range t.Entries {
		if sum, bad := hex.DecodeString(e.SHA256); bad != nil || len(sum) != sha256.Size || !filepath.IsAbs(e.Where) {
			err = errors.New("it names what ca install does not write")
		}
	}
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("what was installed cannot be read from %s: %w", t.path(), err)}
	}
	return t, nil
}

func (t *trustRecord) path() string { return filepath.Join(t.dir, "installed.json") }

// file is where a root is kept while it is installed.
func (t *trustRecord) file(sum string) string { return filepath.Join(t.dir, sum+".pem") }

func (t *trustRecord) find(kind, where, sum string) int {
	return slices.IndexFunc(t.Entries, func(e trustEntry) bool {
		return e.Kind == kind && e.Where == where && e.SHA256 == sum
	})
}

// put remembers that r was added to s.
func (t *trustRecord) put(s *trustStore, r trustedRoot) error {
	if t.find(s.kind, s.where, r.sum) >= 0 {
		return nil
	}
	t.Entries = append(t.Entries, trustEntry{s.kind, s.where, r.sum, r.cert.Subject.String(), time.Now().UTC().Truncate(time.Second)})
	return t.write()
}

// drop forgets an entry, and the root's file with the last of its entries.
func (t *trustRecord) drop(e trustEntry) error {
	t.Entries = slices.DeleteFunc(t.Entries, func(o trustEntry) bool { return o == e })
	if err := t.write(); err != nil {
		return err
	}
	if !slices.ContainsFunc(t.Entries, func(o trustEntry) bool { return o.SHA256 == e.SHA256 }) {
		if err := os.Remove(t.file(e.SHA256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(t.Entries) == 0 {
		if err := os.Remove(t.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_ = os.Remove(t.dir) // stays if somebody has put something there
	}
	return nil
}

func (t *trustRecord) write() error {
	b, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return t.save(t.path(), append(b, '\n'))
}

// keep writes the root's file, for the commands.
func (t *trustRecord) keep(r trustedRoot) error { return t.save(t.file(r.sum), r.pem()) }

// save writes a file of the record, as the owner of the state directory.
func (t *trustRecord) save(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(t.dir), 0o700); err != nil {
		return err
	}
	home, err := os.OpenRoot(filepath.Dir(t.dir)) // whoever owns it leads root nowhere
	if err != nil {
		return err
	}
	defer home.Close()
	if err := home.Mkdir("trust", 0o700); err == nil && t.own.uid >= 0 && os.Geteuid() == 0 {
		err = home.Lchown("trust", t.own.uid, t.own.gid)
		if err != nil {
			return err
		}
	} else if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := home.OpenRoot("trust")
	if err != nil {
		return err
	}
	defer dir.Close()
	return replaceIn(dir, filepath.Base(path), b, t.own)
}
