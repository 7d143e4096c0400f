// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"os/exec"
	"runtime"
	"syscall"
)

// tie has the kernel end the process of cmd when this program dies, killed and
// without a chance to do it. That holds for the thread that starts it (prctl(2),
// PR_SET_PDEATHSIG), so the caller keeps it until the process has ended, and then
// calls what is returned.
func tie(cmd *exec.Cmd) (free func()) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return runtime.UnlockOSThread
}
