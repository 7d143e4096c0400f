// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package h3 speaks HTTP/3 (RFC 9114) with origins, by quic-go, which only this
// package knows. It keeps QUIC connections for the requests to come, and remembers
// which origins have said that they speak it. Where they may be, and whom to trust,
// it is told.
//
//	socket.go   UDP to one address and nobody else
//	connect.go  the handshake
//	pool.go     connections in use and kept
//	exchange.go a request and the head of its answer
//	body.go     the bodies of both
//	errors.go   what a failure means for whoever asks again
//	altsvc.go   what origins say of HTTP/3 (RFC 7838)
//	known.go    which of them have it
package h3
