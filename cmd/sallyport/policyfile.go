// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sallyport/policy"
)

// A policyFile is a policy file that is about to be changed. Other commands
// that would change it are kept out until it is closed.
type policyFile struct {
	path  string // absolute, by the name the gateway reads it
	real  string // where the links in path lead
	base  []byte // what it said when it was opened; nil: there was no such file
	stamp stamp
	limit int64 // bytes it may have
	lock  *os.File
}

// maxPolicy is more than the text of a policy may have.
const maxPolicy = 16 << 20

// errBaseChanged: somebody else has written the file.
var errBaseChanged = errors.New("it was changed by somebody else meanwhile")

// openPolicyFile opens the policy file at path, which need not exist when its
// directory does.
func openPolicyFile(path string) (*policyFile, error) { return openFile(path, maxPolicy) }

// openFile is openPolicyFile for any file of a policy.
func openFile(path string, limit int64) (*policyFile, error) {
	f := &policyFile{path: path, real: path, stamp: stamp{0o644, -1, -1}, limit: limit}
	real, err := filepath.EvalSymlinks(path)
	switch {
	case err == nil:
		f.real = real
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	default:
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s is a link that leads nowhere", path)
		}
		if f.real, err = filepath.EvalSymlinks(filepath.Dir(path)); err != nil {
			return nil, err
		}
		f.real = filepath.Join(f.real, filepath.Base(path))
	}
	if err := f.lockIt(); err != nil {
		return nil, err
	}
	if f.base, f.stamp, err = f.now(); err != nil {
		f.close()
		return nil, err
	}
	sweep(f.real)
	return f, nil
}

// now is what the file says, nil when there is none.
func (f *policyFile) now() ([]byte, stamp, error) {
	info, err := os.Stat(f.real)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.stamp, nil
	}
	if err != nil {
		return nil, f.stamp, err
	}
	src, _, err := policy.ReadFile(f.real, f.limit)
	if err != nil {
		return nil, f.stamp, fmt.Errorf("reading %s: %w", f.real, err)
	}
	if src == nil {
		src = []byte{}
	}
	return src, stampOf(info), nil
}

// lockIt makes this the only process that changes the file. The lock ends
// with the process; the file that carries it says whose it is.
func (f *policyFile) lockIt() error {
	name := ownFiles + "lock-" + filepath.Base(f.real)
	dir, err := os.OpenRoot(filepath.Dir(f.real))
	if err != nil {
		return fmt.Errorf("locking %s: %w", f.real, err)
	}
	defer dir.Close()
	for {
		l, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("locking %s: %w", f.real, err)
		}
		ok, err := tryLock(l)
		if err != nil {
			l.Close()
			return fmt.Errorf("locking %s: %w", f.real, err)
		}
		if !ok {
			b, _ := io.ReadAll(io.LimitReader(l, 200))
			l.Close()
			who := visible(strings.TrimSpace(string(b)))
			if who == "" {
				who = "another process"
			}
			return fmt.Errorf("%s is being changed by %s; try again when that has ended", f.path, who)
		}
		mine, err1 := l.Stat()
		there, err2 := dir.Lstat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			f.lock = l
			if err = l.Truncate(0); err == nil {
				_, err = fmt.Fprintf(l, "%s (pid %d, since %s)\n", thisAuthor(), os.Getpid(), time.Now().Format("15:04:05"))
			}
			if err != nil {
				f.close()
				return fmt.Errorf("locking %s: %w", f.real, err)
			}
			step("locked")
			return nil
		}
		l.Close() // it was removed by the one who held it
	}
}

// close lets others change the file.
func (f *policyFile) close() {
	_ = os.Remove(f.lock.Name())
	f.lock.Close()
}

// unlocker is close, that may be called twice.
func (f *policyFile) unlocker() func() { return sync.OnceFunc(f.close) }

// check loads src as if it stood in the file, with everything it names.
func (f *policyFile) check(src []byte) (*policy.Policy, *reading, error) {
	r := &reading{}
	r.put(f.path, src)
	p, err := policy.LoadWith(f.path, r.read)
	return p, r, err
}

// A change is a new content for a policy file.
type change struct {
	source  string // apply, edit or rollback
	message string
	src     []byte
	before  *policy.Policy // nil: what was there does not load
	after   *policy.Policy
	was, is *reading      // of before and after
	confirm time.Duration // 0: nothing has to be confirmed
}

// place puts c into the file, keeping what it was and telling the audit log. At
// its end, or wherever it is cut short, the file says the old or the new.
func (f *policyFile) place(a *archive, c change) error {
	unlock, err := a.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.unchanged(); err != nil {
		return err
	}
	if c.before != nil {
		if err := a.keep(f.path, c.was, c.before, false); err != nil {
			return fmt.Errorf("keeping the revision there is: %w", err)
		}
	}
	if err := a.keep(f.path, c.is, c.after, false); err != nil {
		return fmt.Errorf("keeping the new revision: %w", err)
	}
	step("kept")
	e := auditEntry{
		Source: c.source, Result: resultAccepted, Policy: f.path, Revision: c.after.Revision, Commit: gitCommit(f.real),
		Message: c.message, Changes: auditDiff(c.before, c.after),
	}
	if c.before != nil {
		e.Previous = c.before.Revision
	}
	if err := a.log(e); err != nil {
		return err
	}
	step("logged")
	err = f.write(a, c)
	if err != nil {
		e.Result, e.Changes = resultFailed, nil
		e.failure(err)
		err = errors.Join(err, a.log(e))
	}
	return err
}

// write is place behind the bookkeeping.
func (f *policyFile) write(a *archive, c change) error {
	if c.confirm > 0 {
		if err := f.await(a, c); err != nil {
			return err
		}
		step("confirmation awaited")
	}
	if err := f.unchanged(); err != nil {
		return err
	}
	if err := replaceFile(f.real, c.src, f.stamp); err != nil {
		return err // what waits will find the old content, and have nothing to do
	}
	if c.confirm == 0 { // what waited was about another content
		return a.settled()
	}
	return nil
}

func (f *policyFile) unchanged() error {
	now, _, err := f.now()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, f.base) || (now == nil) != (f.base == nil) {
		return errBaseChanged
	}
	return nil
}

// visible is s without what would move a terminal's cursor or colour it.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '�'
		}
		return r
	}, s)
}
