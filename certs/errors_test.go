// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestDescribeWire: origins that are broken below TLS, on real sockets.
func TestDescribeWire(t *testing.T) {
	trust := load(t, Profile{})
	first := make([]byte, 1)
	tests := []struct {
		name   string
		handle func(*origin, net.Conn)
		want   string
	}{
		{
			"http", func(_ *origin, c net.Conn) { c.Read(first); c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
			"the origin answered in cleartext, with HTTP: TLS is not served on this port, check it",
		},
		{
			"ssh", func(_ *origin, c net.Conn) { c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n")); io.Copy(io.Discard, c) },
			"the origin answered in cleartext: TLS is not served on this port, check it",
		},
		{
			"closes", func(_ *origin, c net.Conn) { c.Read(make([]byte, 1<<14)) },
			"the origin closed the connection during the TLS handshake: ",
		},
		{
			"resets", func(_ *origin, c net.Conn) { c.Read(first); c.(*net.TCPConn).SetLinger(0) },
			"the origin closed the connection during the TLS handshake: ",
		},
		{
			"too old", func(_ *origin, c net.Conn) {
				c.Read(make([]byte, 1<<14))
				c.Write(oldServerHello())
				io.Copy(io.Discard, c)
			},
			"the origin speaks only an older TLS than allowed: it must offer TLS 1.2 or 1.3",
		},
		{
			"access denied", func(_ *origin, c net.Conn) {
				c.Read(make([]byte, 1<<14))
				c.Write([]byte{21, 3, 3, 0, 2, 2, 49})
				io.Copy(io.Discard, c)
			},
			"the origin refuses this client (alert access_denied): ",
		},
		{
			"an alert nobody knows", func(_ *origin, c net.Conn) {
				c.Read(make([]byte, 1<<14))
				c.Write([]byte{21, 3, 3, 0, 2, 2, 200})
				io.Copy(io.Discard, c)
			},
			"the origin broke off the TLS handshake (alert 200): ask its operator",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := serveRaw(t, tt.handle).connect(t, trust.Config(host))
			checkDescribed(t, err, tt.want)
		})
	}
}

// oldServerHello chooses TLS 1.1 whatever was offered.
func oldServerHello() []byte {
	msg := append([]byte{2, 0, 0, 38, 3, 2}, make([]byte, 32)...)
	msg = append(msg, 0, 0xc0, 0x13, 0)
	return append([]byte{22, 3, 2, 0, byte(len(msg))}, msg...)
}

func TestDescribeTimeout(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go io.Copy(io.Discard, far) // listens and says nothing
	near.SetDeadline(time.Now().Add(20 * time.Millisecond))
	err := tls.Client(near, load(t, Profile{}).Config(host)).Handshake()
	checkDescribed(t, err, "the TLS handshake took too long: ")
}

// TestDescribeWrapped: what http.Transport and others wrap around an error
// changes nothing.
func TestDescribeWrapped(t *testing.T) {
	pin := &PinError{Host: host, Got: []string{"sha256//x"}}
	for err, want := range map[error]string{
		&url.Error{Op: "Get", URL: "https://x", Err: fmt.Errorf("dial: %w", pin)}: "none of its keys is pinned, it has sha256//x: ",
		fmt.Errorf("x: %w", x509.SystemRootsError{}):                              "this machine has no trusted roots: ",
		fmt.Errorf("x: %w", context.DeadlineExceeded):                             "the TLS handshake took too long: ",
		fmt.Errorf("x: %w", context.Canceled):                                     "given up, the client is gone",
		errors.New("odd\nsecond \x1b[31mline"):                                    `"odd\nsecond \x1b[31mline"`,
		&PinError{Host: host}:                                                     "there is no verified chain to find a pin in",
		x509.CertificateInvalidError{Reason: x509.Expired}:                        "a certificate has expired or is not yet valid: ",
		x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}:           "too many intermediates",
		x509.CertificateInvalidError{Reason: x509.NameConstraintsWithoutSANs}:     "a certificate breaks a constraint of its authority",
	} {
		got, event := Describe(err, host)
		if !strings.Contains(got, want) || strings.ContainsAny(got, "\n\x1b") || event == "" {
			t.Errorf("%v is described as %q, want %q", err, got, want)
		}
	}
	if got, event := Describe(nil, host); got != "" || event != "" {
		t.Errorf("nil is described as %q", got)
	}
	if got, _ := Describe(io.EOF, "a\nb"); strings.Contains(got, "\n") {
		t.Errorf("a host forges a line: %q", got)
	}
}

// TestNamesAreQuoted: an origin chooses the text of its certificate.
func TestNamesAreQuoted(t *testing.T) {
	evil := issue(t, nil, x509.Certificate{Subject: subject("a\nb: all is well" + strings.Repeat("x", 500)), DNSNames: []string{host}})
	o := serve(t, &tls.Config{Certificates: []tls.Certificate{evil.with()}})
	_, err := o.connect(t, load(t, Profile{}).Config(host))
	checkDescribed(t, err, `the certificate is self-signed, by "CN=a\nb: all is well`)
	if got, _ := Describe(err, host); len(got) > 500 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
