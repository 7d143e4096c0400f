// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A policy is loaded from memory exactly as it was loaded from its directory.
func TestLoadWith(t *testing.T) {
	dir := t.TempDir()
	file, list := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "list.txt")
	src := `version: 1
destinations: {listed: {file: list.txt, max_age: 1h}}
rules: [{name: listed, from: any, to: listed, mode: deny}]
`
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, src)
	write(list, "a.test\nb c\n")
	kept := make(map[string]string)
	changed := time.Now().Add(-2 * time.Hour)
	want, err := LoadWith(file, func(path string, limit int64) ([]byte, time.Time, error) {
		src, _, err := ReadFile(path, limit)
		kept[path] = string(src)
		return src, changed, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if warned := want.Warnings(); len(warned) != 2 || !strings.Contains(fmt.Sprint(warned), "is older than 1h") {
		t.Errorf("warnings %v", warned)
	}
	same, err := Load(file)
	if err != nil || same.Revision != want.Revision || !slices.Equal(same.Files(), want.Files()) {
		t.Fatalf("%+v, %v; Load gives %+v", want, err, same)
	}
	if len(kept) != 2 || kept[file] != src {
		t.Errorf("read %q", kept)
	}

	write(file, "no policy")
	write(list, "z.test\n")
	again, err := LoadWith(file, func(path string, _ int64) ([]byte, time.Time, error) { return []byte(kept[path]), changed, nil })
	if err != nil || again.Revision != want.Revision || !slices.Equal(again.Warnings(), want.Warnings()) {
		t.Errorf("%+v, %v", again, err)
	}

	gone := errors.New("gone")
	for _, name := range []string{file, list} {
		_, err := LoadWith(file, func(path string, _ int64) ([]byte, time.Time, error) {
			if path == name {
				return nil, time.Time{}, gone
			}
			return []byte(kept[path]), changed, nil
		})
		if err == nil || !strings.Contains(err.Error(), "cannot be read: gone") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if src, _, err := ReadFile(file, 2<<20); err != nil || len(src) != 2<<20 {
		t.Errorf("%d bytes, %v", len(src), err)
	}
	if src, _, err := ReadFile(file, 1<<20); src != nil || fmt.Sprint(err) != "it is larger than 1 MiB" {
		t.Errorf("%d bytes, %v", len(src), err)
	}
	if _, _, err := ReadFile(filepath.Join(dir, "none"), 1<<20); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	// A pipe nobody writes to.
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(pipe, 1<<20); fmt.Sprint(err) != "it is not a regular file" {
		t.Error(err)
	}
}
