// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Dial is a connection to the listener without a socket, on which an authority
// in this process asks its tls-alpn-01 challenge: what it asks for is answered
// by whoever has the names, and no port has to be open or reachable. Nothing
// but such a challenge is answered on it. addr is a name and port 443.
func (k *Keeper) Dial(_ context.Context, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port != "443" {
		return nil, fmt.Errorf("certs: connecting to the own listener as %s: it answers on port 443 only", printable(addr))
	}
	if k.byName[host] == nil {
		return nil, fmt.Errorf("certs: connecting to the own listener as %s: %w", printable(host), ErrUnknownName)
	}
	theirs, ours := net.Pipe()
	go k.answerChallenge(ours)
	return theirs, nil
}

// challengeTime is for the handshake of an authority in this process.
const challengeTime = 30 * time.Second

// answerChallenge ends with the handshake, which is all that there is to it.
func (k *Keeper) answerChallenge(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(challengeTime))
	t := tls.Server(c, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg, err := k.forClient(hello)
		if cfg == nil && err == nil {
			err = fmt.Errorf("certs: no challenge for %s", asked(hello.ServerName))
		}
		return cfg, err
	}})
	_ = t.Handshake() // the authority knows what was wrong
}
