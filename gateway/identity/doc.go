// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package identity finds out who a client of the gateway is: by the password or
// the token in Proxy-Authorization (RFC 9110 §11.7), and by the certificate of
// its connection. What it finds is a policy.Client; what may be done with that
// is the policy's.
//
// A Prover that was given nothing proves addresses only. Whoever shows a proof
// that does not hold is refused, whatever the policy says of strangers: a
// mistyped password must not become the access of a guest.
package identity
