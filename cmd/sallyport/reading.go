// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"time"

	"sallyport/policy"
)

// A reading keeps what a policy is read from: every file once, so that a file
// that changes meanwhile is not seen in two states, and so that exactly what
// was decided upon can be kept.
type reading struct {
	files map[string]*readFile // by absolute path
	order []string
}

type readFile struct {
	src     []byte
	size    int64
	sum     [32]byte
	changed time.Time
	err     error
}

// read is a policy.Reader.
func (r *reading) read(path string, limit int64) ([]byte, time.Time, error) {
	f := r.files[path]
	if f == nil {
		f = &readFile{}
		if f.src, f.changed, f.err = policy.ReadFile(path, limit); f.err == nil {
			f.size, f.sum = int64(len(f.src)), sha256.Sum256(f.src)
		}
		r.add(path, f)
	}
	return f.src, f.changed, f.err
}

// put makes src what is read at path.
func (r *reading) put(path string, src []byte) {
	r.add(path, &readFile{src: src, size: int64(len(src)), sum: sha256.Sum256(src), changed: time.Now()})
}

func (r *reading) add(path string, f *readFile) {
	if r.files == nil {
		r.files = make(map[string]*readFile)
	}
	r.files[path] = f
	r.order = append(r.order, path)
}

// sum is the SHA-256 of what was read at path, in hex; "" when nothing was.
func (r *reading) sum(path string) string {
	if f := r.files[path]; f != nil && f.err == nil {
		return hex.EncodeToString(f.sum[:])
	}
	return ""
}

// paths are the files that were asked for, also those that could not be read.
func (r *reading) paths() []string { return slices.Clone(r.order) }

// forget lets go of the contents.
func (r *reading) forget() {
	for _, f := range r.files {
		f.src = nil
	}
}

// overtaken reports whether a file is not what it was when it was read, by
// its size and time.
func (r *reading) overtaken() bool {
	for path, f := range r.files {
		info, err := os.Stat(path)
		switch {
		case f.err != nil && err != nil: // still not there
		case f.err != nil || err != nil:
			return true
		case info.Size() != f.size || !info.ModTime().Equal(f.changed):
			return true
		}
	}
	return false
}
