// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"
)

// What the clients send is HTTP that ends where it should, or a proxy would be
// measured at waiting.
func TestRequestsAreWhole(t *testing.T) {
	w := way{form: "absolute", scheme: "http", origin: "localhost:8443", size: 1024}
	for _, upload := range []string{"", "length", "chunked"} {
		w.upload = upload
		rest := bytes.NewReader(w.request())
		br := bufio.NewReader(rest)
		r, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%q: %v", upload, err)
		}
		body, err := io.ReadAll(r.Body)
		want, target := uploadSize, "http://localhost:8443/upload"
		if upload == "" {
			want, target = 0, "http://localhost:8443/1024"
		}
		if err != nil || len(body) != want || r.RequestURI != target || r.Host != "localhost:8443" {
			t.Errorf("%q: %s, a body of %d bytes, want %d (%v)", upload, r.RequestURI, len(body), want, err)
		}
		if n := br.Buffered() + rest.Len(); n != 0 {
			t.Errorf("%q: %d bytes more than the request", upload, n)
		}
	}
}

// Each habit has a share of the clients, and a way that the flags cannot spoil.
func TestMixture(t *testing.T) {
	uploads, leaving, tunnels := 0, 0, 0
	for _, h := range mixture(way{form: "absolute", scheme: "http", origin: "o:1", size: 7}, "p:2") {
		if h.way.upload != "" {
			uploads++
		}
		if h.leave {
			leaving++
		}
		if h.way.form == "connect" {
			tunnels++
		}
		if h.way.size < 1024 {
			t.Errorf("%s asks for %d bytes, which the origin does not have", h.name, h.way.size)
		}
	}
	if uploads != 2 || leaving != 2 || tunnels != 3 {
		t.Errorf("%d uploads, %d leaving, %d tunnels", uploads, leaving, tunnels)
	}
}
