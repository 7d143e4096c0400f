// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "path/filepath"

// longLists is where policies find long lists compiled, for policy.Loader; ""
// without a state directory.
func longLists(state string) string {
	if state == "" {
		return ""
	}
	return filepath.Join(state, "lists")
}
