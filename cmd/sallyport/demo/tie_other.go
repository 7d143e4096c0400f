// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package demo

import "os/exec"

// tie does nothing: there is no such promise here.
func tie(*exec.Cmd) (free func()) { return func() {} }

// asNobody does nothing: a peer sees to it itself.
func asNobody(*exec.Cmd, string) error { return nil }
