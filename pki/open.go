// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
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
}

// Init makes an authority in dir, which it makes if it is not there: both
// roots and all four issuers, sealed under the passphrase, of which it wants 8
// bytes at least. It is ErrExists if there is one, and whole or not there at
// all if the machine stops meanwhile.
func Init(dir string, passphrase []byte, s Settings) error {
	s, err := s.complete()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = initialize(dir, passphrase, s, time.Now())
	}
	if err != nil {
		return fmt.Errorf("making a certification authority in %s: %w", dir, err)
	}
	return nil
}

func initialize(dir string, passphrase []byte, s Settings, now time.Time) error {
	root, err := openDir(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(databaseName); err == nil {
		return ErrExists
	}
	temp := temporary(databaseName)
	defer root.Remove(temp)
	db, err := openBolt(root, temp, true, time.Second)
	if err != nil {
		return err
	}
	err = populate(db, passphrase, s, now)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return publish(root, temp, databaseName)
}

// format is the version of what is in ca.db. Another one is not opened.
const format = "1"

// populate makes an authority in an empty store.
func populate(db store, passphrase []byte, s Settings, now time.Time) error {
	lock, k, err := newLock(passphrase)
	if err != nil {
		return err
	}
	return db.Change(func(t tx) error {
		if err := errors.Join(t.Put(bucketCA, "format", []byte(format)), t.Put(bucketCA, "kek", lock), putJSON(t, bucketCA, "settings", s)); err != nil {
			return err
		}
		for _, d := range []Domain{Edge, Identity} {
			r, key, err := s.makeRoot(d, 1, now)
			if err != nil {
				return err
			}
			if err := errors.Join(r.put(t), k.putKey(t, r.name(), 1, key)); err != nil {
				return err
			}
			for _, role := range Roles {
				if role.Domain() != d {
					continue
				}
				i, err := s.makeIssuer(role, 1, r, key, now)
				if err != nil {
					return err
				}
				if err := errors.Join(i.put(t), k.putKey(t, i.name(), 1, i.key)); err != nil {
					return err
				}
			}
		}
		return nil
	})
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

// Roots returns what a domain is asked to trust, the newest first: one root,
// two while roots are rotated, and the roots of companies whose issuers were
// imported.
func (ca *CA) Roots(d Domain) []*x509.Certificate {
	return ca.state.Load().trusted(d, func(i *issuer) *x509.Certificate { return i.imported })
}

// Anchors is Roots for who verifies with Go: in place of a company's root,
// which may have certified others, it has the imported issuer itself.
func (ca *CA) Anchors(d Domain) []*x509.Certificate {
	return ca.state.Load().trusted(d, (*issuer).cert)
}

func (s *state) trusted(d Domain, imported func(*issuer) *x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	add := func(c *x509.Certificate) {
		for _, o := range out {
			if o.Equal(c) {
				return
			}
		}
		out = append(out, c)
	}
	for n := range s.roots {
		if r := s.roots[len(s.roots)-1-n]; r.domain == d {
			add(r.cert)
		}
	}
	for _, i := range s.issuers {
		if i.role.Domain() == d && i.imported != nil {
			add(imported(i))
		}
	}
	return out
}

// An Issuer is one generation of what signs for a role.
type Issuer struct {
	Role       Role
	Generation int // from 1
	Current    bool
	Imported   bool                // a company's, not our own
	Chain      []*x509.Certificate // the issuer first, the root not among them
	NotAfter   time.Time           // of the first in its chain to expire
	RotateBy   time.Time           // when less is left than certificates should be good for
}

// Issuers returns every generation that has not expired, by role, the older
// first.
func (ca *CA) Issuers() []Issuer {
	var out []Issuer
	s := ca.state.Load()
	for _, r := range Roles {
		for _, i := range s.issuers {
			if i.role == r {
				out = append(out, Issuer{
					Role: r, Generation: i.generation, Current: i.current, Imported: i.imported != nil,
					Chain: i.chain, NotAfter: i.until, RotateBy: i.rotateBy(),
				})
			}
		}
	}
	return out
}

// rotateBy is a sixth of the life before its end.
func (i *issuer) rotateBy() time.Time {
	return i.until.Add(-i.until.Sub(i.cert().NotBefore) / 6)
}
