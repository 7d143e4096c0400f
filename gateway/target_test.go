// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"strings"
	"testing"

	"sallyport/policy"
)

func TestReadTarget(t *testing.T) {
	for _, tt := range []struct {
		method, raw                    string
		scheme, authority, path, query string
		port                           uint16
	}{
		{"GET", "http://a.example/", "http", "a.example", "/", "", 80},
		{"GET", "HTTP://A.Example./x", "http", "a.example", "/x", "", 80},
		{"GET", "https://a.example/", "https", "a.example", "/", "", 443},
		{"GET", "http://a.example", "http", "a.example", "/", "", 80},
		{"GET", "http://a.example?q", "http", "a.example", "/", "?q", 80},
		{"GET", "http://a.example/?", "http", "a.example", "/", "?", 80},
		{"GET", "http://a.example:/x", "http", "a.example", "/x", "", 80},
		{"GET", "http://a.example:443/x", "http", "a.example:443", "/x", "", 443},
		{"GET", "https://a.example:80/x", "https", "a.example:80", "/x", "", 80},
		{"GET", "http://a.example//x?y//z?w", "http", "a.example", "//x", "?y//z?w", 80},
		{"GET", "http://a.example/@b:c/[d]", "http", "a.example", "/@b:c/[d]", "", 80},
		{"GET", "http://1.2.3.4:8080/", "http", "1.2.3.4:8080", "/", "", 8080},
		{"GET", "http://[2001:DB8::1]/", "http", "[2001:db8::1]", "/", "", 80},
		{"GET", "http://[::ffff:1.2.3.4]:81/", "http", "1.2.3.4:81", "/", "", 81},
		{"OPTIONS", "http://a.example", "http", "a.example", "*", "", 80},
		{"OPTIONS", "http://a.example/", "http", "a.example", "/", "", 80},
		{"OPTIONS", "http://a.example?q", "http", "a.example", "/", "?q", 80},
		{"CONNECT", "a.example:443", "", "a.example:443", "", "", 443},
		{"CONNECT", "[::1]:22", "", "[::1]:22", "", "", 22},
	} {
		got, err := readTarget(tt.method, tt.raw)
		if err != nil {
			t.Errorf("%s %s: %v", tt.method, tt.raw, err)
			continue
		}
		if got.scheme != tt.scheme || got.authority(got.scheme, got.port) != tt.authority || got.port != tt.port || got.path != tt.path || got.query != tt.query {
			t.Errorf("%s %s: %+v", tt.method, tt.raw, got)
		}
	}
}

var badTargets = []struct{ method, raw, says string }{
	{"GET", "/", "is a proxy"},
	{"GET", "*", "is a proxy"},
	{"GET", "a.example", "is a proxy"},
	{"GET", "//a.example/", "is a proxy"},
	{"GET", "/http://a.example/", "is a proxy"},
	{"GET", "http:/a.example/", "is a proxy"},
	{"GET", "http:a.example", "is a proxy"},
	{"GET", "://a.example/", "neither http nor https"},
	{"GET", "ftp://a.example/", "neither http nor https"},
	{"GET", "h2c://a.example/", "neither http nor https"},
	{"GET", "http://", ""},
	{"GET", "http:///x", ""},
	{"GET", "http://:80/", ""},
	{"GET", "http://a.example/#f", "fragment"},
	{"GET", "http://a.example#f", "fragment"},
	{"GET", "http://u@a.example/", "user information"},
	{"GET", "http://u:p@a.example/", "user information"},
	{"GET", "http://a.example@evil.example/", "user information"},
	{"GET", "http://@a.example/", "user information"},
	{"GET", "http://a.example:0/", "port"},
	{"GET", "http://a.example:65536/", "port"},
	{"GET", "http://a.example:000080/", "port"},
	{"GET", "http://a.example:+80/", "port"},
	{"GET", "http://a.example:8 0/", "port"},
	{"GET", "http://a:b:80/", "brackets"},
	{"GET", "http://::1/", "brackets"},
	{"GET", "http://[::1/", ""},
	{"GET", "http://[fe80::1%25eth0]/", ""},
	{"GET", "http://[1.2.3.4]/", ""},
	{"GET", "http://127.1/", ""},
	{"GET", "http://0x7f.0.0.1/", ""},
	{"GET", "http://2130706433/", ""},
	{"GET", "http://a..example/", ""},
	{"GET", "http://b\xc3\xbccher.example/", ""},
	{"GET", "http://a.example%2f.evil.example/", ""},
	{"CONNECT", "a.example", "port"},
	{"CONNECT", "a.example:", "port"},
	{"CONNECT", "http://a.example:443", ""},
	{"CONNECT", "a.example:443/", "port"},
	{"CONNECT", "u@a.example:443", "user information"},
	{"CONNECT", "::1:443", "brackets"},
	{"CONNECT", ":443", ""},
}

func TestReadTargetRefuses(t *testing.T) {
	for _, tt := range badTargets {
		got, err := readTarget(tt.method, tt.raw)
		if err == nil {
			t.Errorf("%s %s is read as %+v", tt.method, tt.raw, got)
		} else if !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s %s: %v; want %q in it", tt.method, tt.raw, err, tt.says)
		}
	}
}

// FuzzReadTarget: what is accepted is written again as what names the same
// origin, and what is sent to it is what came.
func FuzzReadTarget(f *testing.F) {
	for _, tt := range badTargets {
		f.Add(tt.method, tt.raw)
	}
	for _, raw := range []string{"http://a.example/", "https://A.example.:8443//x/../%2e?q=|", "http://[2001:db8::1]:80/é", "http://a.example"} {
		f.Add("GET", raw)
		f.Add("OPTIONS", raw)
	}
	f.Add("CONNECT", "[::1]:443")
	f.Fuzz(func(t *testing.T, method, raw string) {
		a, err := readTarget(method, raw)
		if err != nil {
			return
		}
		if strings.Contains(raw, "#") || a.port == 0 || a.host == (policy.Host{}) {
			t.Fatalf("%s %q is read as %+v", method, raw, a)
		}
		if method == http.MethodConnect {
			b, err := readTarget(method, a.hostPort(a.port))
			if err != nil || a != b {
				t.Fatalf("%q is read as %+v, written again as %+v, %v", raw, a, b, err)
			}
			return
		}
		again := a.scheme + "://" + a.authority(a.scheme, a.port) + strings.TrimSuffix(a.path, "*") + a.query
		if a.path != "*" {
			again = a.scheme + "://" + a.authority(a.scheme, a.port) + a.path + a.query
		}
		b, err := readTarget(method, again)
		if err != nil || a != b {
			t.Fatalf("%q is read as %+v, written again as %q: %+v, %v", raw, a, again, b, err)
		}
		if a.path != "*" && a.path != "/" && !strings.HasSuffix(raw, a.path+a.query) {
			t.Fatalf("%q: path %q query %q is not what was written", raw, a.path, a.query)
		}
		wire, err := a.onTheWire(policy.Decision{Port: a.port})
		if err != nil {
			if !strings.HasPrefix(a.path, "//") {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		o := outgoing{secure: true, host: a.host.String(), port: a.port, target: wire}
		if u := o.url(); u.RequestURI() != a.path+a.query || u.Host != a.hostPort(a.port) {
			t.Fatalf("%q goes out as %q to %q", raw, u.RequestURI(), u.Host)
		}
	})
}
