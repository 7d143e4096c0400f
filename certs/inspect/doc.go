// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package inspect looks at certificates: it reads files in whatever form they
// come in, asks servers for theirs, and describes them for people and programs.
// It trusts nothing of what it reads and judges nothing; certs.ExplainChain
// judges. No text that it makes contains anything of a private key, but text
// that a certificate chose comes out as it is: whoever prints it escapes it.
package inspect
