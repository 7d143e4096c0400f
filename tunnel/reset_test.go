// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
)

func TestReset(t *testing.T) {
	for _, byClient := range []bool{true, false} {
		r := newRig(t).start()
		write(t, r.client, "ping")
		expect(t, r.origin, "ping")
		write(t, r.origin, "pong")
		expect(t, r.client, "pong")
		from, to, reason := r.client, r.origin, ReasonClient
		if !byClient {
			from, to, reason = to, from, ReasonOrigin
		}
		from.SetLinger(0)
		from.Close()
		if n, err := to.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("by client %t: the other side read %d, %v", byClient, n, err)
		}
		res, err := r.wait()
		if !errors.Is(err, syscall.ECONNRESET) || res.Reason != reason {
			t.Errorf("by client %t: %q, %v", byClient, res.Reason, err)
		}
	}
}

func TestResetDuringUpload(t *testing.T) {
	chunk := noise(1 << 20)
	for range 50 {
		r := newRig(t).start()
		write(t, r.origin, "go")
		expect(t, r.client, "go")
		wrote := make(chan error)
		go func() {
			for {
				if _, err := r.client.Write(chunk); err != nil {
					wrote <- err
					return
				}
			}
		}()
		io.ReadFull(r.origin, make([]byte, 200<<10))
		r.origin.SetLinger(0)
		r.origin.Close()
		// The client, too, learns of it in one of two ways.
		_, rerr := r.client.Read(make([]byte, 1))
		werr := <-wrote
		if !errors.Is(rerr, syscall.ECONNRESET) && !errors.Is(werr, syscall.ECONNRESET) {
			t.Fatalf("the client read %v and wrote %v: an ordinary end", rerr, werr)
		}
		if res, err := r.wait(); err == nil || res.Reason != ReasonOrigin {
			t.Fatalf("%q, %v", res.Reason, err)
		}
	}
}

func TestEarlyAnswer(t *testing.T) {
	answer := noise(4 << 20)
	r := newRig(t).start()
	upload := make(chan struct{})
	go func() {
		defer close(upload)
		chunk := noise(1 << 20)
		for {
			if _, err := r.client.Write(chunk); err != nil {
				return // the connection ends under it
			}
		}
	}()
	io.ReadFull(r.origin, make([]byte, 200<<10))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.origin.Write(answer)
		r.origin.CloseWrite()
		// The answer is taken; now the unread upload makes this a reset.
		for !delivered(t, r.origin) {
			runtime.Gosched()
		}
		r.origin.Close()
	}()
	receive(t, r.client, answer)
	<-answered
	r.client.Close()
	<-upload
	res, err := r.wait()
	if err == nil || res.Reason != ReasonOrigin {
		t.Errorf("%q, %v", res.Reason, err)
	}
	if res.Received != int64(len(answer)) {
		t.Errorf("%d bytes of the answer counted", res.Received)
	}
}
