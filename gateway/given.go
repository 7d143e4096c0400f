// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// A given is the listener of net/http's server: its connections come from the
// engine, which has found out what they speak. Make it by newGiven.
type given struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newGiven() *given {
	return &given{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands c over. False: nobody takes it any more.
func (g *given) give(c net.Conn) bool {
	select {
	case g.conns <- c:
		return true
	case <-g.done:
		return false
	}
}

// Accept implements net.Listener.
func (g *given) Accept() (net.Conn, error) {
	select {
	case c := <-g.conns:
		return c, nil
	case <-g.done:
		return nil, http.ErrServerClosed
	}
}

// Close implements net.Listener.
func (g *given) Close() error {
	g.once.Do(func() { close(g.done) })
	return nil
}

// Addr implements net.Listener.
func (g *given) Addr() net.Addr { return &net.TCPAddr{} }

// connOf is the client's connection that a request of net/http came on.
type connOf struct {
	strict *strictConn          // HTTP/1.1; nil: HTTP/2
	tls    *tls.ConnectionState // nil: plain
	inside *inside              // nil: the client's own connection
}

type connKey struct{}

// withConn puts the client's connection where the handler finds it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	var of connOf
	switch c := c.(type) {
	case *strictConn:
		of = connOf{c, c.tls, c.inside}
	case *tls.Conn:
		state := c.ConnectionState()
		of.tls, of.inside = &state, insideOf(c)
	}
	return context.WithValue(ctx, connKey{}, of)
}

func clientOf(ctx context.Context) connOf {
	of, _ := ctx.Value(connKey{}).(connOf)
	return of
}
