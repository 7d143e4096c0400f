// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// asker is a client's connection for one request after the other.
type asker struct {
	tb testing.TB
	net.Conn
	br *bufio.Reader
}

func (r *rig) asker() *asker {
	c := r.dial(r.addr)
	r.tb.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return &asker{r.tb, c, bufio.NewReader(c)}
}

// get asks for a URL.
func (a *asker) get(url string) (*http.Response, string) {
	a.tb.Helper()
	_ = a.SetDeadline(time.Now().Add(time.Minute))
	return say(a.tb, a, a.br, "GET "+url+" HTTP/1.1\r\nHost: a\r\n\r\n")
}

// tellProto answers with the protocol.
var tellProto = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.Proto) })

// TestHTTP3WhereItIsOffered: the first answer says that the origin has it, by which the
// next request goes, and the record tells.
func TestHTTP3WhereItIsOffered(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		for _, protocols := range [][]string{{"h3", "h2", "http/1.1"}, {"h3", "http/1.1"}} {
			r := newRig(t, openOrigins, path)
			r.meetsBy(protocols...)
			o := r.newest(tellProto)
			c := r.asker()
			if _, body := c.get("http://" + o.addr + "/"); strings.HasPrefix(body, "HTTP/3") {
				t.Errorf("%v: the first request by %s", protocols, body)
			}
			r.record()
			for i := range 3 {
				res, body := c.get("http://" + o.addr + "/")
				if body != "HTTP/3.0" || res.Header.Get("Via") != "3 sallyport" {
					t.Fatalf("%v: request %d by %s, Via %q", protocols, i+2, body, res.Header.Get("Via"))
				}
				l := r.record().Origin
				if l.TLS == nil || l.TLS.NegotiatedProtocol != "h3" || l.Addr.String() != o.addr || l.Reused != (i > 0) || (l.Handshake > 0) != (i == 0) {
					t.Errorf("request %d: %+v", i+2, l)
				}
			}
			if n := o.sessions.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		}
	})
}

// TestHTTP3IsNotSpokenUnasked: neither to origins of a profile without it, nor to those
// that do not offer it for the very host and port, or no longer.
func TestHTTP3IsNotSpokenUnasked(t *testing.T) {
	r := newRig(t, openOrigins)
	o := r.newest(tellProto)
	c := r.asker()
	r.meetsBy("h2", "http/1.1")
	for range 2 {
		if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/2.0" {
			t.Errorf("without h3 in the profile: %s", body)
		}
	}
	if n := len(r.server.transports.pools); n != 1 {
		t.Errorf("%d pools", n)
	}
	for _, tr := range r.server.transports.pools {
		if tr.quic != nil {
			t.Error("a pool of QUIC connections for a profile without h3")
		}
	}
	r.meetsBy("h3", "h2", "http/1.1")
	_, port, _ := net.SplitHostPort(o.addr)
	for _, offer := range []string{`h3="other.test:` + port + `"`, `h3=":1"`, `h3-29=":` + port + `"`, `h2=":` + port + `"`, "clear", `h3=":` + port + `"; ma=0`, `h3=":` + port, "nonsense"} {
		o.altSvc.Store(&offer)
		for range 2 {
			if _, body := c.get("http://" + o.addr + "/"); body != "HTTP/2.0" {
				t.Errorf("Alt-Svc: %s: %s", offer, body)
			}
		}
	}
	good := `h3=":` + port + `"`
	o.altSvc.Store(&good)
	c.get("http://" + o.addr + "/")
	clear := "clear"
	o.altSvc.Store(&clear)
	for _, want := range []string{"HTTP/3.0", "HTTP/2.0"} {
		if _, body := c.get("http://" + o.addr + "/"); body != want {
			t.Errorf("taken back: %s, want %s", body, want)
		}
	}
}

