// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport/policy"
)

// A store test has a policy file with a list, and an archive beside it.
func keepOne(t *testing.T, a *archive, path, text string, inForce bool) *policy.Policy {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &reading{}
	p, err := policy.LoadWith(path, r.read)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.locked(func() error { return a.keep(path, r, p, inForce) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func policyText(n int) string {
	return fmt.Sprintf("version: 1\ndestinations: {l: {file: list.txt}}\nrules:\n  - {name: r%d, from: any, to: l, mode: tunnel}\n", n)
}

func testPolicyDir(t *testing.T) (a *archive, path string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "list.txt"), []byte("a.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return testArchive(t), filepath.Join(dir, "policy.yaml")
}

// The last revisions of each policy file are kept, the last that was in force
// always, and nothing of what is gone; the files of others are left alone.
func TestArchivePrunes(t *testing.T) {
	a, path := testPolicyDir(t)
	other := filepath.Join(filepath.Dir(path), "other.yaml")
	hits := a.path("hits.json")
	for _, name := range []string{hits, a.path("objects", tempPrefix("x")+"1"), a.path("revisions", tempPrefix("x")+"1"), a.path(tempPrefix("x") + "1")} {
		if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keepOne(t, a, other, policyText(0), true) // the same text: another revision of another file
	before := keepOne(t, a, path, policyText(0), true)
	forced := keepOne(t, a, path, policyText(1), true)
	for n := range keptRevisions + 5 {
		keepOne(t, a, path, policyText(n+2), false)
	}
	of, bad := a.of(path, (*revision).last)
	if len(of) != keptRevisions+1 || bad != nil {
		t.Fatalf("%d revisions, %v", len(of), bad)
	}
	if last := of[keptRevisions]; last.Revision != forced.Revision {
		t.Errorf("revision %.8s was kept, not the one in force, %.8s", last.Revision, forced.Revision)
	}
	if _, err := a.find(path, before.Revision); err == nil {
		t.Error("the one before it was kept")
	}
	if of, _ := a.of(other, func(r *revision) uint64 { return r.InForce }); len(of) != 1 {
		t.Errorf("%d revisions of the other file", len(of))
	}
	all, _ := a.all()
	for _, r := range all {
		if p, err := a.load(r); err != nil || p.Revision != r.Revision {
			t.Fatalf("%s: %v", r.name(), err)
		}
	}
	if objects, err := os.ReadDir(a.path("objects")); len(objects) != keptRevisions+1+1+1 || err != nil { // its policies, the other's, the list
		t.Errorf("%d objects, %v", len(objects), err)
	}
	if _, err := os.Stat(hits); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{".", "objects", "revisions"} {
		if left := beside(a.path(dir, "any"), ownFiles); len(left) > 0 {
			t.Errorf("%q was left", left)
		}
	}
}

// Each file of the archive is damaged in turn: what is loaded then is what was
// kept, or nothing, and it is mended when the same is kept again.
func TestArchiveDamaged(t *testing.T) {
	a, path := testPolicyDir(t)
	kept := map[string]bool{
		keepOne(t, a, path, policyText(0), true).Revision: true,
		keepOne(t, a, path, policyText(1), true).Revision: true,
	}
	files, err := filepath.Glob(a.path("*", "*"))
	if err != nil || len(files) != 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		check := func(how string) {
			t.Helper()
			all, bad := a.all()
			good := 0
			for _, r := range all {
				p, err := a.load(r)
				if err == nil {
					good++
					if !kept[p.Revision] || p.Revision != r.Revision {
						t.Fatalf("%s %s: revision %.8s was loaded as %.8s", file, how, p.Revision, r.Revision)
					}
				}
			}
			if good == 2 && bad != nil {
				t.Fatalf("%s %s: all is well, but %v", file, how, bad)
			}
		}
		for i := range whole {
			b := append([]byte(nil), whole...)
			b[i] ^= 1
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprintf("with byte %d changed", i))
		}
		for _, n := range []int64{int64(len(whole)) / 2, 0} {
			if err := os.Truncate(file, n); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprintf("cut to %d bytes", n))
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		check("removed")
		keepOne(t, a, path, policyText(0), true)
		keepOne(t, a, path, policyText(1), true)
		all, bad := a.all()
		if len(all) != 2 || bad != nil {
			t.Fatalf("%s: %d revisions after the repair, %v", file, len(all), bad)
		}
		for _, r := range all {
			if _, err := a.load(r); err != nil {
				t.Fatalf("%s, after the repair: %v", file, err)
			}
		}
	}
}

// Whoever owns the state directory cannot have root write elsewhere by links in it.
func TestArchiveLinksLeadNowhere(t *testing.T) {
	for _, name := range []string{"audit.log", "lock", "active.json", "objects", "revisions"} {
		a, path := testPolicyDir(t)
		outside := t.TempDir()
		target := filepath.Join(outside, "precious")
		if name == "objects" || name == "revisions" {
			if err := os.Mkdir(target, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(a.path(name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, a.path(name)); err != nil {
			t.Fatal(err)
		}
		err := os.WriteFile(path, []byte(policyText(0)), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		r := &reading{}
		p, err := policy.LoadWith(path, r.read)
		if err != nil {
			t.Fatal(err)
		}
		err = a.locked(func() error {
			return errors.Join(a.keep(path, r, p, true), a.log(auditEntry{}), a.setInForce(activation{}))
		})
		if (err == nil) != (name == "active.json") { // a link there is replaced
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(target); err == nil && string(b) != "precious" {
			t.Errorf("by %s %q was written", name, b)
		}
		if in, err := os.ReadDir(target); err == nil && len(in) > 0 {
			t.Errorf("by %s %v was written", name, in)
		}
	}
}

// Nor by what it says is in force.
func TestRootNamesThePolicyFile(t *testing.T) {
	a := testArchive(t)
	if err := a.setInForce(activation{Policy: "/etc/precious"}); err != nil {
		t.Fatal(err)
	}
	a.own.uid = 12345 // as openArchive has it for root
	var exit *exitError
	_, err := a.policyPath("")
	if !errors.As(err, &exit) || exit.code != exitUsage || err.Error() != "the state directory says that the policy file is /etc/precious, and belongs to another user: name the file" {
		t.Error(err)
	}
	a.own.uid = 0
	if path, err := a.policyPath(""); path != "/etc/precious" {
		t.Error(path, err)
	}
}

// What root writes belongs to the owner of the state directory, the gateway.
func TestArchiveOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	a, path := testPolicyDir(t)
	state := filepath.Dir(a.dir)
	if err := os.Chown(state, 12345, 12346); err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(state)
	if err != nil {
		t.Fatal(err)
	}
	keepOne(t, a, path, policyText(0), true)
	a.mustLog(t, auditEntry{})
	seen := 0
	err = filepath.WalkDir(state, func(name string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if uid, gid := owner(info); uid != 12345 || gid != 12346 {
			t.Errorf("%s belongs to %d:%d", name, uid, gid)
		}
		if mode := info.Mode().Perm(); name != state && mode&0o077 != 0 {
			t.Errorf("%s has mode %o", name, mode)
		}
		seen++
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d files, %v", seen, err)
	}
}

func TestGitCommit(t *testing.T) {
	const one, two, three = "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222", "3333333333333333333333333333333333333333"
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(name, commit string) {
		t.Helper()
		if got := gitCommit(filepath.Join(dir, name)); got != commit {
			t.Errorf("%s: %q, want %q", name, got, commit)
		}
	}
	want("plain/policy.yaml", "")
	write("repo/.git/HEAD", "ref: refs/heads/main\n")
	want("repo/etc/policy.yaml", "")
	write("repo/.git/packed-refs", "# pack-refs with: peeled fully-peeled sorted\n"+two+" refs/heads/main\n^"+three+"\n")
	want("repo/etc/policy.yaml", two)
	write("repo/.git/refs/heads/main", one+"\n")
	want("repo/policy.yaml", one)
	write("repo/.git/HEAD", three+"\n")
	want("repo/policy.yaml", three)
	write("secret", three)
	write("repo/.git/HEAD", "ref: ../../secret\n")
	want("repo/policy.yaml", "")
	write("repo/.git/HEAD", "ref: refs/heads/none of these\n")
	want("repo/policy.yaml", "")
	// A linked work tree.
	write("repo/.git/worktrees/w/HEAD", "ref: refs/heads/main\n")
	write("repo/.git/worktrees/w/commondir", "../..\n")
	write("linked/.git", "gitdir: "+filepath.Join(dir, "repo/.git/worktrees/w")+"\n")
	want("linked/policy.yaml", one)
	write("linked/.git", "what is this\n")
	want("linked/policy.yaml", "")
}
