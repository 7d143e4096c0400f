// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what an open authority needs of others. The zero value is
// usable.
type Options struct {
	// Log takes a line for the operator. Nil: nobody is told.
	Log func(format string, a ...any)
	// Now is the time. Nil: time.Now.
	Now func() time.Time
	// Wait is how long to wait for another process to close ca.db. Zero: a
	// quarter of a second.
	Wait time.Duration
}

// A CA is an open certification authority. All its methods may be called at
// once by many.
type CA struct {
	dir   *os.Root // of ca.db; nil in tests that have none
	store store
	kek   *kek
	log   func(string, ...any)
	now   func() time.Time

	state   atomic.Pointer[state]
	change  sync.Mutex // held by whoever puts another state in its place
	revoked revocations
	crls    crls
	answers ocspAnswers
	minted  ring
	minters [2]*Minter // intercept, delegated

	constrained constrained
}

// Open opens the authority in dir, until Close. It is ErrNone if there is
// none, ErrLocked while another process has it open, ErrPassphrase for
// another passphrase, ErrLoose if others may read it, and ErrSealed if what
// was sealed has been tampered with.
func Open(dir string, passphrase []byte, o Options) (*CA, error) {
	ca, err := openIn(dir, passphrase, o)
	if err != nil {
		return nil, fmt.Errorf("opening the certification authority in %s: %w", dir, err)
	}
	return ca, nil
}

func openIn(dir string, passphrase []byte, o Options) (*CA, error) {
	root, err := openDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	wait := o.Wait
	if wait == 0 {
		wait = time.Second / 4
	}
	db, err := openBolt(root, databaseName, false, wait)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNone
	} else if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(dir, databaseName), err)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	sweepFiles(root)
	ca, err := openStore(db, passphrase, o)
	if err != nil {
		return nil, errors.Join(err, db.Close(), root.Close())
	}
	ca.dir = root
	return ca, nil
}

// openStore is Open on a store that is open already.
func openStore(db store, passphrase []byte, o Options) (*CA, error) {
	ca := &CA{store: db, log: o.Log, now: o.Now}
	if ca.log == nil {
		ca.log = func(string, ...any) {}
	}
	if ca.now == nil {
		ca.now = time.Now
	}
	err := db.View(func(t tx) error {
		b, err := t.Get(bucketCA, "format")
		if err != nil {
			return err
		}
		if string(b) != format {
			return fmt.Errorf("its format is %q, and this program knows %s only", b, format)
		}
		if b, err = t.Get(bucketCA, "kek"); err != nil {
			return err
		}
		if ca.kek, err = unlock(b, passphrase); err != nil {
			return err
		}
		s, err := loadState(t, ca.kek)
		if err != nil {
			return err
		}
		ca.state.Store(s)
		return ca.revoked.load(t)
	})
	if err != nil {
		return nil, err
	}
	ca.minters = [2]*Minter{newMinter(ca, Intercept), newMinter(ca, Delegated)}
	return ca, nil
}

// sweepFiles removes what was not finished when a process was killed: copies
// of ca.db, and of a passphrase that was since moved elsewhere. Whoever is
// still at it finds its file gone, and ca.db there.
func sweepFiles(root *os.Root) {
	d, err := root.Open(".")
	if err != nil {
		return
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		if strings.HasPrefix(n, databaseName+".new-") || strings.HasPrefix(n, passphraseName+".new-") {
			root.Remove(n)
		}
	}
}

// Close ends the use of the authority; certificates that minters have given
// out are still good.
func (ca *CA) Close() error {
	ca.change.Lock()
	defer ca.change.Unlock()
	ca.state.Load().close()
	err := ca.store.Close()
	if ca.dir != nil {
		err = errors.Join(err, ca.dir.Close())
	}
	return err
}

// alter puts another state into the store, whole or not at all, and then in
// force. What f wrote is read again before it counts.
func (ca *CA) alter(f func(t tx, now *state) error) error {
	ca.change.Lock()
	defer ca.change.Unlock()
	var next *state
	err := ca.store.Change(func(t tx) error {
		err := f(t, ca.state.Load())
		if err == nil {
			next, err = loadState(t, ca.kek)
		}
		return err
	})
	if err != nil {
		return err
	}
	ca.state.Swap(next).close()
	return nil
}

// Settings returns what the authority was made with, and the URL set since.
func (ca *CA) Settings() Settings { return ca.state.Load().settings }

// SetURL sets where CRLs, OCSP and issuers are fetched from, for certificates
// from now on: http://host:port, or "" for certificates that name none.
func (ca *CA) SetURL(u string) error {
	if ca.Settings().URL == u {
		return nil
	}
	if err := validURL(u); err != nil {
		return err
	}
	return ca.alter(func(t tx, s *state) error {
		settings := s.settings
		settings.URL = u
		return putJSON(t, bucketCA, "settings", settings)
	})
}
