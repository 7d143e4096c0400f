// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// A boltStore is a store in a file. Every change is on the disk before it is
// said to have happened: fsync is not turned off anywhere.
type boltStore struct{ db *bolt.DB }

// openBolt opens a file of root, which must exist unless create is set.
// A file that another process has open is ErrLocked after wait.
func openBolt(root *os.Root, name string, create bool, wait time.Duration) (*boltStore, error) {
	fi, err := root.Lstat(name)
	switch {
	case errors.Is(err, os.ErrNotExist) && create:
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("it is a %v and not a regular file", fi.Mode().Type())
	case loose(fi):
		return nil, fmt.Errorf("%w: run chmod 600 %s", ErrLoose, filepath.Join(root.Name(), name))
	}
	db, err := bolt.Open(name, 0o600, &bolt.Options{
		Timeout:      wait,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			if !create {
				flag &^= os.O_CREATE
			}
			return root.OpenFile(name, flag, mode)
		},
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return &boltStore{db}, nil
}

func (s *boltStore) View(f func(tx) error) error {
	return closed(s.db.View(func(t *bolt.Tx) error { return f(boltTx{t}) }))
}

func (s *boltStore) Change(f func(tx) error) error {
	return closed(s.db.Update(func(t *bolt.Tx) error { return f(boltTx{t}) }))
}

func closed(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (s *boltStore) Snapshot(w io.Writer) (n int64, err error) {
	err = s.db.View(func(t *bolt.Tx) error {
		n, err = t.WriteTo(w)
		return err
	})
	return n, err
}

func (s *boltStore) Close() error { return s.db.Close() }

// check reads every page of the file, and says what is wrong with it.
func (s *boltStore) check() error {
	return s.db.View(func(t *bolt.Tx) error {
		var all []error
		for err := range t.Check() {
			all = append(all, err)
		}
		return errors.Join(all...)
	})
}

type boltTx struct{ t *bolt.Tx }

func (x boltTx) Get(bucket, key string) ([]byte, error) {
	b := x.t.Bucket([]byte(bucket))
	if b == nil {
		return nil, nil
	}
	return b.Get([]byte(key)), nil
}

func (x boltTx) Put(bucket, key string, value []byte) error {
	b, err := x.t.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	if value == nil {
		value = []byte{} // until the end of the transaction Get would return nil
	}
	return b.Put([]byte(key), value)
}

func (x boltTx) Delete(bucket, key string) error {
	b := x.t.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.Delete([]byte(key))
}

func (x boltTx) Each(bucket, after string, f func(string, []byte) bool) error {
	b := x.t.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	c := b.Cursor()
	k, v := c.Seek([]byte(after))
	if k != nil && string(k) == after {
		k, v = c.Next()
	}
	for ; k != nil; k, v = c.Next() {
		if !f(string(k), v) {
			break
		}
	}
	return nil
}
