// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/policy"
)

// An archive is what is remembered of policies, in the directory policy of the
// state directory: every revision with all files it was read from, the log of
// what was done, what is in force, and what waits to be confirmed. Several
// processes may use one at a time; all that write hold its lock.
type archive struct {
	dir  string
	root *os.Root // dir: links in it, which the gateway's user could make for root, lead nowhere else
	own  stamp    // of the files in it: whose the state directory is, nobody else's to read
}

// keptRevisions is how many revisions of a policy file are kept.
const keptRevisions = 50

// openArchive makes the archive in the state directory when there is none.
func openArchive(state string) (*archive, error) {
	if state == "" {
		return nil, errors.New("there is no state directory; give one with --state")
	}
	full, err := filepath.Abs(state)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(full, 0o700); err != nil {
		return nil, fmt.Errorf("the state directory: %w", err)
	}
	home, err := os.OpenRoot(full)
	if err != nil {
		return nil, fmt.Errorf("the state directory: %w", err)
	}
	defer home.Close()
	info, err := home.Stat(".")
	if err != nil {
		return nil, err
	}
	a := &archive{dir: filepath.Join(full, "policy"), own: stamp{0o600, -1, -1}}
	if os.Geteuid() == 0 { // what root writes, the gateway has to read
		a.own.uid, a.own.gid = owner(info)
	}
	for _, dir := range []string{"policy", "policy/objects", "policy/revisions"} {
		err := home.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
		if err == nil && a.own.uid >= 0 {
			err = home.Lchown(dir, a.own.uid, a.own.gid)
		}
		if err != nil {
			return nil, fmt.Errorf("the state directory %s: %w", full, err)
		}
	}
	if a.root, err = home.OpenRoot("policy"); err != nil {
		return nil, fmt.Errorf("the state directory %s: %w", full, err)
	}
	return a, nil
}

// A revision is a policy that was kept.
type revision struct {
	Revision string     `json:"revision"`
	Policy   string     `json:"policy"`             // the policy file, absolute
	Kept     uint64     `json:"kept"`               // when it was kept last, counted over the archive
	InForce  uint64     `json:"in_force,omitempty"` // when it was put into force last, counted the same; 0: it never was
	Time     time.Time  `json:"time"`               // of the later of the two
	Files    []keptFile `json:"files"`              // the first is the policy file
}

// A keptFile is a file as a revision was read from it.
type keptFile struct {
	Path    string    `json:"path"`
	SHA256  string    `json:"sha256"` // "": there was none
	Size    int64     `json:"size"`
	Changed time.Time `json:"changed"`
}

// name is the file of a revision in the archive: two policy files may say the same.
func (r *revision) name() string {
	sum := sha256.Sum256([]byte(r.Policy))
	return filepath.Join("revisions", r.Revision+"-"+hex.EncodeToString(sum[:4])+".json")
}

// last is when r was last kept or put into force.
func (r *revision) last() uint64 { return max(r.Kept, r.InForce) }

// keep stores the policy p, which was read by r from the file at path, as one
// that is in force or as one that may come to be. It returns when all of it is
// on disk. The archive has to be locked.
func (a *archive) keep(path string, r *reading, p *policy.Policy, inForce bool) error {
	all, _ := a.all()
	rev := &revision{Revision: p.Revision, Policy: path}
	var newest uint64
	for _, o := range all {
		newest = max(newest, o.last())
		if o.Revision == rev.Revision && o.Policy == path {
			rev = o
		}
	}
	var files []keptFile
	for _, name := range r.paths() {
		f := r.files[name]
		k := keptFile{Path: name}
		if f.err == nil {
			k.SHA256, k.Size, k.Changed = hex.EncodeToString(f.sum[:]), f.size, f.changed.UTC().Round(0)
			if err := a.keepObject(k.SHA256, f.src); err != nil {
				return err
			}
		}
		files = append(files, k)
	}
	if inForce && rev.InForce == newest && newest > 0 && slices.Equal(files, rev.Files) {
		return nil // as the last time
	}
	rev.Files = files
	if inForce {
		rev.InForce = newest + 1
	} else {
		rev.Kept = newest + 1
	}
	rev.Time = time.Now()
	if err := a.write(rev.name(), rev); err != nil {
		return err
	}
	return a.prune()
}

