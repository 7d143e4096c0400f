// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"os"
	"time"
)

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
