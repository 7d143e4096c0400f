// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Ctrl-C while edit asks ends it, with the copy kept and told of; a second edit
// finds nothing locked.
func TestEditInterrupted(t *testing.T) {
	d := newDesk(t)
	cmd, _ := d.command(0, "policy", "edit", "policy.yaml")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	said, ours := io.Pipe()
	cmd.Stdout, cmd.Stderr = ours, ours
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	j := newJournal()
	followed := make(chan struct{})
	go func() { // the question ends in no line
		defer close(followed)
		b := make([]byte, 4096)
		for {
			n, err := said.Read(b)
			j.add(string(b[:n]), err != nil)
			if err != nil {
				return
			}
		}
	}()
	if !j.wait(func(text string) bool { return strings.Contains(text, "(q)uit without saving:") }) {
		t.Fatal(j)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ours.Close()
	<-followed
	m := regexp.MustCompile(`\nsallyport: interrupted; what was edited is kept in (.*)\n$`).FindStringSubmatch(j.String())
	if cmd.ProcessState.ExitCode() != exitFailed || m == nil {
		t.Fatalf("exit code %d:\n%s", cmd.ProcessState.ExitCode(), j)
	}
	if b, err := os.ReadFile(m[1]); string(b) != newPolicy {
		t.Errorf("%q, %v", b, err)
	}
	if d.whole("interrupted") != oldPolicy {
		t.Error("the policy file was changed")
	}
	if _, out := d.run(0, "policy", "edit", "policy.yaml", "--yes"); d.whole("after that") != newPolicy || !strings.Contains(out, "note: "+m[1]+" was edited") {
		t.Error(out)
	}
}
