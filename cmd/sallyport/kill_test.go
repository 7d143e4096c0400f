// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sallyport/policy"
)

// dieAt has the process killed between two steps of changing files: the nth time
// it comes to such a place, or at the step of that name; "" lets it live.
func dieAt(where string) {
	if where == "" {
		return
	}
	left, _ := strconv.Atoi(where)
	step = func(name string) {
		if left--; left == 0 || name == where {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// holdAt has the process wait at the step of that name, each time, until there is
// a file named go where it runs, which it removes.
func holdAt(where string) {
	if where == "" {
		return
	}
	step = func(name string) {
		if name != where {
			return
		}
		fmt.Fprintf(os.Stderr, "held at %s\n", name)
		for gone := false; !gone; {
			gone, _ = whenever(".", func() bool { return os.Remove("go") == nil })
		}
	}
}

const (
	oldPolicy = "version: 1\nrules:\n  - {name: old, from: any, to: old.test, mode: tunnel}\n"
	newPolicy = "version: 1\nrules:\n  - {name: new, from: any, to: new.test, mode: tunnel}\n"
)

// A desk is a policy file, a state directory and the program, to be used and
// killed.
type desk struct {
	t                *testing.T
	dir, state, file string
	bin              string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &desk{t, dir, filepath.Join(dir, "state"), filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "sallyport")}
	if err := os.Symlink(exe, d.bin); err != nil { // by this name the test's binary is the program
		t.Fatal(err)
	}
	d.write(d.file, oldPolicy)
	d.write(filepath.Join(dir, "new.yaml"), newPolicy)
	d.write(filepath.Join(dir, "editor"), "cat new.yaml > \"$1\"\n")
	return d
}

func (d *desk) write(path, text string) {
	d.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) command(at int, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(d.bin, append(args, "--state", d.state)...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "VISUAL=sh editor")
	if at > 0 {
		cmd.Env = append(cmd.Env, "TEST_DIE_AT="+strconv.Itoa(at))
	}
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// run runs the program, which is killed at the nth step unless it has fewer.
func (d *desk) run(at int, args ...string) (killed bool, out string) {
	d.t.Helper()
	cmd, b := d.command(at, args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true, b.String()
	}
	return false, b.String()
}

// whole fails unless the policy file is the old or the new one, the archive is
// in order, and the next one can go to work.
func (d *desk) whole(when string) (says string) {
	d.t.Helper()
	b, err := os.ReadFile(d.file)
	if err != nil || string(b) != oldPolicy && string(b) != newPolicy {
		d.t.Fatalf("%s the policy file says %q, %v", when, b, err)
	}
	if _, err := policy.Load(d.file); err != nil {
		d.t.Fatalf("%s: %v", when, err)
	}
	a, err := openArchive(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	all, bad := a.all()
	if bad != nil {
		d.t.Fatalf("%s: %v", when, bad)
	}
	for _, r := range all {
		if _, err := a.load(r); err != nil {
			d.t.Fatalf("%s, revision %.8s: %v", when, r.Revision, err)
		}
	}
	if _, broken, _, err := a.audit(); broken != nil || err != nil {
		d.t.Fatalf("%s: %v, %v", when, broken, err)
	}
	return string(b)
}

// Whoever changes a policy file may be killed at any step: the file says the old
// or the new, whole, what is kept is whole, nothing stays locked, and what was
// left is cleared away or told of.
func TestKilledAnywhere(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps int // fewest
		args  []string
	}{
		{"apply", 20, []string{"policy", "apply", "new.yaml", "--to", "policy.yaml", "--yes"}},
		{"confirm", 25, []string{"policy", "apply", "new.yaml", "--to", "policy.yaml", "--yes", "--confirm", "1ns"}},
		{"edit", 20, []string{"policy", "edit", "policy.yaml", "--yes"}},
		{"rollback", 10, []string{"policy", "rollback", "--to", "policy.yaml", "--yes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				d := newDesk(t)
				if c.name == "rollback" {
					d.write(d.file, newPolicy)
					d.write(filepath.Join(d.dir, "old.yaml"), oldPolicy)
					if _, out := d.run(0, "policy", "apply", "old.yaml", "--to", "policy.yaml", "--yes"); d.whole("before") != oldPolicy {
						t.Fatal(out)
					}
				}
				killed, out := d.run(n, c.args...)
				when := fmt.Sprintf("killed at step %d", n)
				says := d.whole(when)
				want := newPolicy
				if c.name == "confirm" {
					want = oldPolicy
					d.expire(when)
				}
				if !killed {
					if says != want || n < c.steps {
						t.Fatalf("after %d steps the policy file says %q:\n%s", n, says, out)
					}
					return
				}
				copies := len(beside(d.file, ownFiles+"edit-"))
				killed, out = d.run(0, "policy", "edit", "policy.yaml", "--yes")
				if got := d.whole("after the next edit"); killed || got != newPolicy {
					t.Fatalf("%s, edit: %s", when, out)
				}
				left := beside(d.file, ownFiles)
				for _, name := range left {
					if !strings.Contains(out, name) || !strings.Contains(name, "/"+ownFiles+"edit-") {
						t.Errorf("%s: %s was left and not told of", when, name)
					}
				}
				if len(left) > copies {
					t.Errorf("%s: left %q", when, left)
				}
			}
		})
	}
}

// expire does what a gateway does when the time to confirm is over.
func (d *desk) expire(when string) {
	d.t.Helper()
	a, err := openArchive(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := a.expire(d.file); err != nil {
		d.t.Fatalf("%s: %v", when, err)
	}
	if w, err := a.waiting(); w != nil || err != nil {
		d.t.Fatalf("%s: %+v still waits, %v", when, w, err)
	}
	if got := d.whole(when); got != oldPolicy {
		d.t.Fatalf("%s: not confirmed, and the policy file says %q", when, got)
	}
}

// A gateway may be killed at any step of keeping its policy; the next one starts.
func TestGatewayKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		d := newDesk(t)
		killed := d.serve(n)
		when := fmt.Sprintf("killed at step %d", n)
		d.whole(when)
		if !killed {
			if n < 10 {
				t.Fatalf("only %d steps", n)
			}
			return
		}
		d.serve(0)
		d.whole(when + ", after the next start")
		a, err := openArchive(d.state)
		if err != nil {
			t.Fatal(err)
		}
		if of, err := a.of(d.file, func(r *revision) uint64 { return r.InForce }); len(of) != 1 || err != nil {
			t.Fatalf("%s: %d revisions were in force, %v", when, len(of), err)
		}
	}
}

// serve runs a gateway until it is killed, or has told its archive what is in
// force.
func (d *desk) serve(at int) (killed bool) {
	d.t.Helper()
	cmd, out := d.command(at, "run", "--listen", "127.0.0.1:0", "--policy", "policy.yaml", "--log", "json")
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	a, err := openArchive(d.state)
	if err != nil {
		d.t.Fatal(err)
	}
	told := make(chan bool, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		ok, _ := whenever(filepath.Join(d.state, "policy"), func() bool {
			select {
			case <-stop:
				return true
			default:
			}
			now, ok, _ := a.inForce()
			return ok && now.PID == cmd.Process.Pid
		})
		told <- ok
	}()
	select {
	case err := <-ended:
		if at == 0 || fmt.Sprint(err) != "signal: killed" {
			d.t.Fatalf("%v:\n%s", err, out)
		}
		return true
	case ok := <-told:
		_ = cmd.Process.Kill()
		<-ended
		if !ok {
			d.t.Fatalf("neither killed nor serving:\n%s", out)
		}
		return false
	}
}
