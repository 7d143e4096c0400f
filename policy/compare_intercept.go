// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// An InterceptChange is how two policies differ in what they make it possible to
// intercept, and so to mint certificates for: by name, whether or not a request
// is decided differently.
type InterceptChange struct {
	Before, After Interceptable
	Wider         []string // in After and not in Before, for people
	Narrower      []string // the other way round
}

// CompareInterceptable tells what a change of the policy does to that.
func CompareInterceptable(before, after *Policy) InterceptChange {
	c := InterceptChange{Before: before.Interceptable(), After: after.Interceptable()}
	c.Wider, c.Narrower = c.After.Beyond(c.Before), c.Before.Beyond(c.After)
	return c
}

func indented(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString("      " + l + "\n")
	}
	return b.String()
}

// String has a line for what is wider and one for what is narrower; "" when
// neither is.
func (c InterceptChange) String() string {
	var b strings.Builder
	if len(c.Wider) > 0 {
		b.WriteString("mints: certificates can be made for more: " + listedSome(c.Wider) + "\n")
		if was, is := c.Before, c.After; is.AnyName && !was.AnyName || is.AnyAddr && !was.AnyAddr {
			b.WriteString(indented(is.Wide))
		}
	}
	if len(c.Narrower) > 0 {
		b.WriteString("mints no more: " + listedSome(c.Narrower) + "\n")
	}
	return b.String()
}
