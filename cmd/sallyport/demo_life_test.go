// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"

	"sallyport/cmd/sallyport/demo"
)

// A tracked program is sallyport, and leaves the ids of its gateways in a file.
type tracked struct{ program, pids string }

func trackGateways(t *testing.T) tracked {
	t.Helper()
	bin, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := tracked{filepath.Join(dir, "sallyport"), filepath.Join(dir, "pids")}
	script := "#!/bin/sh\n[ \"$1\" != run ] || echo $$ >>" + p.pids + "\nexec " + bin + " \"$@\"\n"
	if err := os.WriteFile(p.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// last is the process of the gateway started last.
func (p tracked) last(t *testing.T) *os.Process {
	t.Helper()
	b, err := os.ReadFile(p.pids)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(b))
	pid, err := strconv.Atoi(all[len(all)-1])
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return process
}

// leftIn fails when there is something in a directory.
func leftIn(t *testing.T, dir string) {
	t.Helper()
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", list, err)
	}
}

// TestDemoEndedInTheMiddle: no process and no file is left when it is told to stop.
func TestDemoEndedInTheMiddle(t *testing.T) {
	p := trackGateways(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, when := range []string{"making a CA, origins and a policy", "tunnel: expired", "relay: what it costs"} {
		t.Run(when, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := demo.Run(ctx, demo.Options{Program: p.program, Costs: true, Columns: []string{"tunnel", "relay"}, Progress: func(what string) {
				if what == when {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			if _, err := os.Stat(p.pids); err == nil { // there was one
				if gateway := p.last(t); gateway.Signal(syscall.Signal(0)) == nil {
					t.Errorf("gateway %d goes on", gateway.Pid)
				}
			}
			leftIn(t, tmp)
		})
	}
}

// TestDemoWhoseGatewayDies says so, and not that the modes refuse.
func TestDemoWhoseGatewayDies(t *testing.T) {
	p := trackGateways(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, when := range []string{"originate: ours", "tunnel: early"} {
		_, err := demo.Run(t.Context(), demo.Options{Program: p.program, Columns: []string{"originate", "tunnel"}, Progress: func(what string) {
			if what == when {
				_ = p.last(t).Kill()
			}
		}})
		if err == nil || !strings.HasPrefix(err.Error(), "the gateway ended by itself (signal: killed); its last lines:\n") ||
			!strings.Contains(err.Error(), `"message":"serving"`) {
			t.Errorf("killed at %s: %v", when, err)
		}
		leftIn(t, tmp)
	}
}

// TestDemoWhoseGatewayDoesNotStart tells what the gateway said.
func TestDemoWhoseGatewayDoesNotStart(t *testing.T) {
	p := trackGateways(t)
	script := "#!/bin/sh\n[ \"$1\" != run ] || { echo no room here >&2; exit 3; }\nexec sallyport \"$@\"\n"
	if err := os.WriteFile(p.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := demo.Run(t.Context(), demo.Options{Program: p.program})
	if err == nil || err.Error() != "the gateway ended by itself (exit status 3); its last lines:\n  no room here" {
		t.Errorf("%v", err)
	}
}

// startDemo runs the command with a temporary directory of its own, and waits until
// it has made one there.
func startDemo(t *testing.T) (cmd *exec.Cmd, said *strings.Builder, tmp string) {
	t.Helper()
	bin, err := exec.LookPath("sallyport")
	if err != nil {
		t.Fatal(err)
	}
	tmp = t.TempDir()
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if err := watch.Add(tmp); err != nil {
		t.Fatal(err)
	}
	said = &strings.Builder{}
	cmd = exec.Command(bin, "demo")
	cmd.Env, cmd.Stderr = append(os.Environ(), "TMPDIR="+tmp), said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-watch.Events:
	case <-t.Context().Done():
	}
	return cmd, said, tmp
}

// TestDemoInterrupted: Ctrl-C ends it, with what it had started.
func TestDemoInterrupted(t *testing.T) {
	cmd, said, tmp := startDemo(t)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		t.Errorf("it ended with %v", err)
	}
	if !strings.HasPrefix(said.String(), "sallyport: the comparison was ended, with all that it had started: ") {
		t.Errorf("it said %q", said)
	}
	leftIn(t, tmp)
}
