// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// A watcher tells when one of a set of files may have changed. It watches their
// directories: editors replace files by renaming, and mounted configuration is
// switched by a link beside them.
type watcher struct {
	Changed chan struct{} // one value per burst of changes; never closed

	fs   *fsnotify.Watcher
	done chan struct{}

	mu   sync.Mutex
	dirs map[string]bool
}

// settle is how long the directory has to be quiet before a change is told, so
// that a file that is written in pieces is read once, whole.
const settle = 200 * time.Millisecond

// watchFiles starts watching. Close ends it.
func watchFiles(files []string) (*watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{Changed: make(chan struct{}, 1), fs: fs, done: make(chan struct{}), dirs: make(map[string]bool)}
	if err := w.Watch(files); err != nil {
		fs.Close()
		return nil, err
	}
	go w.loop()
	return w, nil
}

// Watch makes files the set from now on.
func (w *watcher) Watch(files []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirs := make(map[string]bool)
	for _, f := range files {
		dirs[existing(filepath.Dir(f))] = true
		if real, err := filepath.EvalSymlinks(f); err == nil {
			dirs[filepath.Dir(real)] = true
		}
	}
	for d := range dirs {
		if !w.dirs[d] {
			if err := w.fs.Add(d); err != nil {
				return err
			}
		}
	}
	for d := range w.dirs {
		if !dirs[d] {
			_ = w.fs.Remove(d) // gone with its directory, perhaps
		}
	}
	w.dirs = dirs
	return nil
}

// existing is dir, or the directory above it that it would appear below: what
// is mounted late is noticed when it comes.
func existing(dir string) string {
	for {
		_, err := os.Stat(dir)
		up := filepath.Dir(dir)
		if err == nil || up == dir {
			return dir
		}
		dir = up
	}
}

// Close ends the watching and waits for its goroutine.
func (w *watcher) Close() error {
	err := w.fs.Close()
	<-w.done
	return err
}

// loop gathers events until they settle. Whether anything that matters has
// changed is for the reader to find out: it reads the files anyway.
func (w *watcher) loop() {
	defer close(w.done)
	timer := time.NewTimer(settle)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case e, ok := <-w.fs.Events:
			if !ok {
				return
			}
			if !strings.HasPrefix(filepath.Base(e.Name), ownFiles) {
				timer.Reset(settle)
			}
		case _, ok := <-w.fs.Errors: // an overflow: something changed
			if !ok {
				return
			}
			timer.Reset(settle)
		case <-timer.C:
			select {
			case w.Changed <- struct{}{}:
			default: // told already and not heard yet
			}
		}
	}
}
