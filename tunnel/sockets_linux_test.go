// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// delivered tells whether the peer's kernel has everything c wrote.
func delivered(t testing.TB, c *net.TCPConn) bool {
	rc, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return true
	}
	left := 0
	rc.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		t.Error(err)
		return true
	}
	return left == 0
}

// buffered returns how many bytes c could read now.
func buffered(t testing.TB, c *net.TCPConn) (n int) {
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	rc.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}
