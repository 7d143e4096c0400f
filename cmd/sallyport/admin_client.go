// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// An adminClient asks the admin of a state directory.
type adminClient struct {
	http    *http.Client
	running bool // a gateway answers; else this process does
	end     func()
}

// openAdmin asks the gateway that runs on a state directory or, when none does,
// the admin that offline returns, in this process. Close it.
func openAdmin(state string, offline func() (a *admin, end func(), err error)) (*adminClient, error) {
	if state == "" {
		return nil, &exitError{exitUsage, errors.New("there is no state directory; give one with --state")}
	}
	path, pathErr := socketPath(state)
	if pathErr == nil { // else no gateway can listen there
		c, err := dialAdmin(path)
		switch {
		case err == nil:
			c.Close()
			return clientOf(func(context.Context) (net.Conn, error) { return dialAdmin(path) }, true, func() {}), nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		case errors.Is(err, fs.ErrPermission):
			return nil, &exitError{exitFailed, fmt.Errorf("the state directory %s is another user's: run this as that user, or as root", state)}
		default:
			return nil, &exitError{exitFailed, fmt.Errorf("asking the gateway at %s: %w", path, err)}
		}
	}
	a, endOffline, err := offline()
	if err != nil {
		return nil, err
	}
	l := newPipeListener()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		a.serve(ctx, l, func(net.Conn) caller { return caller{thisAuthor(), true} })
	}()
	return clientOf(l.dial, false, func() {
		cancel()
		<-served
		endOffline()
	}), nil
}

func clientOf(dial func(context.Context) (net.Conn, error), running bool, end func()) *adminClient {
	t := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Proxy:              nil, // never through a proxy
		DisableCompression: true,
	}
	return &adminClient{&http.Client{Transport: t}, running, func() { t.CloseIdleConnections(); end() }}
}

// dialAdmin connects to the admin socket, when it is the directory's owner, or
// root, who listens there.
func dialAdmin(path string) (net.Conn, error) {
	c, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		c.Close()
		return nil, err
	}
	own, _ := owner(info)
	if uid, ok := peerUID(c); !ok || uid != 0 && uid != own && uid != os.Geteuid() {
		c.Close()
		return nil, errors.New("who answers there is neither the directory's owner nor root")
	}
	return c, nil
}

// close ends the conversation, and what was opened for it.
func (c *adminClient) close() { c.end() }

// call sends in, unless it is nil, as JSON and decodes the answer into out,
// unless that is nil.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	return c.send(ctx, method, path, body, out)
}

// send is call with a body as it is.
func (c *adminClient) send(ctx context.Context, method, path string, body io.Reader, out any) error {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(r.Body).Decode(out); err != nil {
		return &exitError{exitFailed, fmt.Errorf("the gateway's answer was cut off: %w", err)}
	}
	return nil
}

// receive copies the bytes of an answer to w.
func (c *adminClient) receive(ctx context.Context, path string, w io.Writer) error {
	r, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(w, r.Body); err != nil {
		return &exitError{exitFailed, err}
	}
	if why := r.Trailer.Get(streamError); why != "" {
		return &exitError{exitFailed, errors.New(why)}
	}
	return nil
}

// do returns an answer that is not an error, to be closed.
func (c *adminClient) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, method, "http://admin"+path, body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Sallyport-Sudo", os.Getenv("SUDO_USER"))
	r, err := c.http.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, &exitError{exitFailed, errors.New("interrupted")}
		}
		return nil, &exitError{exitFailed, fmt.Errorf("asking the gateway: %w", err)}
	}
	if r.StatusCode == http.StatusOK {
		return r, nil
	}
	defer r.Body.Close()
	var e adminError
	b, _ := io.ReadAll(io.LimitReader(r.Body, maxAdminBody))
	if json.Unmarshal(b, &e) != nil || e.Text == "" {
		return nil, &exitError{exitFailed, fmt.Errorf("the gateway that runs does not know %s: it may be of another version; restart it with this one", path)}
	}
	return nil, &exitError{e.Code, errors.New(e.Text)}
}

// oneLine is an error as it can stand in a header.
func oneLine(err error) string { return strings.Join(strings.Fields(printable(err.Error())), " ") }

// A pipeListener is where connections within a process are accepted.
type pipeListener struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.ended:
	case <-ctx.Done():
	}
	ours.Close()
	theirs.Close()
	return nil, net.ErrClosed
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
