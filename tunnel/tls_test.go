// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestRefusalInWords(t *testing.T) {
	start := func(refuse error) *rig {
		r := newRig(t)
		r.tunnel.ClientFirst = true
		r.tunnel.Check = func(Hello, error) error { return refuse }
		return r.start()
	}
	for refuse, want := range map[error]string{ErrName: "unrecognized name", io.ErrNoProgress: "access denied"} {
		r := start(refuse)
		err := tls.Client(r.client, &tls.Config{ServerName: "a.example"}).Handshake()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("crypto/tls: %v, want %s", err, want)
		}
		r.client.Close()
		r.wait()
	}

	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := exec.Command(openssl, "s_client", "-connect", ln.Addr().String(), "-servername", "a.example")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	origin, _ := tcpPair(t)
	tun := Tunnel{Client: c, Origin: origin, ClientFirst: true, Check: func(Hello, error) error { return ErrName }}
	if _, err := tun.Run(t.Context()); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	_ = cmd.Wait() // it fails, which is the point
	if !strings.Contains(out.String(), "alert unrecognized name") && !strings.Contains(out.String(), "alert number 112") {
		t.Errorf("openssl: %s", out.String())
	}
}

func TestTLSThroughTunnel(t *testing.T) {
	cert := selfSigned(t, "origin.example")
	r := newRig(t)
	r.tunnel.ClientFirst = true
	r.tunnel.Check = wantName("origin.example")
	r.start()
	down := noise(5 << 20)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s := tls.Server(r.origin, &tls.Config{Certificates: []tls.Certificate{cert}})
		if _, err := io.ReadAll(s); err != nil { // until close_notify
			t.Error(err)
		}
		s.Write(down)
		s.Close()
	}()
	c := tls.Client(r.client, &tls.Config{ServerName: "origin.example", RootCAs: poolOf(cert)})
	write(t, c, "GET")
	c.CloseWrite()
	receive(t, c, down)
	c.Close()
	<-served
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
}

func TestTLSAtOneEnd(t *testing.T) {
	cert := selfSigned(t, "origin.example")
	handshaken := func(r *rig) (near, far *tls.Conn) {
		far = tls.Server(r.origin, &tls.Config{Certificates: []tls.Certificate{cert}})
		near = tls.Client(r.tunnel.Origin, &tls.Config{ServerName: "origin.example", RootCAs: poolOf(cert)})
		done := make(chan error)
		go func() { done <- far.Handshake() }()
		if err := errors.Join(near.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		r.tunnel.Origin = near
		return near, far
	}
	up, down := noise(3<<20), noise(4<<20)

	r := newRig(t)
	_, far := handshaken(r)
	r.start()
	go send(t, r.client, up)
	receive(t, far, up)
	go func() {
		far.Write(down)
		far.CloseWrite()
	}()
	receive(t, r.client, down)
	res, err := r.wait()
	if err != nil {
		t.Error(err)
	}
	checkCounts(t, res, int64(len(up)), int64(len(down)))

	// An end in the middle of a record is a cut (RFC 8446 §6.1; between records
	// crypto/tls takes it for an end).
	r = newRig(t)
	_, far = handshaken(r)
	r.start()
	write(t, far, "half a mess")
	expect(t, r.client, "half a mess")
	write(t, r.origin, "\x17\x03\x03\x00\x50age")
	r.origin.Close()
	if _, err := r.client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client read %v, want a reset", err)
	}
	if res, err := r.wait(); !errors.Is(err, io.ErrUnexpectedEOF) || res.Reason != ReasonOrigin {
		t.Errorf("%q, %v", res.Reason, err)
	}

	// And a cut on the client's side must not become a close_notify.
	r = newRig(t)
	_, far = handshaken(r)
	r.start()
	write(t, r.client, "half a mess")
	expect(t, far, "half a mess")
	r.client.SetLinger(0)
	r.client.Close()
	if _, err := far.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the origin read %v", err)
	}
	r.wait()
}
