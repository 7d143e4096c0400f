// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// adminSocket is the name of the socket in the state directory.
const adminSocket = "admin.sock"

// maxSocketPath is how long the path of a unix socket can be.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// errAnswered: somebody else answers at the socket.
var errAnswered = errors.New("another gateway answers there")

// listenAdmin opens the admin socket of a state directory, which is made when
// there is none. What a gateway that was killed has left there is replaced.
// release is called when the listener has been closed.
func listenAdmin(state string) (l net.Listener, release func(), err error) {
	path, err := socketPath(state)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, nil, fmt.Errorf("others than its owner can look into %s: chmod 700 %s", dir, dir)
	}
	// Whoever has the lock may remove a socket that nobody answers at. It ends
	// with the process, which a socket in the file system does not.
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if ok, err := tryLock(lock); !ok {
		lock.Close()
		if err == nil {
			err = errAnswered
		}
		return nil, nil, err
	}
	if l, err = bindSocket(path); err != nil {
		lock.Close()
		return nil, nil, err
	}
	return l, func() { lock.Close() }, nil
}

func bindSocket(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, errAnswered
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// Nobody else got through the directory meanwhile.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// socketPath is where the admin socket of a state directory is.
func socketPath(state string) (string, error) {
	full, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	path := filepath.Join(full, adminSocket)
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("%s is %d bytes long, and a socket's path has %d at most: choose a shorter --state", path, len(path), maxSocketPath)
	}
	return path, nil
}

// serveAdmin answers commands at the admin socket until stop is called, which
// returns when the last one was answered. A gateway that cannot be asked
// serves all the same (law 12).
func serveAdmin(a *admin) (stop func(), err error) {
	if a.state == "" {
		return func() {}, nil
	}
	l, release, err := listenAdmin(a.state)
	if err != nil {
		return func() {}, fmt.Errorf("the admin socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.serve(ctx, l, peerOf)
	}()
	return func() {
		cancel()
		<-done
		l.Close()
		release()
	}, nil
}
