// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestNextHop(t *testing.T) {
	for _, tt := range []struct {
		connection []string
		drops      string // besides the fields that always go
	}{
		{nil, ""},
		{[]string{"close"}, ""},
		{[]string{"keep-alive, X-One"}, "X-One"},
		{[]string{"x-one", " ,x-TWO\t, "}, "X-One X-Two"},
		{[]string{"Authorization, Cookie, X-One"}, "X-One"}, // not what the origin counts on
		{[]string{"Host, Content-Length, Via"}, ""},
	} {
		in := http.Header{
			"Connection": tt.connection, "X-One": {"1"}, "X-Two": {"2"}, "Authorization": {"a"}, "Cookie": {"c"}, "Via": {"1.1 x"},
			"Proxy-Authorization": {"p"}, "Proxy-Connection": {"p"}, "Keep-Alive": {"k"}, "Te": {"t"}, "Transfer-Encoding": {"t"},
			"Trailer": {"t"}, "Upgrade": {"u"}, "Proxy-Authenticate": {"p"}, "Proxy-Authentication-Info": {"p"},
		}
		before := len(in)
		out := nextHop(in)
		var want []string
		for _, name := range []string{"Authorization", "Cookie", "Via", "X-One", "X-Two"} {
			if !strings.Contains(" "+tt.drops+" ", " "+name+" ") {
				want = append(want, name)
			}
		}
		if got := slices.Sorted(maps.Keys(out)); !slices.Equal(got, want) {
			t.Errorf("Connection %q: %q go on, want %q", tt.connection, got, want)
		}
		if len(in) != before {
			t.Errorf("Connection %q: the message that came was changed", tt.connection)
		}
	}
	if out := nextHop(nil); out == nil {
		t.Error("nil header: the next hop's cannot be written to")
	}
}

func TestVia(t *testing.T) {
	h := http.Header{"Via": {"1.0 a", "1.1 b"}}
	via(h, 1, 0)
	if got := h.Get("Via"); got != "1.0 a, 1.1 b, 1.0 sallyport" || len(h["Via"]) != 1 {
		t.Errorf("Via: %q", h["Via"])
	}
}
