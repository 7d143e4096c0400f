// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCookieThatLostItsMarkingIsNotRelayed: a page that came in the clear can push the
// cookie that says of another that it was Secure out of a browser, which keeps so many
// for a site and no more.
func TestCookieThatLostItsMarkingIsNotRelayed(t *testing.T) {
	const origin = "www.site.test"
	var l Ledger
	x := func(client, host string, secure bool, after time.Duration) *Exchange {
		x := exchange(client, host, secure)
		x.Ledger, x.Now = &l, noon.Add(after)
		return x
	}
	if got := sent(t, x("eva", origin, false, 0), "csrf=1"); got != "csrf=1" {
		t.Errorf("before it was set: %q", got)
	}
	set(t, x("eva", origin, true, 0), "csrf=1; Secure", "wide=2; Secure; Domain=site.test", "short=3; Secure; Max-Age=60", "sid=4; Secure; HttpOnly")
	const all = "csrf=1; wide=2; short=3; sid=4; a=b"
	for _, tt := range []struct {
		name, client, host string
		secure             bool
		after              time.Duration
		want               string
	}{
		{"to the host", "eva", origin, false, 0, "sid=4; a=b"}, // sid was never kept under its name
		{"beside it", "eva", "api.site.test", false, 0, "csrf=1; short=3; sid=4; a=b"},
		{"below it", "eva", "a.www.site.test", false, 0, "csrf=1; short=3; sid=4; a=b"},
		{"elsewhere", "eva", "www.evil.test", false, 0, all},
		{"to an address", "eva", "192.0.2.1", false, 0, all},
		{"somebody else's", "adam", origin, false, 0, all},
		{"by https", "eva", origin, true, 0, all},
		{"when one is over", "eva", origin, false, time.Minute, "short=3; sid=4; a=b"},
		{"a second before the week is over", "eva", origin, false, remembered - time.Second, "short=3; sid=4; a=b"},
		{"a week later", "eva", origin, false, remembered, all},
	} {
		if got := sent(t, x(tt.client, tt.host, tt.secure, tt.after), all); got != tt.want {
			t.Errorf("%s goes %q, want %q", tt.name, got, tt.want)
		}
	}
	// Nothing in the clear takes its place (RFC 6265bis §5.6), for whom it is remembered.
	if got := set(t, x("eva", origin, false, 0), "csrf=evil"); got != nil {
		t.Errorf("in the clear was set %q", got)
	}
	if got := set(t, x("adam", origin, false, 0), "csrf=mine"); len(got) != 1 {
		t.Errorf("in the clear was set %q", got)
	}
	// Sent with its marking it is remembered for another week.
	const day = 24 * time.Hour
	sent(t, x("eva", origin, true, 6*day), "csrf=1; sallyport-m-csrf=1; sallyport-m-other=1")
	if got := sent(t, x("eva", origin, false, 12*day), "csrf=1; wide=2; other=3"); got != "wide=2; other=3" {
		t.Errorf("after another week goes %q", got)
	}
	// Over https the origin has the say.
	for _, ends := range []string{"csrf=now in the clear", "csrf=; Max-Age=0", "csrf=; Secure; Max-Age=0"} {
		set(t, x("eva", origin, true, 0), "csrf=1; Secure")
		set(t, x("eva", origin, true, 0), ends)
		if got := sent(t, x("eva", origin, false, 0), "csrf=1"); got != "csrf=1" {
			t.Errorf("after %q goes %q", ends, got)
		}
	}
}

// TestOldValueOfACookieThatIsSealedNowIsNotRelayed: the origin makes it HttpOnly, and
// what the client has under its name is taken away and stays as secret as it was.
func TestOldValueOfACookieThatIsSealedNowIsNotRelayed(t *testing.T) {
	for _, l := range []*Ledger{nil, {}} {
		x := func(secure bool) *Exchange {
			x := exchange("eva", "www.site.test", secure)
			x.Ledger = l
			return x
		}
		set(t, x(true), "csrf=old; Secure; Path=/")
		up := x(true)
		sent(t, up, "csrf=old; sallyport-m-csrf=1")
		told := strings.Join(set(t, up, "csrf=new; Secure; HttpOnly; Path=/"), "\n")
		for _, name := range []string{"csrf", "sallyport-m-csrf"} {
			if !strings.Contains("\n"+told, "\n"+name+"=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/") {
				t.Errorf("%s is not ended by\n%s", name, told)
			}
		}
		if got := sent(t, x(false), "csrf=old"); l != nil && got != "" {
			t.Errorf("in the clear goes %q", got)
		}
	}
}

// TestLedgerIsBounded: and what is over goes first.
func TestLedgerIsBounded(t *testing.T) {
	var l Ledger
	at := place{0, "a.test"}
	for i := range mostRemembered {
		end := noon.Add(time.Hour)
		if i%2 == 0 {
			end = noon
		}
		l.note(named("eva"), at, fmt.Sprint(i), end, noon)
	}
	l.note(named("eva"), at, "last", noon.Add(time.Hour), noon)
	if n := len(l.until); n != mostRemembered/2+1 {
		t.Errorf("%d are kept", n)
	}
	for i := range mostRemembered {
		l.note(named("mallory"), at, fmt.Sprint(i), noon.Add(time.Hour), noon)
		if len(l.until) > mostRemembered {
			t.Fatalf("%d are kept", len(l.until))
		}
	}
}

// TestEmptyLedgerCostsNothing: where nobody has such cookies, which is where most
// is relayed.
func TestEmptyLedgerCostsNothing(t *testing.T) {
	f := fields(t, "Cookie: a=b; c=d")
	x := exchange("eva", "www.site.test", false)
	x.Ledger = &Ledger{}
	if n := testing.AllocsPerRun(100, func() { f = x.Request(f) }); n != 0 || len(f) != 1 {
		t.Errorf("%v allocations", n)
	}
}
