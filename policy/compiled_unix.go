// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package policy

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
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
	owner, _ := ownerOf(info)
	mine := owner == 0 || owner == os.Geteuid()
	if dir, err := os.Stat(filepath.Dir(name)); err == nil && !mine {
		whose, _ := ownerOf(dir) // who could put anything there
		mine = owner == whose
	}
	if err := owned(info, mine); err != nil {
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

// ownerOf is the user and the group of a file; none when that is not known.
func ownerOf(info os.FileInfo) (user, group int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}

// give makes what root has made the property of whose directory it is for, as
// the gateway, which is not root, has to read it.
func give(name, dir string) {
	if os.Geteuid() != 0 {
		return
	}
	if info, err := os.Stat(dir); err == nil {
		user, group := ownerOf(info)
		_ = os.Lchown(name, user, group)
	}
}

// unmapAfter unmaps the file when nobody has t any more.
func (m mappedFile) unmapAfter(t *nameTable) {
	runtime.AddCleanup(t, m.undo, m.bytes)
}
