// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package convert makes policies of what other proxies are configured with.
//
// What it makes lets nobody do what the source does not. A condition that
// cannot be said in a policy makes a rule that allows be left out, and a rule
// that denies be wider than it was; both are marked in the policy, where they
// stand, and listed for review.
package convert
