// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "time"

func processorTime() time.Duration { return 0 }
