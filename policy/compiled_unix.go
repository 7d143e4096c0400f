// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package policy

import (
	"io/fs"
	"math"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func mapFile(name string) (mappedFile, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return mappedFile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return mappedFile{}, err
	}
	who, ok := info.Sys().(*syscall.Stat_t)
	if err := owned(info, ok && (who.Uid == 0 || int(who.Uid) == os.Geteuid())); err != nil {
		return mappedFile{}, err
	}
	if info.Size() < int64(compiledHead) || info.Size() > math.MaxInt {
		return mappedFile{}, errCompiled
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return mappedFile{}, &fs.PathError{Op: "mmap", Path: name, Err: err}
	}
	return mappedFile{b, func(b []byte) { _ = unix.Munmap(b) }}, nil
}

// unmapAfter unmaps the file when nobody has t any more.
func (m mappedFile) unmapAfter(t *nameTable) {
	runtime.AddCleanup(t, m.undo, m.bytes)
}
