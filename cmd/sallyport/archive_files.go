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
	"time"
)

func (a *archive) path(names ...string) string {
	return filepath.Join(append([]string{a.dir}, names...)...)
}

// lock keeps other processes from writing until unlock is called.
func (a *archive) lock() (unlock func(), err error) {
	f, err := a.open("lock", os.O_RDWR)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		ok, err := tryLock(f)
		switch {
		case ok:
			return func() { f.Close() }, nil
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
		case time.Now().After(end):
			f.Close()
			return nil, fmt.Errorf("another process has had %s locked for %s; end it", f.Name(), lockPatience)
		}
	}
}

// lockPatience is how long the lock is waited for. It is held for as long as
// it takes to write a few files.
const lockPatience = 10 * time.Second

// locked calls do with the archive locked.
func (a *archive) locked(do func() error) error {
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// open opens a file of the archive's own, and makes it.
func (a *archive) open(name string, flag int) (*os.File, error) {
	f, err := a.root.OpenFile(name, flag|os.O_CREATE|os.O_EXCL, a.own.mode)
	if errors.Is(err, fs.ErrExist) {
		return a.root.OpenFile(name, flag|os.O_CREATE, a.own.mode)
	}
	if err == nil && a.own.uid >= 0 {
		if err = f.Chown(a.own.uid, a.own.gid); err != nil {
			f.Close()
		}
	}
	return f, err
}

// replace gives a file of the archive another content, whole.
func (a *archive) replace(name string, src []byte) error {
	dir, err := a.root.OpenRoot(filepath.Dir(name))
	if err == nil {
		defer dir.Close()
		err = replaceIn(dir, filepath.Base(name), src, a.own)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", a.path(name), err)
	}
	return nil
}

// list are the files in a directory of the archive.
func (a *archive) list(dir string) ([]os.DirEntry, error) {
	d, err := a.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// keepObject stores src by its hash, and mends what is stored there if it is
// something else.
func (a *archive) keepObject(sum string, src []byte) error {
	if _, err := a.object(sum); err == nil {
		return nil
	}
	return a.replace(filepath.Join("objects", sum), src)
}

// object returns what was stored under sum.
func (a *archive) object(sum string) ([]byte, error) {
	name := filepath.Join("objects", filepath.Base(sum))
	src, err := a.root.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(src); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("%s is damaged: it does not have the hash it is named by", a.path(name))
	}
	return src, nil
}

func (a *archive) write(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return a.replace(name, append(b, '\n'))
}

// readJSON reads a file of the archive. It reports false when there is none.
func (a *archive) readJSON(name string, v any) (bool, error) {
	b, err := a.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", a.path(name), err)
	}
	return true, nil
}
