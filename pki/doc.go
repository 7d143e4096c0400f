// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki is the certification authority of the gateway: two roots, four
// issuers, and what they have signed.
//
// The edge root is what clients trust: its issuers server and intercept sign
// certificates for servers. The identity root is what the gateway and origins
// trust: its issuers client and delegated sign certificates for clients. No
// certificate of one purpose passes for another, because roots differ and
// each issuer is held to its one extended key usage.
//
// Everything is kept in one file, ca.db, and every private key in it is
// sealed under a key that is derived from a passphrase. One process has the
// file open at a time.
//
// smallstep's authority does the signing of what is asked for one by one; it
// is embedded as a library, and this package alone imports it. Whatever it
// decides, a certificate is made in gate.go only, which judges it anew.
package pki
