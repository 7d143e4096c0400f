// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package reconcile makes the fields of messages fit two sides that do not speak
// the same scheme: a client that asks by http URLs and an origin that is met by
// https. It looks at fields only; where a link leads is for the policy to say, which
// is asked through Policy.
package reconcile
