// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// ownPages says what it was asked, and how.
func ownPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s from %s tls=%v body=%s auth=%s", r.Method, r.Host, strings.Split(r.RemoteAddr, ":")[0], r.TLS != nil, body, r.Header.Get("Proxy-Authorization"))
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			fmt.Fprint(w, strings.Repeat("x", 1000))
		}
	})
	mux.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	mux.HandleFunc("/split", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { panic("own page") })
	return mux
}

func withOwn(s *Server) { s.Own, s.OwnNames = ownPages(), OwnNames("gw.test") }

// TestOwnPages: origin-form for one of our names is ours, whatever its spelling
// and port; everything else is what it was. Neither the policy nor Identify is
// asked, and each has its record.
func TestOwnPages(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard, withOwn, func(s *Server) { s.Generation = nil })
		port := r.addr[strings.LastIndexByte(r.addr, ':'):]
		for _, tt := range []struct {
			name, request string
			tls           bool
			status        int
			body          string
			own           bool
		}{
			{"plain", "GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "GET gw.test from 127.0.0.1 tls=false body= auth=", true},
			{"TLS", "GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n", true, 200, "GET gw.test from 127.0.0.1 tls=true body= auth=", true},
			{"case and port", "GET /page HTTP/1.1\r\nHost: GW.Test:8080\r\n\r\n", false, 200, "GET gw.test:8080 from", true},
			{"body", "POST /page HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 3\r\n\r\nabc", false, 200, "body=abc", true},
			{"chunks", "POST /page HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true, 200, "body=abc", true},
			{"credentials of the proxy stay here", "GET /page HTTP/1.1\r\nHost: gw.test\r\nProxy-Authorization: Basic x\r\n\r\n", true, 200, "auth=", true},
			{"absolute-form", "GET http://gw.test" + port + "/page HTTP/1.1\r\nHost: other.test\r\n\r\n", false, 200, "GET gw.test" + port + " from", true},
			{"absolute-form of https inside TLS", "GET https://gw.test" + port + "/page HTTP/1.1\r\nHost: a\r\n\r\n", true, 200, "tls=true", true},
			{"unknown page", "GET /none HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 404, "404 page not found", true},
			{"large", "GET /large HTTP/1.1\r\nHost: gw.test\r\n\r\n", true, 200, strings.Repeat("x", 100_000), true},
			{"not modified", "GET /same HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 304, "", true},
			{"HEAD", "HEAD /page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "", true},
			{"HEAD of what is large", "HEAD /large HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 200, "", true},
			{"TRACE", "TRACE /page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 405, "TRACE is not passed on", true},
			{"too large", "POST /page HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1048577\r\n\r\n", false, 413, "a body of up to 1048576 bytes", true},
			{"a bad escape", "GET /pa%ge HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "", false},

			{"another name", "GET /page HTTP/1.1\r\nHost: www.gw.test\r\n\r\n", false, 400, "this is a proxy", false},
			{"no name", "GET /page HTTP/1.0\r\n\r\n", false, 400, "this is a proxy", false},
			{"a name in user information", "GET /page HTTP/1.1\r\nHost: gw.test@evil.test\r\n\r\n", false, 400, "", false},
			{"a label more", "GET /page HTTP/1.1\r\nHost: gw.test.evil.test\r\n\r\n", false, 400, "this is a proxy", false},
			{"OPTIONS of the whole", "OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 400, "this is a proxy", false},
			{"absolute-form beats Host", "GET http://other.test/page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "", false},
			{"absolute-form, another port", "GET http://gw.test/page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "", false},
			{"absolute-form of https in the clear", "GET https://gw.test" + port + "/page HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "", false},
			{"CONNECT", "CONNECT gw.test" + port + " HTTP/1.1\r\nHost: gw.test\r\n\r\n", false, 403, "", false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				var c net.Conn
				if tt.tls {
					c = r.secure("http/1.1")
				} else {
					c = r.dial(r.addr)
					defer c.Close()
				}
				res, body := say(t, c, bufio.NewReader(c), tt.request)
				if res.StatusCode != tt.status || !strings.Contains(body, tt.body) || tt.body == "" && tt.own && body != "" {
					t.Errorf("%s %.200q, want %d %.200q", res.Status, body, tt.status, tt.body)
				}
				rec := r.record()
				if rec.Own != tt.own || rec.Status != tt.status || rec.Revision != "" || rec.Mode != 0 {
					t.Errorf("record: own %v, status %d, revision %q, mode %v", rec.Own, rec.Status, rec.Revision, rec.Mode)
				}
				if tt.own && tt.status < 400 && (rec.Outcome != Done || rec.Received != int64(len(body))) {
					t.Errorf("record: %s, %d bytes of %d, %v", rec.Outcome, rec.Received, len(body), rec.Err)
				}
			})
		}
	})
}

// TestOwnPagesShareAConnection with requests for others, and neither is taken for
// the other's.
func TestOwnPagesShareAConnection(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard, withOwn)
		origin := r.httpOrigin(false)
		c := r.secure("http/1.1")
		br := bufio.NewReader(c)
		// The body of the first looks like a request; all are sent at once.
		inner := "GET /large HTTP/1.1\r\nHost: gw.test\r\n\r\n"
		all := fmt.Sprintf("POST /page HTTP/1.1\r\nHost: gw.test\r\nContent-Length: %d\r\n\r\n%s", len(inner), inner) +
			"GET http://" + origin + "/7 HTTP/1.1\r\nHost: gw.test\r\n\r\n" +
			"GET /none HTTP/1.1\r\nHost: gw.test\r\n\r\n"
		res, body := say(t, c, br, all)
		if res.StatusCode != 200 || !strings.Contains(body, "body="+inner) {
			t.Errorf("first: %s %q", res.Status, body)
		}
		if res, body = say(t, c, br, ""); res.StatusCode != 200 || body != "0123456" {
			t.Errorf("second: %s %q", res.Status, body)
		}
		if res, _ = say(t, c, br, ""); res.StatusCode != 404 {
			t.Errorf("third: %s", res.Status)
		}
		for i, own := range []bool{true, false, true} {
			if rec := r.record(); rec.Own != own {
				t.Errorf("record %d: own %v", i, rec.Own)
			}
		}
	})
}

// TestOwnPageCannotSplitItsAnswer: what a page puts into a field stays one.
func TestOwnPageCannotSplitItsAnswer(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard, withOwn)
		c := r.dial(r.addr)
		defer c.Close()
		res, _ := say(t, c, bufio.NewReader(c), "GET /split?to=x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\nHost: gw.test\r\n\r\n")
		if res.StatusCode != 302 || len(res.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s %v", res.Status, res.Header)
		}
	})
}

// TestOwnPageThatCrashes costs its request, and is in its record.
func TestOwnPageThatCrashes(t *testing.T) {
	both(t, func(t *testing.T, standard func(*Server)) {
		r := newTLSRig(t, openAll, standard, withOwn)
		c := r.dial(r.addr)
		defer c.Close()
		fmt.Fprint(c, "GET /crash HTTP/1.1\r\nHost: gw.test\r\n\r\n")
		if _, err := io.ReadAll(c); err == nil {
			t.Error("the connection ended in order")
		}
		if rec := r.record(); rec.Outcome != Failed || !rec.Own || !strings.Contains(rec.Err.Error(), "panic: own page") {
			t.Errorf("record: %v %v", rec.Outcome, rec.Err)
		}
	})
}

// TestNoOwnPagesIsTheZeroValue: without Own, or without names, origin-form is
// refused as ever.
func TestNoOwnPagesIsTheZeroValue(t *testing.T) {
	for name, f := range map[string]func(*Server){
		"no pages":   func(s *Server) { s.OwnNames = OwnNames("gw.test") },
		"no names":   func(s *Server) { s.Own = ownPages() },
		"no such":    func(s *Server) { s.Own, s.OwnNames = ownPages(), OwnNames() },
		"unreadable": func(s *Server) { s.Own, s.OwnNames = ownPages(), OwnNames("gw_.test:1", "") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t, openAll, f)
			c := r.dial(r.addr)
			defer c.Close()
			if res, body := say(t, c, bufio.NewReader(c), "GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n"); res.StatusCode != 400 || !strings.Contains(body, "this is a proxy") {
				t.Errorf("%s %q", res.Status, body)
			}
		})
	}
}
