// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/cmd/sallyport/demo"
)

// TestDemoGatewayDiesWithDemo: killed without a chance to do anything, it leaves a
// directory, but nothing that goes on.
func TestDemoGatewayDiesWithDemo(t *testing.T) {
	if os.Getenv("TEST_DEMO_HOST") != "" { // the process that is killed
		_, err := demo.Run(t.Context(), demo.Options{Program: os.Getenv("TEST_DEMO_HOST"), Progress: func(what string) {
			if what == "direct: login" {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}})
		t.Fatalf("it was not killed: %v", err)
	}
	p := trackGateways(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestDemoGatewayDiesWithDemo$")
	cmd.Env = append(os.Environ(), "TEST_DEMO_HOST="+p.program, "TMPDIR="+t.TempDir())
	if err := cmd.Run(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the program ended with %v", err)
	}
	fd, err := unix.PidfdOpen(p.last(t).Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			t.Errorf("its gateway goes on (%v)", err)
		}
		return
	}
}
