// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package demo

// openFiles is not known here.
func openFiles() uint64 { return 0 }
