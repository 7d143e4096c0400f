// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// The head of an answer does not wait for its body, unless that is so small
// that it is bound to come with it.
func TestHeadDoesNotWaitForItsBody(t *testing.T) {
	r := newRig(t, "  - {name: plain, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n")
	release := make(chan struct{})
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		<-release
		_, _ = io.WriteString(c, "4\r\nlate\r\n0\r\n\r\n")
	})
	c := r.dial(r.addr)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: %[1]s\r\n\r\n", origin)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	close(release) // whatever came of it, the origin has to end
	if err != nil {
		t.Fatalf("the head did not come ahead of the body: %v", err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "late" {
		t.Errorf("body %q, %v", body, err)
	}
}
