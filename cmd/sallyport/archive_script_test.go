// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
	var out []byte
	var failed error
	ok, err := whenever(ts.MkAbs("state/policy"), func() bool {
		cmd := exec.Command(bin, append(append([]string{"policy"}, args[:len(args)-1]...), "--state", ts.MkAbs("state"))...)
		cmd.Dir = ts.MkAbs(".")
		out, failed = cmd.CombinedOutput()
		return re.Match(out)
	})
	ts.Check(err)
	if !ok {
		ts.Fatalf("%v, and does not match %q:\n%s", failed, re, out)
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

// cmdLeft holds a directory to having no file of sallyport's own in it but
// those that match, and sets $LEFT to the last of them: left DIR [PATTERN...].
func cmdLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: left dir [pattern...]")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	found := 0
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ownFiles) {
			continue
		}
		known := false
		for _, pattern := range args[1:] {
			ok, err := filepath.Match(pattern, e.Name())
			ts.Check(err)
			known = known || ok
		}
		if !known {
			ts.Fatalf("%s was left", e.Name())
		}
		ts.Setenv("LEFT", filepath.Join(args[0], e.Name()))
		found++
	}
	if found != len(args)-1 {
		ts.Fatalf("%d files were left", found)
	}
}

// cmdUntilSame waits until a policy file says the same as another file, and
// nobody is about to change it: untilsame POLICY FILE.
func cmdUntilSame(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: untilsame policy file")
	}
	changing := func() bool { return len(beside(ts.MkAbs(args[0]), ownFiles+"lock-")) > 0 }
	ok, err := whenever(filepath.Dir(ts.MkAbs(args[0])), func() bool {
		return ts.ReadFile(args[0]) == ts.ReadFile(args[1]) && !changing()
	})
	ts.Check(err)
	if !ok {
		ts.Fatalf("%s says\n%s", args[0], ts.ReadFile(args[0]))
	}
}

// cmdTimeIsOver has the time end in which something was to be confirmed: timeisover.
func cmdTimeIsOver(ts *testscript.TestScript, neg bool, args []string) {
	a, err := openArchive(ts.MkAbs("state"))
	ts.Check(err)
	ts.Check(a.locked(func() error {
		w, err := a.waiting()
		if err != nil || w == nil {
			ts.Fatalf("nothing waits: %v", err)
		}
		w.Deadline = time.Now()
		return a.write(pendingName, w)
	}))
}
