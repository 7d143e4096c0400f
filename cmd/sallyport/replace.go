// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// step is called between the steps of every change to a file, and of a reload.
// The process may end at each of them, and tests make it end or wait there.
var step = func(string) {}

// ownFiles begins the names of files that sallyport puts beside a policy file.
// Nothing that is in force is read from them.
const ownFiles = ".sallyport-"

// tempPrefix begins the names of the files that are to become path.
func tempPrefix(path string) string { return ownFiles + "new-" + filepath.Base(path) + "-" }

// A stamp is who may do what with a file.
type stamp struct {
	mode     fs.FileMode
	uid, gid int // -1: as it comes
}

func stampOf(info fs.FileInfo) stamp {
	uid, gid := owner(info)
	return stamp{info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky), uid, gid}
}

// replaceFile gives the file at path, which is no link, the content src: whoever
// reads it, and whatever happens meanwhile, finds the old content or the new
// one, whole. When it returns nil, that outlasts a loss of power.
func replaceFile(path string, src []byte, s stamp) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	defer dir.Close()
	if err := replaceIn(dir, filepath.Base(path), src, s); err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	return nil
}

// replaceIn is replaceFile in a directory.
func replaceIn(dir *os.Root, name string, src []byte, s stamp) error {
	temp := tempPrefix(name) + rand.Text()
	f, err := dir.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	step("temporary file made")
	if err = fill(f, src, s); err == nil {
		err = dir.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(temp))
	}
	step("renamed " + name)
	if err := syncDir(dir); err != nil {
		return err
	}
	step("directory on disk")
	return nil
}

// fill writes a temporary file and closes it.
func fill(f *os.File, src []byte, s stamp) error {
	defer f.Close()
	half := len(src) / 2
	if _, err := f.Write(src[:half]); err != nil {
		return err
	}
	step("half written")
	if _, err := f.Write(src[half:]); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if uid, gid := owner(info); s.uid >= 0 && s.uid != uid || s.gid >= 0 && s.gid != gid {
		if err := f.Chown(s.uid, s.gid); err != nil {
			return fmt.Errorf("its owner cannot be kept; do this as that user: %w", err)
		}
	}
	if err := f.Chmod(s.mode); err != nil { // behind Chown, which takes bits away
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	step("content on disk")
	return f.Close()
}

func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// sweep removes what interrupted replacements of path have left. Only the one
// who may replace it calls this.
func sweep(path string) {
	for _, name := range beside(path, tempPrefix(path)) {
		_ = os.Remove(name)
	}
}

// beside lists the files in the directory of path that begin with prefix.
func beside(path, prefix string) []string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names
}
