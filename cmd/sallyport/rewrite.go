// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxEdited bounds the files that commands change; policies and lists are
// smaller.
const maxEdited = 256 << 20

// readEdited reads a file that is to be changed, or shown as it would be.
func readEdited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxEdited+1))
	if err == nil && len(src) > maxEdited {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxEdited>>20)
	}
	return src, err
}

// rewriteFile gives the file at path, or the one a link there leads to, the
// content after. Whoever reads it meanwhile, and whatever happens, finds the
// content before or after, whole. A file that does not say before any more is
// left alone.
func rewriteFile(path string, before, after []byte) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("writing %s: it is not a regular file", path)
	}
	temp, err := os.CreateTemp(filepath.Dir(real), "."+filepath.Base(real)+".*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) // in vain once it is renamed
	defer temp.Close()
	_, err = temp.Write(after)
	if err == nil {
		err = likeFile(temp, info)
	}
	if err == nil {
		err = temp.Sync()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	now, err := os.ReadFile(real)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, before) {
		return fmt.Errorf("writing %s: it was changed by somebody else meanwhile; run the command again", path)
	}
	if err := os.Rename(temp.Name(), real); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	dir, err := os.Open(filepath.Dir(real))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// likeFile gives f the owner and mode of another file.
func likeFile(f *os.File, other os.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid := ownerOf(other)
	if u, g := ownerOf(info); u != uid || g != gid {
		if err := f.Chown(uid, gid); err != nil {
			return fmt.Errorf("its owner cannot be kept; run the command as that user: %w", err)
		}
	}
	return f.Chmod(other.Mode())
}
