// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// deferAccept is for how many seconds a connection whose client says nothing is
// left to the kernel (tcp(7)): what is accepted can be served at once, without
// waiting a second time.
const deferAccept = 1

func init() {
	prepare = func(_, _ string, c syscall.RawConn) error {
		var err error
		if controlErr := c.Control(func(fd uintptr) {
			for _, o := range []struct{ level, name, value int }{
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(probeIdle.Seconds())},
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(probeInterval.Seconds())},
				{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probeCount},
				{unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept},
			} {
				if err = unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
					err = os.NewSyscallError("setsockopt", err)
					return
				}
			}
		}); controlErr != nil {
			return controlErr
		}
		return err
	}
}
