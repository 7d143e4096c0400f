// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package wire

func newSocket(c *Conn) socket { return plain{c} }
