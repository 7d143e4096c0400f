// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package demo

import "time"

// usage is not known here.
func usage(int) (cpu time.Duration, resident int64, ok bool) { return 0, 0, false }
