// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func testArchive(t *testing.T) *archive {
	t.Helper()
	a, err := openArchive(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *archive) mustLog(t *testing.T, e auditEntry) {
	t.Helper()
	if err := a.locked(func() error { return a.log(e) }); err != nil {
		t.Fatal(err)
	}
}

// Several processes, here several openings of the lock, write one chain.
func TestAuditLogIsOneChain(t *testing.T) {
	a := testArchive(t)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for n := range 10 {
				a.mustLog(t, auditEntry{Source: fmt.Sprint(w), Message: strings.Repeat("long ", n*w*1000)}) // some longer than what tail reads at first
			}
		})
	}
	writers.Wait()
	entries, broken, hash, err := a.audit()
	if len(entries) != 40 || broken != nil || err != nil {
		t.Fatalf("%d entries, %v, %v", len(entries), broken, err)
	}
	whole, err := os.ReadFile(a.path(auditName))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	if got := lineHash(lines[39]); got != hash {
		t.Errorf("the last line has the hash %s, not %s", got, hash)
	}
}

// Whatever is changed in the log, but for its last line, is found, and placed in
// the line that was changed.
func TestAuditLogChanged(t *testing.T) {
	a := testArchive(t)
	for _, source := range []string{"one", "two", "three", "four"} {
		a.mustLog(t, auditEntry{Source: source, Result: resultDone, Message: "<&>\x1b\n"})
	}
	whole, err := os.ReadFile(a.path(auditName))
	if err != nil {
		t.Fatal(err)
	}
	if entries, broken, _, err := readAudit(bytes.NewReader(whole)); len(entries) != 4 || broken != nil || err != nil {
		t.Fatalf("%v, %v, %v", entries, broken, err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n')
	for i := range last {
		for _, bit := range []byte{1, 0x20} {
			b := bytes.Clone(whole)
			b[i] ^= bit
			_, broken, _, err := readAudit(bytes.NewReader(b))
			line := 1 + bytes.Count(whole[:i], []byte("\n"))
			if err != nil || broken == nil || broken.line != line && broken.line != line-1 { // line-1: the hash of that one was changed
				t.Fatalf("byte %d of line %d is %q: %+v, %v", i, line, b[i], broken, err)
			}
		}
	}
	for i := range last { // cut off in a line
		if _, broken, _, _ := readAudit(bytes.NewReader(whole[:i])); broken == nil && i > 0 && whole[i-1] != '\n' {
			t.Fatalf("cut off behind %d bytes: %+v", i, broken)
		}
	}
}

// A line that was cut short by the end of its process is kept in the next one.
func TestAuditLogRecovers(t *testing.T) {
	for _, torn := range []string{"{", `{"n":2,"message":"` + strings.Repeat("x", 200<<10), "\xff\x00"} {
		a := testArchive(t)
		a.mustLog(t, auditEntry{Source: "one"})
		f, err := os.OpenFile(a.path(auditName), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, torn)
		f.Close()
		if _, broken, _, _ := a.audit(); broken == nil || broken.line != 2 {
			t.Errorf("%+v", broken)
		}
		a.mustLog(t, auditEntry{Source: "two"})
		entries, broken, _, err := a.audit()
		if len(entries) != 2 || broken != nil || err != nil {
			t.Fatalf("%d entries, %v, %v", len(entries), broken, err)
		}
		if want := strings.ToValidUTF8(torn, "�"); entries[1].Recovered != want || entries[1].Number != 2 {
			t.Errorf("%.50q was kept as %.50q", want, entries[1].Recovered)
		}
	}
}

// fullDisk takes half of what is written.
type fullDisk struct{ *os.File }

func (f fullDisk) Write(b []byte) (int, error) {
	n, err := f.File.Write(b[:len(b)/2])
	return n, errors.Join(err, syscall.ENOSPC)
}

// What does not fit on the disk is an error and leaves nothing.
func TestAuditLogFullDisk(t *testing.T) {
	a := testArchive(t)
	a.mustLog(t, auditEntry{Source: "one"})
	before, err := os.ReadFile(a.path(auditName))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(a.path(auditName), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := extend(fullDisk{f}, int64(len(before)), []byte("another line\n")); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if after, err := os.ReadFile(a.path(auditName)); string(after) != string(before) {
		t.Errorf("%q, %v", after, err)
	}
}

func FuzzReadAudit(f *testing.F) {
	f.Add([]byte(`{"n":1,"prev":"` + firstPrev + `"}` + "\n"))
	f.Add([]byte("\n\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, broken, _, err := readAudit(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(b, []byte("\n")); broken == nil && len(entries) != lines {
			t.Fatalf("%d entries in %d lines", len(entries), lines)
		}
		if _, _, err := tail(bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if printHistory(new(bytes.Buffer), entries) != nil {
			t.Fatal("not printed")
		}
	})
}
