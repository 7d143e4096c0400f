// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import "time"

// Limits bound what one peer can make the gateway hold or wait for. Zero
// fields mean the default that stands beside them.
type Limits struct {
	Head     int           // bytes of a request's head; 64 KiB
	HeadTime time.Duration // to receive a request's head; 30 s
	Idle     time.Duration // of a client connection between requests; 2 min
	Stall    time.Duration // for the client to take or give the next bytes of a body; 5 min
	Answer   time.Duration // for the origin to begin its answer; 5 min
	Shake    time.Duration // for a TLS handshake, with an origin or a client; 10 s
	Tunnel   time.Duration // of a tunnel without a byte either way, where its rule says nothing; 1 h
}

func (l Limits) head() int               { return or(l.Head, 64<<10) }
func (l Limits) headTime() time.Duration { return or(l.HeadTime, 30*time.Second) }
func (l Limits) idle() time.Duration     { return or(l.Idle, 2*time.Minute) }
func (l Limits) stall() time.Duration    { return or(l.Stall, 5*time.Minute) }
func (l Limits) answer() time.Duration   { return or(l.Answer, 5*time.Minute) }
func (l Limits) shake() time.Duration    { return or(l.Shake, 10*time.Second) }
func (l Limits) tunnel() time.Duration   { return or(l.Tunnel, time.Hour) }

func or[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}
