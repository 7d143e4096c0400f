// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Reader returns the content of a file that a policy names, and when it was
// last changed. The path is absolute; what is larger than limit bytes is an
// error. The content is not modified by whoever gets it. Calls come one after
// another, a file is asked for once or more.
type Reader func(path string, limit int64) (src []byte, changed time.Time, err error)

// ReadFile is the Reader of the file system. It reads regular files only: a
// pipe would keep a reload waiting.
func ReadFile(path string, limit int64) ([]byte, time.Time, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	var src bytes.Buffer
	src.Grow(int(min(info.Size(), limit)) + bytes.MinRead + 1)
	_, err = src.ReadFrom(io.LimitReader(f, limit+1))
	if err == nil && int64(src.Len()) > limit {
		err = fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	return src.Bytes(), info.ModTime(), nil
}

// LoadWith is Load with every file read through read: the policy at path, the
// absolute form of which read is asked for, and what it names, relative to its
// directory. So a policy can be loaded as it was, or as it would be.
func LoadWith(path string, read Reader) (*Policy, error) {
	return Loader{Read: read}.Load(path)
}

// A Loader loads policies. The zero Loader does what Load does.
type Loader struct {
	Read Reader // nil: ReadFile

	// ListCache is the directory where lists of more than 100,000 names are
	// kept compiled, to be mapped into memory the next time. It is made when
	// it is needed, and what has not been used for a month is removed from it.
	// "": they are compiled each time.
	ListCache string

	untested func(*Policy) // is told of a policy whose tests fail, to look at; nil: nobody is
}

// Load is LoadWith, with l's settings.
func (l Loader) Load(path string) (*Policy, error) {
	if l.Read == nil {
		l.Read = ReadFile
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	src, _, err := l.Read(full, maxFile)
	if err != nil {
		return nil, unreadable(path, err)
	}
	p, _, err := l.load(path, src, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	p.files = append([]string{full}, p.files...)
	return p, nil
}
