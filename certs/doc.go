// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package certs is the gateway's side of TLS towards origins: what it
// trusts, what it shows, and what it says when verification goes wrong.
//
// A Profile is what an operator writes; Load turns it into a Trust, which is
// immutable and can only be replaced as a whole. Verification is always on:
// neither type has a field that could turn it off. Trusting less than the
// system does, or something else, is a matter of roots and pins.
package certs
