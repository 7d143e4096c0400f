// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// tie has the kernel end the process of cmd when this program dies, killed and
// without a chance to do it. That holds for the thread that starts it (prctl(2),
// PR_SET_PDEATHSIG), so the caller keeps it until the process has ended, and then
// calls what is returned.
func tie(cmd *exec.Cmd) (free func()) {
	runtime.LockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	return runtime.UnlockOSThread
}

// nobody is the user that owns nothing else (Linux Standard Base, ch. 23).
const nobody = 65534

// asNobody has cmd, whose files are below dir, run without root's rights where we have
// them.
func asNobody(cmd *exec.Cmd, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
}
