// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsCaptures holds docs/captures, which docs/policy.md refers to, to what a
// person sees who types those commands into a terminal.
func TestDocsCaptures(t *testing.T) {
	for _, program := range []string{"tmux", "bash", "awk"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s, which shows what a person at a terminal sees: %v", program, err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "sallyport")); err != nil { // TestMain goes by the name
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "scripts", "captures"), dir)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/captures: %v\n%s", err, out)
	}
	committed := filepath.Join(root, "docs", "captures")
	if *update {
		if err := os.RemoveAll(committed); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(committed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	page := readDoc(t, "docs/policy.md")
	fresh, kept := glob(t, dir), glob(t, committed)
	if len(fresh) < 2 || len(kept) != len(fresh) {
		t.Errorf("captured %q, committed %q: run go test ./cmd/sallyport -run TestDocsCaptures -update", fresh, kept)
	}
	for _, name := range fresh {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(committed, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != string(want) {
			t.Errorf("docs/captures/%s is not what is seen: run go test ./cmd/sallyport -run TestDocsCaptures -update; seen now\n%s", name, got)
		}
		if !strings.Contains(page, "(captures/"+name+")") {
			t.Errorf("docs/policy.md does not refer to captures/%s", name)
		}
	}
}

func glob(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = filepath.Base(f)
	}
	return files
}
