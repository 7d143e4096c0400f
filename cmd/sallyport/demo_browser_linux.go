// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"syscall"
)

// openBrowser shows url in the browser that the desktop has for it. It is a
// convenience: where that fails, the address is on the terminal. The browser is
// in a session of its own, so that the interrupt that ends us does not end it.
func openBrowser(url string) {
	cmd := exec.Command("xdg-open", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
