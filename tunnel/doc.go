// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package tunnel carries bytes between a client and an origin without
// reading more of them than it must.
//
// Four pieces, each usable alone: Names, which looks names up and remembers
// them, a Dialer that asks for permission with the very address it is about to
// connect to, ParseHello, which reads a TLS
// ClientHello that somebody else will consume, and Tunnel, which moves bytes
// both ways until both sides have said that they are done.
//
// The package knows nothing of policy: what is permitted and which name is
// right are functions of the caller's, and a missing one refuses.
package tunnel