// TestHTTP3Exchanges: whatever HTTP has, by HTTP/3.
func TestHTTP3Exchanges(t *testing.T) {
	r := newRig(t, openOrigins)
	r.meetsBy("h3")
	o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("ETag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		case "/hints":
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "behind hints")
		case "/big":
			w.Header().Set("Content-Length", fmt.Sprint(8<<20))
			piece := []byte(strings.Repeat("0123456789abcdef", 4<<10))
			for range 8 << 20 / len(piece) {
				_, _ = w.Write(piece)
			}
		case "/refuse":
			w.WriteHeader(http.StatusExpectationFailed)
		default:
			h := sha256.New()
			n, err := io.Copy(h, q.Body)
			w.Header().Set("Trailer", "X-Sum")
			fmt.Fprintf(w, "%s %s %s %s te=%q length=%d cookie=%q ua=%q conn=%q got=%d err=%v trailer=%s", q.Method, q.RequestURI, q.Proto, q.Host, q.Header.Get("TE"),
				q.ContentLength, q.Header["Cookie"], q.Header["User-Agent"], q.Header["Connection"], n, err, q.Trailer.Get("X-Up"))
			w.Header().Set("X-Sum", fmt.Sprintf("%x", h.Sum(nil)))
		}
	}))
	_, port, _ := net.SplitHostPort(o.addr)
	url := "http://" + o.addr
	c := r.asker()
	for _, x := range []struct{ name, request, status, want string }{
		{
			"target and fields", "GET " + url + "//a;b?c=%2f HTTP/1.1\r\nHost: wrong.test\r\nCookie: a=1; b=2\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n",
			"200", `GET //a;b?c=%2f HTTP/3.0 127.0.0.1:` + port + ` te="" length=-1 cookie=["a=1; b=2"] ua=[] conn=[] got=0 err=<nil> trailer=`,
		},
		{
			"a body", "POST " + url + "/p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
			"200", `POST /p HTTP/3.0 127.0.0.1:` + port + ` te="" length=5 cookie=[] ua=[] conn=[] got=5 err=<nil> trailer=`,
		},
		{
			"an empty body", "POST " + url + "/p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
			"200", `POST /p HTTP/3.0 127.0.0.1:` + port + ` te="" length=0 cookie=[] ua=[] conn=[] got=0 err=<nil> trailer=`,
		},
		{
			"chunks and trailers", "POST " + url + "/p HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Up\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Up: yes\r\n\r\n",
			"200", `POST /p HTTP/3.0 127.0.0.1:` + port + ` te="trailers" length=-1 cookie=[] ua=[] conn=[] got=5 err=<nil> trailer=yes`,
		},
		{
			"expect", "PUT " + url + "/p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
			"200", `PUT /p HTTP/3.0 127.0.0.1:` + port + ` te="" length=5 cookie=[] ua=[] conn=[] got=5 err=<nil> trailer=`,
		},
		{"head", "HEAD " + url + "/big HTTP/1.1\r\nHost: a\r\n\r\n", "200", ""},
		{"204", "GET " + url + "/204 HTTP/1.1\r\nHost: a\r\n\r\n", "204", ""},
		{"304", "GET " + url + "/304 HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n", "304", ""},
		{
			"options", "OPTIONS " + url + " HTTP/1.1\r\nHost: a\r\n\r\n",
			"200", `OPTIONS * HTTP/3.0 127.0.0.1:` + port + ` te="" length=-1 cookie=[] ua=[] conn=[] got=0 err=<nil> trailer=`,
		},
	} {
		res, body := say(t, c, c.br, x.request)
		for res.StatusCode == http.StatusContinue {
			method, _, _ := strings.Cut(x.request, " ")
			var err error
			if res, err = http.ReadResponse(c.br, &http.Request{Method: method}); err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(res.Body)
			body = string(b)
		}
		if fmt.Sprint(res.StatusCode) != x.status || body != x.want {
			t.Errorf("%s: %d %q\nwant %s %q", x.name, res.StatusCode, body, x.status, x.want)
		}
		if rec := r.record(); rec.Outcome != Done {
			t.Errorf("%s: %s %v", x.name, rec.Outcome, rec.Err)
		}
	}
	res, body := say(t, c, c.br, "GET "+url+"/t HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
	if want := fmt.Sprintf("%x", sha256.Sum256(nil)); res.Trailer.Get("X-Sum") != want {
		t.Errorf("trailer %v behind %q", res.Trailer, body)
	}
	fmt.Fprintf(c, "GET %s/hints HTTP/1.1\r\nHost: a\r\n\r\n", url)
	hints, err := http.ReadResponse(c.br, nil)
	if err != nil || hints.StatusCode != http.StatusEarlyHints || hints.Header.Get("Link") == "" {
		t.Fatalf("%v %v", hints, err)
	}
	final, err := http.ReadResponse(c.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(final.Body); string(b) != "behind hints" {
		t.Errorf("%q", b)
	}
	if _, body := c.get(url + "/big"); len(body) != 8<<20 {
		t.Errorf("%d bytes", len(body))
	}
	up := strings.Repeat("0123456789abcdef", 1<<19)
	_, body = say(t, c, c.br, fmt.Sprintf("POST %s/p HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", url, len(up), up))
	if !strings.Contains(body, fmt.Sprintf("got=%d err=<nil>", len(up))) {
		t.Errorf("%q", body)
	}
	// The body that the origin did not ask for stays with the client.
	fmt.Fprintf(c, "PUT %s/refuse HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", url)
	if res, err := http.ReadResponse(c.br, nil); err != nil || res.StatusCode != http.StatusExpectationFailed {
		t.Errorf("%v %v", res, err)
	}
	if n := o.sessions.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestInterceptByHTTP3: what comes inside goes by HTTP/3 as well; where that is all the profile
// allows, the origin is met and verified by it before the client is given a certificate.
func TestInterceptByHTTP3(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, interceptRules, path)
		r.meetsBy("h3", "http/1.1")
		o := r.newest(tellProto)
		c := r.inner(t, o.addr)
		for _, want := range []string{"HTTP/1.1", "HTTP/3.0", "HTTP/3.0"} {
			if _, body, err := c.get("/", o.addr); body != want {
				t.Errorf("by %s %v, want %s", body, err, want)
			}
		}
		r.meetsBy("h3")
		only := r.newest(tellProto)
		both := &tls.Config{ServerName: "127.0.0.1", RootCAs: r.roots, NextProtos: []string{"h2", "http/1.1"}}
		d, err := r.connectTLS(only.addr, both)
		if err != nil {
			t.Fatal(err)
		}
		if p := d.ConnectionState().NegotiatedProtocol; p != "h2" {
			t.Errorf("the client was offered %q", p)
		}
		d.Close()
		d = r.inner(t, only.addr)
		if _, body, err := d.get("/", only.addr); body != "HTTP/3.0" || only.sessions.Load() != 1 {
			t.Errorf("by %s %v, %d connections", body, err, only.sessions.Load())
		}
		gone := r.newest(tellProto)
		gone.mute()
		if _, err := r.connectTLS(gone.addr, nil); err == nil || !strings.Contains(err.Error(), "502") {
			t.Errorf("%v", err)
		}
	})
}

// BenchmarkOriginateByVersion is the gateway's way to one origin by each version of HTTP, to be
// compared with each other: cpu-ns/op is the processor time of client, gateway and origin.
func BenchmarkOriginateByVersion(b *testing.B) {
	for _, size := range []int64{1 << 10, 64 << 10, 16 << 20} {
		for _, alpn := range []string{"http/1.1", "h2", "h3"} {
			b.Run(fmt.Sprintf("%d/%s", size, alpn), func(b *testing.B) {
				r := newRig(b, openOrigins)
				r.meetsBy(alpn)
				piece := []byte(strings.Repeat("0123456789abcdef", 4<<10))
				o := r.newest(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					w.Header().Set("Content-Length", fmt.Sprint(size))
					for left := size; left > 0; left -= int64(len(piece)) {
						_, _ = w.Write(piece[:min(left, int64(len(piece)))])
					}
				}))
				x := newExchanger(r.dial(r.addr), "http://"+o.addr+"/", o.addr)
				defer x.Close()
				if err := x.exchange(); err != nil {
					b.Fatal(err)
				}
				b.SetBytes(size)
				b.ReportAllocs()
				b.ResetTimer()
				cpu := cpuTime()
				for range b.N {
					if err := x.exchange(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
