// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerUID is whose process is at the other end of a unix socket, as the kernel
// has it: of a client the one that connected, of a server the one that listens.
func peerUID(c net.Conn) (uid int, ok bool) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil || err != nil {
		return 0, false
	}
	return int(cred.Uid), true
}

// peerOf says who is at the other end of a connection to the admin socket. Only
// the gateway's own user and root may ask anything.
func peerOf(c net.Conn) caller {
	uid, ok := peerUID(c)
	if !ok || uid != 0 && uid != os.Geteuid() {
		return caller{}
	}
	who := caller{author{UID: uid}, true}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		who.User = u.Username
	}
	return who
}
