// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// privateDir is a directory as a state directory has to be.
func privateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testAdmin(state string) *admin {
	a := newAdmin(&caSlot{state: state})
	a.handle("POST /v1/echo", func(c *adminCall) (any, error) {
		var in struct{ Text string }
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		if in.Text == "no" {
			return nil, &exitError{exitNegative, errors.New("the answer is no")}
		}
		return map[string]string{"text": in.Text, "by": c.by.User}, nil
	})
	a.stream("GET /v1/long", func(_ *adminCall, w io.Writer) error {
		for range 100 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
		return nil
	})
	a.stream("GET /v1/breaks", func(_ *adminCall, w io.Writer) error {
		fmt.Fprint(w, "some")
		return errors.New("the disk\nbroke")
	})
	a.receive("POST /v1/count", func(c *adminCall) (any, error) { return io.Copy(io.Discard, c.Body) })
	return a
}

// bothWays runs a test against a gateway's socket and within the process.
func bothWays(t *testing.T, do func(t *testing.T, c *adminClient)) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running=%v", running), func(t *testing.T) {
			state := privateDir(t)
			a := testAdmin(state)
			if running {
				stop, err := serveAdmin(a)
				if err != nil {
					t.Fatal(err)
				}
				defer stop()
			}
			c, err := openAdmin(state, func() (*admin, func(), error) { return a, func() {}, nil })
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if c.running != running {
				t.Fatalf("running is %v", c.running)
			}
			do(t, c)
		})
	}
}

// Whether a gateway runs or not: answers, errors with their exit codes, streams
// both ways, and streams that break off.
func TestAdminAnswersBothWays(t *testing.T) {
	bothWays(t, func(t *testing.T, c *adminClient) {
		ctx := t.Context()
		var out struct{ Text, By string }
		if err := c.call(ctx, "POST", "/v1/echo", map[string]string{"text": "hello"}, &out); err != nil || out.Text != "hello" || out.By != thisAuthor().User {
			t.Fatalf("%+v, %v", out, err)
		}
		var exit *exitError
		if err := c.call(ctx, "POST", "/v1/echo", map[string]string{"text": "no"}, nil); !errors.As(err, &exit) || exit.code != exitNegative || err.Error() != "the answer is no" {
			t.Errorf("%v", err)
		}
		if err := c.call(ctx, "POST", "/v1/echo", map[string]int{"number": 1}, nil); !errors.As(err, &exit) || exit.code != exitUsage || !strings.Contains(err.Error(), "unknown field") {
			t.Errorf("%v", err)
		}
		if err := c.call(ctx, "POST", "/v1/echo", map[string]string{"text": strings.Repeat("x", maxAdminBody)}, nil); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%v", err)
		}
		if err := c.call(ctx, "GET", "/v2/later", nil, nil); err == nil || !strings.Contains(err.Error(), "the gateway that runs does not know /v2/later") {
			t.Errorf("%v", err)
		}
		var n int64
		if err := c.send(ctx, "POST", "/v1/count", io.LimitReader(zeros{}, 5<<20), &n); err != nil || n != 5<<20 {
			t.Errorf("%d, %v", n, err)
		}
		var b strings.Builder
		if err := c.receive(ctx, "/v1/long", &b); err != nil || b.Len() != 100*64<<10 {
			t.Errorf("%d, %v", b.Len(), err)
		}
		b.Reset()
		if err := c.receive(ctx, "/v1/breaks", &b); err == nil || err.Error() != `the disk broke` || b.String() != "some" {
			t.Errorf("%q, %v", b.String(), err)
		}
		dead, cancel := context.WithCancel(ctx)
		cancel()
		if err := c.call(dead, "POST", "/v1/echo", nil, nil); err == nil || err.Error() != "interrupted" {
			t.Errorf("%v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// A socket that a killed gateway has left is replaced; one that somebody answers
// at is not, and neither is a file.
func TestAdminSocketIsReplacedWhenNobodyAnswers(t *testing.T) {
	state := privateDir(t)
	path := filepath.Join(state, adminSocket)
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	stop, err := serveAdmin(testAdmin(state))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := serveAdmin(testAdmin(state)); !errors.Is(err, errAnswered) {
		t.Errorf("a second one: %v", err)
	}
	stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := serveAdmin(testAdmin(state)); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a file in its place: %v", err)
	}
}

func TestAdminSocketRefusesWhatOthersCanReach(t *testing.T) {
	state := privateDir(t)
	if err := os.Chmod(state, 0o750); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("the admin socket: others than its owner can look into %s: chmod 700 %s", state, state)
	if _, err := serveAdmin(testAdmin(state)); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	long := filepath.Join(state, strings.Repeat("d", 100))
	if _, err := serveAdmin(testAdmin(long)); err == nil || !strings.Contains(err.Error(), "bytes long, and a socket's path has") || !strings.HasSuffix(err.Error(), "choose a shorter --state") {
		t.Errorf("%v", err)
	}
}

// Who is not known may do nothing.
func TestAdminRefusesStrangers(t *testing.T) {
	a := testAdmin(privateDir(t))
	l := newPipeListener()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.serve(ctx, l, func(net.Conn) caller { return caller{} })
	}()
	c := clientOf(l.dial, true, func() {})
	for _, path := range []string{"/v1/gateway", "/v1/long"} {
		err := c.call(t.Context(), http.MethodGet, path, nil, nil)
		if err == nil || err.Error() != "only the gateway's own user and root may ask the gateway" {
			t.Errorf("%s: %v", path, err)
		}
	}
	c.close()
	cancel()
	<-ended
}
