// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// openBrowser does nothing: the address is on the terminal.
func openBrowser(string) {}
