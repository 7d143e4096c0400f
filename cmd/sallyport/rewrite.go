// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// maxEdited bounds the files that commands change in place; a list of a million
// names is about 18 MB.
const maxEdited = 256 << 20

// rewriteFile gives the file at path, or the one a link there leads to, the
// content after. A file that does not say before any more is left alone, and
// nobody else changes it meanwhile.
func rewriteFile(path string, before, after []byte) error {
	full, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	f, err := openFile(full, maxEdited)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer f.close()
	return f.rewrite(path, before, after)
}

// rewrite is rewriteFile of a file that is open; shown is its name for people.
func (f *policyFile) rewrite(shown string, before, after []byte) error {
	if !bytes.Equal(f.base, before) {
		return fmt.Errorf("writing %s: %w; run the command again", shown, errBaseChanged)
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	return replaceFile(f.real, after, f.stamp)
}
