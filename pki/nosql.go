// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/smallstep/nosql/database"
)

// nosql is smallstep's database interface on a store. Its own drivers are not
// used: that for PostgreSQL accepts a one-time token twice when two use it at
// once, because SELECT … FOR UPDATE locks no row that is not there, and that
// for bbolt takes an empty value for an absent one.
//
// An old value of nil means that there must be no row; a new value of nil
// takes the row away.
type nosql struct{ s store }

var _ database.DB = nosql{}

// Open is not supported: the store is open already.
func (n nosql) Open(string, ...database.Option) error { return database.ErrOpNotSupported }

// Close does nothing: who opened the store closes it.
func (n nosql) Close() error { return nil }

// CreateTable does nothing: buckets come into being with their first row.
func (n nosql) CreateTable([]byte) error { return nil }

func (n nosql) DeleteTable(bucket []byte) error {
	return n.s.Change(func(t tx) error { return deleteTable(t, string(bucket)) })
}

func (n nosql) Get(bucket, key []byte) (value []byte, err error) {
	err = n.s.View(func(t tx) error {
		value, err = row(t, bucket, key)
		return err
	})
	return value, err
}

func (n nosql) Set(bucket, key, value []byte) error {
	return n.s.Change(func(t tx) error { return t.Put(string(bucket), string(key), value) })
}

func (n nosql) Del(bucket, key []byte) error {
	return n.s.Change(func(t tx) error { return t.Delete(string(bucket), string(key)) })
}

func (n nosql) List(bucket []byte) (list []*database.Entry, err error) {
	err = n.s.View(func(t tx) error {
		list = nil
		return t.Each(string(bucket), "", func(key string, value []byte) bool {
			list = append(list, &database.Entry{Bucket: bucket, Key: []byte(key), Value: keep(value)})
			return true
		})
	})
	return list, err
}

// CmpAndSwap returns the value that is now in the row, and whether it is the
// new one.
func (n nosql) CmpAndSwap(bucket, key, old, value []byte) (now []byte, swapped bool, err error) {
	err = n.s.Change(func(t tx) error {
		now, swapped, err = compareAndSwap(t, bucket, key, old, value)
		if err == nil && !swapped {
			return errUnchanged
		}
		return err
	})
	if err != nil && err != errUnchanged {
		return nil, false, err
	}
	return now, swapped, nil
}

// errUnchanged ends a change that came to nothing, so that replaying a nonce
// costs no write to the disk.
var errUnchanged = errors.New("unchanged")

// Update runs all operations or none. A Get or a Cmp that does not find what
// it wants ends it; a CmpAndSwap that does not swap only says so.
func (n nosql) Update(all *database.Tx) error {
	return n.s.Change(func(t tx) error {
		for _, q := range all.Operations {
			if err := operate(t, q); err != nil {
				return err
			}
		}
		return nil
	})
}

func operate(t tx, q *database.TxEntry) (err error) {
	switch q.Cmd {
	case database.CreateTable:
		return nil
	case database.DeleteTable:
		return deleteTable(t, string(q.Bucket))
	case database.Get:
		q.Result, err = row(t, q.Bucket, q.Key)
		return err
	case database.Set:
		return t.Put(string(q.Bucket), string(q.Key), q.Value)
	case database.Delete:
		return t.Delete(string(q.Bucket), string(q.Key))
	case database.CmpAndSwap:
		q.Result, q.Swapped, err = compareAndSwap(t, q.Bucket, q.Key, q.CmpValue, q.Value)
		return err
	case database.CmpOrRollback:
		now, err := t.Get(string(q.Bucket), string(q.Key))
		if err == nil && !same(now, q.Value) {
			err = fmt.Errorf("%s/%s has changed", q.Bucket, q.Key)
		}
		return err
	}
	return fmt.Errorf("%w: %v", database.ErrOpNotSupported, q.Cmd)
}

func row(t tx, bucket, key []byte) ([]byte, error) {
	value, err := t.Get(string(bucket), string(key))
	if err == nil && value == nil {
		err = database.ErrNotFound
	}
	return keep(value), err
}

func compareAndSwap(t tx, bucket, key, old, value []byte) ([]byte, bool, error) {
	now, err := t.Get(string(bucket), string(key))
	if err != nil {
		return nil, false, err
	}
	if !same(now, old) {
		return keep(now), false, nil
	}
	if value == nil {
		return nil, true, t.Delete(string(bucket), string(key))
	}
	return value, true, t.Put(string(bucket), string(key), value)
}

// same tells an absent row, which is nil, from an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// keep copies a value beyond the end of its transaction.
func keep(v []byte) []byte {
	if v == nil {
		return nil
	}
	return append([]byte{}, v...)
}

func deleteTable(t tx, bucket string) error {
	var keys []string
	err := t.Each(bucket, "", func(key string, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	if err == nil && keys == nil {
		err = database.ErrNotFound
	}
	for _, k := range keys {
		if err == nil {
			err = t.Delete(bucket, k)
		}
	}
	return err
}
