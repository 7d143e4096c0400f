// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"strings"
	"testing"
)

var known = map[string]ID{
	"Connection": Connection, "Content-Length": ContentLength, "Date": Date, "Expect": Expect, "Host": Host,
	"Keep-Alive": KeepAlive, "Max-Forwards": MaxForwards, "Proxy-Authenticate": ProxyAuthenticate,
	"Proxy-Authentication-Info": ProxyAuthInfo, "Proxy-Authorization": ProxyAuthorization,
	"Proxy-Connection": ProxyConnection, "TE": TE, "Trailer": Trailer, "Transfer-Encoding": TransferEncoding,
	"Upgrade": Upgrade, "Via": Via, "Access-Control-Allow-Origin": AllowOrigin, "Alt-Svc": AltSvc,
	"Content-Location": ContentLocation, "Content-Security-Policy": ContentPolicy,
	"Content-Security-Policy-Report-Only": ContentPolicyReportOnly, "Cookie": Cookie, "Link": Link, "Location": Location,
	"Origin": Origin, "Referer": Referer, "Refresh": Refresh, "Set-Cookie": SetCookie, "Strict-Transport-Security": StrictTransport,
}

// TestIdentify: a name is known in any case, and nothing that only looks like it
// is: one byte more, less, or other.
func TestIdentify(t *testing.T) {
	if len(known) != int(Via) {
		t.Fatalf("%d names for %d IDs", len(known), Via)
	}
	for name, id := range known {
		lower := strings.ToLower(name)
		for i := range 1 << min(len(name), 10) { // every case of the first letters
			b := []byte(lower)
			for j := range b {
				if j < 10 && i>>j&1 == 1 && b[j] >= 'a' {
					b[j] -= 0x20
				}
			}
			if got := Identify(b); got != id {
				t.Fatalf("%s is %d, want %d", b, got, id)
			}
		}
		if got := Identify([]byte(strings.ToUpper(name))); got != id {
			t.Errorf("%s in upper case is %d, want %d", name, got, id)
		}
		for i := range name {
			for c := range 256 {
				b := []byte(lower)
				b[i] = byte(c)
				if got := Identify(b); got == id && !strings.EqualFold(string(b), name) {
					t.Errorf("%q is taken for %s", b, name)
				}
			}
			if got := Identify([]byte(name[:i])); got == id {
				t.Errorf("%q is taken for %s", name[:i], name)
			}
		}
		for _, near := range []string{name + " ", " " + name, name + "s", name + "\x00", strings.ReplaceAll(name, "-", "_") + "_"} {
			if got := Identify([]byte(near)); got != Other {
				t.Errorf("%q is taken for %d", near, got)
			}
		}
	}
	for _, name := range []string{"", "X", "\u212aeep-Alive", "E\u017fpect", strings.Repeat("a", 100)} {
		if got := Identify([]byte(name)); got != Other {
			t.Errorf("%q is taken for %d", name, got)
		}
	}
}

func TestFields(t *testing.T) {
	var r Request
	if _, err := r.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\nVIA: 1.0 x\r\nx-A: first\r\nX-a:\r\nvia: 1.1 y\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if got := r.Fields.Get(Via); string(got) != "1.0 x" {
		t.Errorf("Get(Via) = %q, want the first", got)
	}
	if got := r.Fields.Get(Date); got != nil {
		t.Errorf("Get(Date) = %q, want nil", got)
	}
	if got := r.Fields.Value("X-A"); got != "first" {
		t.Errorf("Value(X-A) = %q, want the first", got)
	}
	if got := r.Fields.Value("X-B"); got != "" {
		t.Errorf("Value(X-B) = %q", got)
	}
	if !r.Has(Via) || r.Has(Date) || r.Has(Other) {
		t.Errorf("Has: Via %v, Date %v, Other %v", r.Has(Via), r.Has(Date), r.Has(Other))
	}
	if _, err := r.Parse([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil || r.Has(Via) || len(r.Fields) != 0 {
		t.Errorf("the next head has %v of the one before (%v)", r.Fields, err)
	}
	r.Adopt(Fields{{Name: []byte("Date"), Value: []byte("x"), ID: Date}})
	if !r.Has(Date) || r.Has(Host) {
		t.Error("Adopt does not know what it was given")
	}
}

// TestHasToken: lists as RFC 9110 §5.6.1 has a recipient take them, with empty
// elements and white space wherever, over any number of lines.
func TestHasToken(t *testing.T) {
	for list, want := range map[string]bool{
		"close": true, "CLOSE": true, " close\t": true, ",,close": true, "close,": true, "a, \tcLoSe ,b": true, "a,b,close": true,
		"": false, ",": false, "closes": false, "xclose": false, "clo se": false, "a close": false, "\"close\"": false,
		"close;q=1": false, "a;close": false, "clo\u017fe": false,
	} {
		f := Fields{{ID: Via, Value: []byte("close")}, {ID: Connection, Value: []byte("x")}, {ID: Connection, Value: []byte(list)}}
		if got := f.HasToken(Connection, "close"); got != want {
			t.Errorf("%q has close: %v, want %v", list, got, want)
		}
	}
}

// TestControlIsFoundAnywhere: values are looked at in words of eight bytes,
// where a borrow or a byte above 0x7f must not hide or make up anything.
func TestControlIsFoundAnywhere(t *testing.T) {
	for _, around := range []byte{' ', 'a', '\t', 0x80, 0xff, 0xa0, 0x21, '~'} {
		for length := range 20 {
			value := []byte(strings.Repeat(string([]byte{around}), length))
			if i := control(value); i != -1 {
				t.Fatalf("%q: found at %d", value, i)
			}
			for at := range value {
				for c := range 256 {
					b := append([]byte(nil), value...)
					b[at] = byte(c)
					want := -1
					if c < ' ' && c != '\t' || c == 0x7f {
						want = at
					}
					if i := control(b); i != want {
						t.Fatalf("%q: found at %d, want %d", b, i, want)
					}
				}
			}
		}
	}
}
