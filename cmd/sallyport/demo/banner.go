// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A bannerOrigin speaks first, as ssh does (RFC 4253 §4.2), and knows no TLS.
type bannerOrigin struct {
	fail func(error)
	l    net.Listener
	done sync.WaitGroup
}

const (
	sshBanner   = "SSH-2.0-demo_origin\r\n"
	sshGreeting = "SSH-2.0-demo_client\r\n"
)

func (b *bannerOrigin) start() (err error) {
	if b.l, err = loopback("the ssh origin"); err != nil {
		return err
	}
	b.done.Go(b.serve)
	return nil
}

func (b *bannerOrigin) close() {
	b.l.Close()
	b.done.Wait()
}

func (b *bannerOrigin) serve() {
	accept(b.l, b.fail, func(c net.Conn) { b.done.Go(func() { b.greet(c) }) })
}

func (b *bannerOrigin) greet(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, sshBanner); err != nil {
		return
	}
	line, err := bufio.NewReader(io.LimitReader(c, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return
	}
	_, _ = io.WriteString(c, "heard "+line)
}
