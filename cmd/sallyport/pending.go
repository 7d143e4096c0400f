// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// A confirmation is waited for: the policy file goes back to what it was unless
// it comes in time. The file pending.json in the archive says so, so that it
// happens whoever is still running then.
type confirmation struct {
	Policy   string    `json:"policy"`   // the policy file, absolute, no link
	Applied  string    `json:"applied"`  // SHA-256 of what was written to it
	Before   string    `json:"before"`   // SHA-256 of what it was, an object
	Revision string    `json:"revision"` // of what was written
	Previous string    `json:"previous,omitempty"`
	Deadline time.Time `json:"deadline"`
}

const pendingName = "pending.json"

// waiting is what waits to be confirmed, nil for nothing.
func (a *archive) waiting() (*confirmation, error) {
	c := &confirmation{}
	ok, err := a.readJSON(pendingName, c)
	if !ok {
		return nil, err
	}
	return c, nil
}

func (c *confirmation) over() bool { return !time.Now().Before(c.Deadline) }

// settled forgets what waits. The archive has to be locked.
func (a *archive) settled() error {
	err := a.root.Remove(pendingName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(a.root))
}

// await makes c one that is taken back unless it is confirmed. The archive has
// to be locked.
func (f *policyFile) await(a *archive, c change) error {
	w := confirmation{
		Policy: f.path, Applied: hashOf(c.src), Before: hashOf(f.base), Revision: c.after.Revision, Deadline: time.Now().Add(c.confirm),
	}
	if c.before != nil {
		w.Previous = c.before.Revision
	}
	// What is there now may itself wait: then neither is confirmed.
	if o, err := a.waiting(); err == nil && o != nil && o.Policy == w.Policy && o.Applied == w.Before {
		w.Before, w.Previous = o.Before, o.Previous
	}
	if w.Before == hashOf(f.base) { // else it is kept already
		if err := a.keepObject(w.Before, f.base); err != nil {
			return err
		}
	}
	return a.write(pendingName, w)
}

// expire takes the policy file at path back to what it was when the time to
// confirm is over, and reports whether it did. It does not wait for who has
// the file locked: an editor that is left open must not keep a wrong policy.
func (a *archive) expire(path string) (bool, error) {
	unlock, err := a.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	w, err := a.waiting()
	if err != nil || w == nil || w.Policy != path || !w.over() {
		return false, err
	}
	f := &policyFile{path: path, stamp: stamp{0o644, -1, -1}, limit: maxPolicy}
	if f.real, err = filepath.EvalSymlinks(path); err != nil {
		return false, err
	}
	if f.base, f.stamp, err = f.now(); err != nil {
		return false, err
	}
	if hashOf(f.base) != w.Applied { // it never was written, or something else has been since
		return false, a.settled()
	}
	src, err := a.object(w.Before)
	if err != nil {
		return false, err
	}
	e := auditEntry{Source: "not confirmed", Result: resultAccepted, Policy: path, Revision: w.Previous, Previous: w.Revision}
	if err := replaceFile(f.real, src, f.stamp); err != nil {
		return false, err
	}
	return true, errors.Join(a.log(e), a.settled())
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
