// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHandshake prints what a client of today gets: version, cipher suite, key
// exchange, ALPN, and the first name of the certificate, which it does not
// verify: handshake ADDR NAME [ALPN...]. With ! there is no handshake.
func cmdHandshake(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] handshake addr name [alpn...]")
	}
	c := &tls.Config{ServerName: args[1], InsecureSkipVerify: true, NextProtos: args[2:]}
	if len(args) == 2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience, Deadline: time.Now().Add(patience)}, "tcp", args[0], c)
	if err != nil {
		if !neg {
			ts.Fatalf("%v", err)
		}
		fmt.Fprintln(ts.Stdout(), err)
		return
	}
	defer conn.Close()
	if neg {
		ts.Fatalf("there is a handshake")
	}
	s, name := conn.ConnectionState(), ""
	if leaf := s.PeerCertificates[0]; len(leaf.DNSNames) > 0 {
		name = leaf.DNSNames[0]
	}
	fmt.Fprintln(ts.Stdout(), tls.VersionName(s.Version), tls.CipherSuiteName(s.CipherSuite), s.CurveID, s.NegotiatedProtocol, name)
}
