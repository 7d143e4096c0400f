// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// databaseName is the name of the file that has everything.
const databaseName = "ca.db"

// loose tells whether others than the owner may read or write a file. Windows
// has no such bits; there the state directory's access list has to do.
func loose(fi fs.FileInfo) bool {
	return runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0
}

// openDir opens a directory that nobody else may read or write. Files in it
// are then opened by the Root, which follows no link out of it.
func openDir(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	fi, err := root.Stat(".")
	if err == nil && loose(fi) {
		err = fmt.Errorf("%s: %w: run chmod 700 %s", dir, ErrLoose, dir)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// publish gives a file that is whole its name, unless the name is taken, and
// puts both on the disk. It may not replace what another process has made
// meanwhile, so it links instead of renaming.
func publish(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return err
	}
	if err := root.Remove(from); err != nil {
		return err
	}
	return syncDir(root)
}

func syncDir(root *os.Root) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be opened for that
	}
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
