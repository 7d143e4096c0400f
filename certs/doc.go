// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package certs is the gateway's side of TLS: towards origins, what it trusts,
// what it shows, and what it says when verification goes wrong; towards its
// own clients, the certificates that its listener shows.
//
// A Profile is what an operator writes; Load turns it into a Trust, which is
// immutable and can only be replaced as a whole. Verification is always on:
// neither type has a field that could turn it off. Trusting less than the
// system does, or something else, is a matter of roots and pins.
//
// A Keeper obtains the listener's certificates by ACME, reads them from files,
// or has them issued, and renews them in time.
package certs
