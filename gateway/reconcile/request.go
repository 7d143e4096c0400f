// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import "sallyport/gateway/h1"

// Request makes f, the fields of the request, what the origin expects of a client
// that has its pages by https. f itself is used. It comes before Answer.
func (x *Exchange) Request(f h1.Fields) h1.Fields {
	f = x.cookies(f)
	if !x.Secure || !x.Plain && x.View == nil {
		return f
	}
	f = x.readable(f)
	x.conditions(f)
	if x.Rewrite.KeepLinks {
		return f
	}
	up := func(url []byte) ([]byte, bool) { return up(x.Policy, url) }
	if x.View != nil {
		up = x.upView
	}
	for i := range f {
		switch f[i].ID {
		case h1.Origin:
			if sent, ok := up(f[i].Value); ok {
				x.origin, x.sentOrigin = f[i].Value, sent
				f[i].Value = sent
				x.note("Origin")
			}
		case h1.Referer:
			if sent, ok := up(f[i].Value); ok {
				f[i].Value = sent
				x.note("Referer")
			}
		default:
			if x.View != nil {
				x.destination(&f[i])
			}
		}
	}
	return f
}
