// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy reads the policy file and decides requests by it.
//
// Deciding is a pure function from a Query to a Decision: it cannot fail,
// block, log or dial. Everything a Policy holds is immutable after Load, so
// any number of goroutines may ask it at once.
package policy
