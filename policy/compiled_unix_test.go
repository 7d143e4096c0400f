// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package policy

import (
	"os"
	"path/filepath"
	"testing"
)

// Commands may be run by root. What they keep is for the gateway, which is not.
func TestCompiledListsAreOfWhoeverHasTheState(t *testing.T) {
	state := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chown(state, 4711, 4712); err != nil {
			t.Fatal(err)
		}
	}
	owner := func(name string) [2]int {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		user, group := ownerOf(info)
		return [2]int{user, group}
	}
	how, cache := listFormat{"domains", "below"}, filepath.Join(state, "lists")
	_, l := compiledBytes(t, cache, shortList, how)
	file := filepath.Join(cache, compiledName(l.sum, how))
	if owner(cache) != owner(state) || owner(file) != owner(state) {
		t.Errorf("the state directory is of %v, lists of %v, a list of %v", owner(state), owner(cache), owner(file))
	}
	if _, err := openCompiled(file, l.sum, how); err != nil {
		t.Error("whoever gave it away does not believe it:", err)
	}
}

// What somebody else could have put there is not believed.
func TestOthersCompiledListsAreRefused(t *testing.T) {
	how := listFormat{"domains", "below"}
	dir := t.TempDir()
	_, l := compiledBytes(t, dir, shortList, how)
	file := filepath.Join(dir, compiledName(l.sum, how))
	refused := func(want string) {
		t.Helper()
		if _, err := openCompiled(file, l.sum, how); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := openCompiled(file, l.sum, how); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o620); err != nil {
		t.Fatal(err)
	}
	refused("others can write it")
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 4711, 4711); err != nil {
			t.Fatal(err)
		}
		refused("it belongs to somebody else")
	}
	if err := os.Rename(file, file+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file+"2", file); err != nil {
		t.Fatal(err)
	}
	refused("too many levels of symbolic links")
	os.Remove(file)
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("it is not a regular file")
}
