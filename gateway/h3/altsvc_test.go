// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"testing"
	"time"
)

func TestAltSvc(t *testing.T) {
	for _, x := range []struct {
		value string
		want  time.Duration
	}{
		{`h3=":443"`, 24 * time.Hour},
		{`h3=":443"; ma=60`, time.Minute},
		{`h3=":443";MA=60;persist=1`, time.Minute},
		{"\t" + `h2="other.test:443", h3=":443" ; ma="60" , h3-29=":443"`, time.Minute},
		{`h3=":443"; ma=60, h3=":443"; ma=3600`, time.Minute},
		{`h3="\:443"; ma=60`, time.Minute},
		{`h3=":443"; ma=0`, 0},
		{`clear`, 0},
		{` clear `, 0},
		{`h3=":8443"`, 0},
		{`h3="www.test:443"`, 0}, // even if it were the same host: it says so without
		{`h3="[::1]:443"`, 0},
		{`h3=":0443"`, 0},
		{`h3=":+443"`, 0},
		{`h3=:443`, 24 * time.Hour}, // a value without quotes is not what RFC 7838 writes, and means the same
		{`H3=":443"`, 0},            // names of protocols are bytes
		{`h%33=":443"`, 0},          // and written in one way (RFC 7838 §3)
		{`h3-29=":443"`, 0},
		{``, 0},
		{`h3`, 0},
		{`h3=`, 0},
		{`=":443"`, 0},
		{`h3=":443`, 0},
		{`h3=":443\`, 0},
		{`h3=":443",`, 0},
		{`h3=":443" ma=60`, 0},
		{`h3=":443"; ma=-1`, 0},
		{`h3=":443"; ma=99999999999999999999`, 0},
		{`h3=":443"; ma`, 0},
		{`h3=":443", clear`, 0},
	} {
		if got := offered(x.value, 443); got != x.want {
			t.Errorf("%s: %v, want %v", x.value, got, x.want)
		}
	}
}

// FuzzAltSvc: nothing that an origin says takes long or is offered for another port.
func FuzzAltSvc(f *testing.F) {
	f.Add(`h3=":443"; ma=60, h2="x:1"`)
	f.Add("clear")
	f.Fuzz(func(t *testing.T, value string) {
		if offered(value, 443) > 0 && offered(value, 1) > 0 && len(value) < 16 {
			t.Errorf("%q is for two ports", value)
		}
		if got := offered(value, 443); got < 0 {
			t.Errorf("%q: %v", value, got)
		}
	})
}

func TestKnownOrigins(t *testing.T) {
	var k Known
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := Origin{"trust", "a.test", 443}
	has := func(want bool, after time.Duration) {
		t.Helper()
		if got := k.Has(at, false, now.Add(after)); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	has(false, 0)
	k.Hear(at, `h3=":443"; ma=3600`, "", now)
	has(true, 0)
	has(true, time.Hour-1)
	has(false, time.Hour)
	for _, other := range []Origin{{"other", "a.test", 443}, {"trust", "b.test", 443}, {"trust", "a.test", 444}} {
		if k.Has(other, false, now) {
			t.Errorf("%v is known", other)
		}
	}
	k.Hear(at, `h3=":443"; ma=3600`, "3000", now) // kept by a cache
	has(true, 10*time.Minute-1)
	has(false, 10*time.Minute)
	k.Hear(at, `h3=":443"; ma=99999999`, "", now)
	has(true, maxAge-1)
	has(false, maxAge)
	// What breaks rests, for twice as long each time, up to a bound.
	rest := time.Duration(0)
	for _, pause := range []time.Duration{5, 10, 20, 40, 80, 120, 120} {
		k.Broke(at, now.Add(rest))
		k.Broke(at, now.Add(rest)) // by several at once
		rest += pause * time.Minute
		has(false, rest-1)
		has(true, rest)
	}
	if k.Has(at, true, now) {
		t.Error("what is known otherwise is not broken")
	}
	k.Works(at)
	k.Broke(at, now)
	has(true, 5*time.Minute)
	k.Hear(at, "clear", "", now)
	has(false, 5*time.Minute)
	if !k.Has(at, true, now.Add(5*time.Minute)) {
		t.Error("what the DNS says is not taken back by the origin's silence")
	}
	for i := range 2 * maxKnown {
		k.Hear(Origin{"trust", time.Duration(i).String(), 443}, `h3=":443"`, "", now)
	}
	if n := len(k.origins); n > maxKnown {
		t.Errorf("%d origins", n)
	}
}
