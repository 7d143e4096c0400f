// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/policy"
)

// cmdWaitFor runs a policy command on the script's state directory until its
// output matches: waitfor COMMAND... REGEXP.
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor command... regexp")
	}
	re := regexp.MustCompile(args[len(args)-1])
	bin, err := exec.LookPath("sallyport")
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		cmd := exec.Command(bin, append(append([]string{"policy"}, args[:len(args)-1]...), "--state", ts.MkAbs("state"))...)
		cmd.Dir = ts.MkAbs(".")
		out, err := cmd.CombinedOutput()
		if re.Match(out) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%v, and does not match %q:\n%s", err, re, out)
		}
	}
}

// cmdDamage changes a byte of the object that holds what FILE says: damage
// OBJECTS FILE.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage objects file")
	}
	path := filepath.Join(ts.MkAbs(args[0]), hashOf([]byte(ts.ReadFile(args[1]))))
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(path, b, 0o600))
}

// cmdRevision sets NAME to the first eight digits of the revision of a policy
// file: revision NAME FILE.
func cmdRevision(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: revision name file")
	}
	p, err := policy.Load(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], p.Revision[:8])
}
