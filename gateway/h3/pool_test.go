// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

// TestClosedPoolSendsWaitersElsewhere: they were told that their own client had left.
func TestClosedPoolSendsWaitersElsewhere(t *testing.T) {
	dialing := make(chan struct{})
	p := &Pool{Most: 1, Idle: time.Minute, Dial: func(ctx context.Context, _ string) (*Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	go func() {
		<-dialing
		p.Close()
	}()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test:443/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := p.RoundTrip(&Request{Request: q}); !errors.Is(err, ErrClosed) || !errors.As(err, &e) || !e.Repeat {
		t.Errorf("%v", err)
	}
	if _, err := p.RoundTrip(&Request{Request: q}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if n := p.Conns(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestWaiterThatLeaves ends no dial that others wait for.
func TestWaiterThatLeaves(t *testing.T) {
	dialing, failed := make(chan struct{}), errors.New("nobody there")
	p := &Pool{Most: 1, Idle: time.Minute, Dial: func(ctx context.Context, _ string) (*Conn, error) {
		<-dialing
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
		return nil, failed
	}}
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.take(ctx, "a.test:443"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(dialing)
	if _, _, err := p.take(t.Context(), "a.test:443"); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if len(p.origins) != 0 {
		t.Error("something is left of it")
	}
	var none Pool
	if _, _, err := none.take(t.Context(), "a.test:443"); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
