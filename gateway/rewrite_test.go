// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"strings"
	"testing"

	"sallyport/gateway/h1"
)

func named(fields h1.Fields) (out []string) {
	for _, f := range fields {
		out = append(out, string(f.Name))
	}
	return out
}

// TestPassOn: what belongs to the hop stays, the rest goes on in its order and case.
func TestPassOn(t *testing.T) {
	for _, tt := range []struct {
		connection []string
		drops      string // besides the fields that always go
	}{
		{nil, ""},
		{[]string{"close"}, ""},
		{[]string{"keep-alive, X-One"}, "x-ONE"},
		{[]string{"x-one", " ,x-TWO\t, "}, "x-ONE X-Two"},
		{[]string{"Authorization, Cookie, X-One"}, "x-ONE"}, // not what the origin counts on
		{[]string{"Host, Content-Length, Via"}, ""},
	} {
		in := h1.Fields{field("Via", "1.1 x"), field("x-ONE", "1"), field("Proxy-Authorization", "p"), field("X-Two", "2"), field("Te", "t")}
		for _, v := range tt.connection {
			in = append(in, field("Connection", v))
		}
		in = append(in,
			field("Authorization", "a"), field("proxy-connection", "p"), field("Keep-Alive", "k"), field("Transfer-Encoding", "t"), field("Trailer", "t"),
			field("Upgrade", "u"), field("Proxy-Authenticate", "p"), field("Proxy-Authentication-Info", "p"), field("cookie", "c"))
		before := len(in)
		out := passOn(nil, in)
		var want []string
		for _, name := range []string{"Via", "x-ONE", "X-Two", "Authorization", "cookie"} {
			if !strings.Contains(" "+tt.drops+" ", " "+name+" ") {
				want = append(want, name)
			}
		}
		if got := named(out); !slices.Equal(got, want) {
			t.Errorf("Connection %q: %q go on, want %q", tt.connection, got, want)
		}
		if len(in) != before {
			t.Errorf("Connection %q: the message that came was changed", tt.connection)
		}
	}
}

func TestVia(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		by       protocol
	}{
		{"", "1.1 sallyport", http11},
		{"1.0 a|1.1 b", "1.0 a, 1.1 b, 1.0 sallyport", http10},
		{"2 a", "2 a, 2 sallyport", http2},
	} {
		in := h1.Fields{field("X", "1")}
		for v := range strings.SplitSeq(tt.in, "|") {
			if v != "" {
				in = append(in, field("Via", v), field("Y", "2"))
			}
		}
		out := via(in, tt.by)
		if got := string(out.Get(h1.Via)); got != tt.want || len(slices.DeleteFunc(named(out), func(n string) bool { return n != "Via" })) != 1 {
			t.Errorf("%q: %q, %q", tt.in, got, named(out))
		}
	}
}