// all are the revisions of every policy file, and what is wrong with those
// that cannot be read.
func (a *archive) all() (all []*revision, bad error) {
	names, err := a.list("revisions")
	if err != nil {
		return nil, err
	}
	for _, e := range names {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		r := &revision{}
		name := filepath.Join("revisions", e.Name())
		_, err := a.readJSON(name, r)
		switch {
		case err == nil && (len(r.Files) == 0 || name != r.name()):
			err = fmt.Errorf("%s is damaged: it describes another revision than it is named by", a.path(name))
			fallthrough
		case err != nil:
			bad = errors.Join(bad, err)
		default:
			all = append(all, r)
		}
	}
	return all, bad
}

// of are the revisions of the policy file at path, the newest first by when,
// which is 0 for one that does not count.
func (a *archive) of(path string, when func(*revision) uint64) (of []*revision, bad error) {
	all, bad := a.all()
	for _, r := range all {
		if r.Policy == path && when(r) > 0 {
			of = append(of, r)
		}
	}
	slices.SortFunc(of, func(x, y *revision) int { return cmp.Compare(when(y), when(x)) })
	return of, bad
}

// find is the revision of the policy file at path that begins with prefix.
func (a *archive) find(path, prefix string) (*revision, error) {
	of, _ := a.of(path, (*revision).last)
	var found *revision
	for _, r := range of {
		if strings.HasPrefix(r.Revision, strings.ToLower(prefix)) {
			if found != nil {
				return nil, fmt.Errorf("more than one revision begins with %q; give more of it", prefix)
			}
			found = r
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no revision of %s that was kept begins with %q; sallyport policy history shows them", path, prefix)
	}
	return found, nil
}

// load loads a revision exactly as it was, every file verified by its hash. Its
// tests are run again.
func (a *archive) load(r *revision) (*policy.Policy, error) {
	p, err := policy.LoadWith(r.Policy, func(path string, _ int64) ([]byte, time.Time, error) {
		for _, f := range r.Files {
			if f.Path == path && f.SHA256 != "" {
				src, err := a.object(f.SHA256)
				return src, f.Changed, err
			}
		}
		return nil, time.Time{}, fs.ErrNotExist
	})
	if err != nil {
		return nil, err
	}
	if p.Revision != r.Revision {
		return nil, fmt.Errorf("what was kept of revision %.8s is revision %.8s", r.Revision, p.Revision)
	}
	return p, nil
}

// prune removes the revisions beyond keptRevisions of each policy file, but
// not the last that was in force, nor what may have to be gone back to, and
// everything that nothing kept needs.
func (a *archive) prune() error {
	wait, err := a.waiting()
	if err != nil {
		return nil // it may need anything
	}
	needed := make(map[string]bool) // objects
	if wait != nil {
		needed[wait.Before] = true
	}
	all, _ := a.all()
	slices.SortFunc(all, func(x, y *revision) int { return cmp.Compare(y.last(), x.last()) })
	last := make(map[string]uint64) // by policy file: what is in force, or was last
	for _, r := range all {
		last[r.Policy] = max(last[r.Policy], r.InForce)
	}
	count := make(map[string]int)
	for _, r := range all {
		if count[r.Policy]++; count[r.Policy] > keptRevisions && (r.InForce == 0 || r.InForce != last[r.Policy]) {
			if err := a.root.Remove(r.name()); err != nil {
				return err
			}
			continue
		}
		for _, f := range r.Files {
			needed[f.SHA256] = true
		}
	}
	objects, err := a.list("objects")
	if err != nil {
		return err
	}
	for _, e := range objects { // what an interrupted write has left is among them
		if !needed[e.Name()] {
			if err := a.root.Remove(filepath.Join("objects", e.Name())); err != nil {
				return err
			}
		}
	}
	for _, dir := range []string{".", "revisions"} {
		entries, err := a.list(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ownFiles) {
				_ = a.root.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
	return nil
}

// An activation says which policy the gateway with this state directory
// enforces.
type activation struct {
	Policy   string    `json:"policy,omitempty"` // the policy file, absolute; "": the built-in policy
	Revision string    `json:"revision"`
	Since    time.Time `json:"since"`
	PID      int       `json:"pid"`
	Stale    bool      `json:"policy_stale"` // the policy file says something else, which does not load
}

// inForce reports false when no gateway has run.
func (a *archive) inForce() (now activation, ok bool, err error) {
	ok, err = a.readJSON("active.json", &now)
	return now, ok, err
}

func (a *archive) setInForce(now activation) error { return a.write("active.json", now) }
