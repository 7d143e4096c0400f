// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A bundle is files that are written together or not at all. None is seen
// under its name before all of them are on the disk, and none that is there
// already is replaced unless force is set.
type bundle struct {
	force bool
	files []bundled
	err   error // the first one; nothing is done after it
}

type bundled struct{ temp, name string }

// expect fails when one of the files cannot be published, before any work.
func (b *bundle) expect(names ...string) {
	for _, name := range names {
		if b.err != nil {
			return
		}
		sweepOld(name)
		if b.force {
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			b.err = fmt.Errorf("%s is there already; --force replaces it", name)
		}
	}
}

// sweepOld removes what a process that was killed has left of a file that it
// was to publish; one that is at it is quicker than that.
func sweepOld(name string) {
	for _, temp := range beside(name, tempPrefix(name)) {
		if info, err := os.Lstat(temp); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(temp)
		}
	}
}

// add writes a file that publish will give its name.
func (b *bundle) add(name string, content []byte, mode fs.FileMode) {
	if b.err != nil {
		return
	}
	f, err := b.create(name, mode)
	if err != nil {
		return
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		b.err = fmt.Errorf("writing %s: %w", name, err)
	}
}

// create opens a file that publish will give its name; sync and close it
// before.
func (b *bundle) create(name string, mode fs.FileMode) (*os.File, error) {
	temp := filepath.Join(filepath.Dir(name), tempPrefix(name)+rand.Text())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		b.err = fmt.Errorf("writing %s: %w", name, err)
		return nil, b.err
	}
	b.files = append(b.files, bundled{temp, name})
	return f, nil
}

// publish gives all files their names, the first that was added first.
func (b *bundle) publish() error {
	var linked []string
	for _, f := range b.files {
		if b.err != nil {
			break
		}
		var err error
		if b.force {
			err = os.Rename(f.temp, f.name)
		} else if err = os.Link(f.temp, f.name); err == nil { // which replaces nothing that has come meanwhile
			linked = append(linked, f.name)
		}
		if err != nil {
			b.err = fmt.Errorf("writing %s: %w", f.name, err)
		}
		step("published " + filepath.Base(f.name))
	}
	if b.err != nil {
		for _, name := range linked {
			_ = os.Remove(name)
		}
		return b.err
	}
	for _, f := range b.files {
		dir, err := os.OpenRoot(filepath.Dir(f.name))
		if err != nil {
			return err
		}
		err = syncDir(dir)
		dir.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// discard removes what was not published. Call it in any case.
func (b *bundle) discard() {
	for _, f := range b.files {
		_ = os.Remove(f.temp)
	}
}

// readSmall reads what is at most as long as a message to the gateway.
func readSmall(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAdminBody+1))
	if err == nil && len(b) > maxAdminBody {
		err = fmt.Errorf("it has more than %d KiB", maxAdminBody>>10)
	}
	return b, err
}
