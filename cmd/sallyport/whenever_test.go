// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// whenever asks done, and again whenever something in a directory has changed,
// until it says so. It tells whether it did in time. The directory is made if it
// is not there.
func whenever(dir string, done func() bool) (bool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return false, err
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		return false, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for !done() {
		select {
		case <-w.Events:
		case err := <-w.Errors:
			return false, err
		case <-late.C:
			return false, nil
		}
	}
	return true, nil
}
