// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sallyport/policy"
)

// An h2Client speaks HTTP/2 frame by frame.
type h2Client struct {
	tb testing.TB
	c  net.Conn
	f  *h2.Framer
	b  bytes.Buffer
	e  *hpack.Encoder
	id uint32
}

// http2 connects to the gateway by HTTP/2.
func (r *tlsRig) http2() *h2Client {
	r.tb.Helper()
	return newH2Client(r.tb, r.secure("h2"), h2.ClientPreface)
}

// newH2Client begins with pieces, of the preface, on c.
func newH2Client(tb testing.TB, c net.Conn, pieces ...string) *h2Client {
	tb.Helper()
	h := &h2Client{tb: tb, c: c, id: 1}
	for _, p := range pieces {
		_, _ = io.WriteString(h.c, p)
	}
	h.f = h2.NewFramer(h.c, h.c)
	h.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.e = hpack.NewEncoder(&h.b)
	if err := h.f.WriteSettings(h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
		tb.Fatal(err)
	}
	return h
}

// ask begins a request. Fields are name and value in turn.
func (h *h2Client) ask(end bool, fields ...string) (id uint32) {
	h.tb.Helper()
	h.b.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = h.e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	id, h.id = h.id, h.id+2
	block := h.b.Bytes()
	first := block[:min(len(block), 16<<10)]
	rest := block[len(first):]
	err := h.f.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(rest) == 0})
	for err == nil && len(rest) > 0 {
		next := rest[:min(len(rest), 16<<10)]
		rest = rest[len(next):]
		err = h.f.WriteContinuation(id, len(rest) == 0, next)
	}
	if err != nil {
		h.tb.Fatal(err)
	}
	return id
}

func hpackField(x [2]string) hpack.HeaderField { return hpack.HeaderField{Name: x[0], Value: x[1]} }

func getBy2(authority, path string) []string {
	return []string{":method", "GET", ":scheme", "http", ":authority", authority, ":path", path}
}

// An h2Answer is what came on a stream.
type h2Answer struct {
	status string
	fields []hpack.HeaderField
	body   string
	ended  bool
	code   h2.ErrCode // with reset
	reset  bool
}

func (a h2Answer) field(name string) string {
	for _, f := range a.fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// read reads frames until stream id has ended, or enough says so.
func (h *h2Client) read(id uint32, enough func(h2Answer) bool) (a h2Answer) {
	h.tb.Helper()
	for {
		f, err := h.f.ReadFrame()
		if err != nil {
			h.tb.Fatalf("after %+v: %v", a, err)
		}
		switch f := f.(type) {
		case *h2.SettingsFrame:
			if !f.IsAck() {
				_ = h.f.WriteSettingsAck()
			}
		case *h2.MetaHeadersFrame:
			if f.StreamID == id {
				if s := f.PseudoValue("status"); s != "" {
					a.status = s
				}
				a.fields = append(a.fields, f.RegularFields()...)
				a.ended = f.StreamEnded()
			}
		case *h2.DataFrame:
			if n := uint32(len(f.Data())); n > 0 {
				_ = h.f.WriteWindowUpdate(0, n)
				if !f.StreamEnded() {
					_ = h.f.WriteWindowUpdate(f.StreamID, n)
				}
			}
			if f.StreamID == id {
				a.body += string(f.Data())
				a.ended = f.StreamEnded()
			}
		case *h2.RSTStreamFrame:
			if f.StreamID == id {
				a.reset, a.code = true, f.ErrCode
			}
		case *h2.GoAwayFrame:
			if f.ErrCode != h2.ErrCodeNo {
				h.tb.Fatalf("GOAWAY %v %s", f.ErrCode, f.DebugData())
			}
		}
		if a.ended || a.reset || enough != nil && enough(a) {
			return a
		}
	}
}

// echo is an origin that ends when its peer does.
func (r *rig) echo() string {
	return r.accept(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
}

// TestHTTP2Requests go where HTTP/1.1's would.
func TestHTTP2Requests(t *testing.T) {
	r := newTLSRig(t, openAll+"  - {name: sure, from: any, to: only.test, mode: originate}\n", withOwn)
	origin := r.accept(func(c net.Conn) {
		defer c.Close()
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", n, b[:n])
	})
	_, port, _ := net.SplitHostPort(r.addr)
	with := func(fields []string, more ...string) []string { return append(fields, more...) }
	for _, tt := range []struct {
		name   string
		fields []string
		status string
		body   string // contains
		url    string
	}{
		{"http", getBy2(origin, "/a?b"), "200", "GET /a?b HTTP/1.1\r\nHost: " + origin + "\r\n", "http://" + origin + "/a?redacted"},
		{"fields", with(getBy2(origin, "/"), "x-a", "b", "via", "1.1 c"), "200", "Via: 1.1 c, 2 sallyport\r\n", ""},
		{"cookies are joined", with(getBy2(origin, "/"), "cookie", "a=1", "cookie", "b=2"), "200", "Cookie: a=1; b=2\r\n", ""},
		{"TE", with(getBy2(origin, "/"), "te", "trailers"), "200", "TE: trailers\r\n", ""},
		{"the same Host", with(getBy2(origin, "/"), "host", origin), "200", "Host: " + origin + "\r\n", ""},
		{"no :authority, but Host", []string{":method", "GET", ":scheme", "http", ":path", "/", "host", origin}, "200", "Host: " + origin + "\r\n", ""},
		{"credentials of the proxy stay here", with(getBy2(origin, "/"), "proxy-authorization", "Basic x"), "200", "GET / HTTP/1.1\r\nHost: " + origin + "\r\nVia: 2 sallyport\r\n\r\n", ""},

		{"https is never relayed", []string{":method", "GET", ":scheme", "https", ":authority", origin, ":path", "/"}, "403", "", "https://" + origin + "/"},
		{"no host at all", []string{":method", "GET", ":scheme", "http", ":path", "/"}, "400", "no :authority", ""},
		{"* without OPTIONS", getBy2(origin, "*"), "400", ":path is no path", ""},
		{"a space in :method", []string{":method", "GET http://other.test/", ":scheme", "http", ":authority", origin, ":path", "/"}, "400", "", ""},
		{"no token for :method", []string{":method", "G(T", ":scheme", "http", ":authority", origin, ":path", "/"}, "400", "", ""},
		{"a fragment", getBy2(origin, "/a#b"), "400", "fragment", ""},
		{"a length and no body", with(getBy2(origin, "/"), "content-length", "5"), "400", "Content-Length is not the body's", ""},
		{"a length that is none", with(getBy2(origin, "/"), "content-length", "+5"), "400", "Content-Length is not a number", ""},
		{"two lengths", with(getBy2(origin, "/"), "content-length", "0", "content-length", "0"), "400", "more than one Content-Length", ""},
		{"another expectation", with(getBy2(origin, "/"), "expect", "200-ok"), "417", "", ""},
		{"a head that is too large", with(getBy2(origin, "/"), "x-large", strings.Repeat("x", 64<<10)), "431", "the request's head is too large", ""},

		{"our own page", []string{":method", "GET", ":scheme", "https", ":authority", "GW.test:" + port, ":path", "/page"}, "200", "GET gw.test:" + port + " from 127.0.0.1 tls=true", ""},
		{"our own page by http", getBy2("gw.test:"+port, "/page"), "200", "tls=true", ""},
		{"our own name, another port", []string{":method", "GET", ":scheme", "https", ":authority", "gw.test", ":path", "/page"}, "403", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := r.http2()
			h.tb = t
			id := h.ask(true, tt.fields...)
			a := h.read(id, nil)
			if a.reset {
				t.Fatalf("reset: %v", a.code)
			}
			if a.status != tt.status || !strings.Contains(a.body, tt.body) {
				t.Errorf("%s %q, want %s %q", a.status, a.body, tt.status, tt.body)
			}
			rec := r.record()
			if rec.Proto != "HTTP/2" || fmt.Sprint(rec.Status) != tt.status || rec.ClientTLS == nil || rec.ClientTLS.NegotiatedProtocol != "h2" {
				t.Errorf("record: %s %d %v %v", rec.Proto, rec.Status, rec.ClientTLS, rec.Err)
			}
			if tt.url != "" && rec.URL != tt.url {
				t.Errorf("url %s, want %s", rec.URL, tt.url)
			}
			if rec.Status >= 400 && rec.Mode != policy.Deny {
				t.Errorf("refused, and the mode is %v", rec.Mode)
			}
		})
	}
}

// TestHTTP2MalformedIsReset: what RFC 9113 §8.1.1 calls malformed reaches nobody.
// net/http resets such a stream, or answers 400, and there is no record of it.
func TestHTTP2MalformedIsReset(t *testing.T) {
	r := newTLSRig(t, openAll)
	origin := r.httpOrigin(false)
	with := func(more ...string) []string { return append(getBy2(origin, "/5"), more...) }
	for name, fields := range map[string][]string{
		"scheme ftp":                  {":method", "GET", ":scheme", "ftp", ":authority", origin, ":path", "/"},
		"no path":                     {":method", "GET", ":scheme", "http", ":authority", origin},
		"upper case":                  with("X-Upper", "1"),
		"CR LF in a value":            with("x-a", "b\r\nx-c: d"),
		"NUL in a value":              with("x-a", "b\x00"),
		"a colon in a name":           with("x:a", "b"),
		"a space in a name":           with("x a", "b"),
		"LF in :path":                 getBy2(origin, "/\nx"),
		"two :authority":              append(getBy2(origin, "/"), ":authority", "other.test"),
		"a pseudo-field behind":       append(with("x-a", "b"), ":method", "POST"),
		"an unknown pseudo-field":     append([]string{":proto", "x"}, getBy2(origin, "/")...),
		"another Host":                with("host", "other.test"),
		"two Hosts":                   with("host", origin, "host", "other.test"),
		"an absolute :path":           getBy2(origin, "http://other.test/"),
		"user information":            getBy2("u:p@"+origin, "/"),
		"a path in :authority":        getBy2(origin+"/x", "/"),
		"a space in :authority":       getBy2(origin+" x", "/"),
		"Connection":                  with("connection", "close"),
		"Transfer-Encoding":           with("transfer-encoding", "chunked"),
		"Upgrade":                     with("upgrade", "websocket"),
		"Proxy-Connection":            with("proxy-connection", "x"),
		"TE of another kind":          with("te", "gzip"),
		"CONNECT with a path":         {":method", "CONNECT", ":authority", origin, ":path", "/"},
		"CONNECT with a scheme":       {":method", "CONNECT", ":authority", origin, ":scheme", "http"},
		"CONNECT to nobody":           {":method", "CONNECT"},
		"extended CONNECT (RFC 8441)": {":method", "CONNECT", ":scheme", "https", ":authority", origin, ":path", "/", ":protocol", "websocket"},
	} {
		t.Run(name, func(t *testing.T) {
			h := r.http2()
			h.tb = t
			id := h.ask(true, fields...)
			if a := h.read(id, nil); a.status != "400" && (!a.reset || a.code != h2.ErrCodeProtocol) {
				t.Errorf("%+v", a)
			}
		})
	}
	if len(r.handed) != 0 {
		t.Errorf("a record: %+v", r.record())
	}
	if !strings.Contains(r.log.String(), "HTTP/2: a client's stream or connection was ended for an error of its own: stream_PROTOCOL_ERROR") {
		t.Errorf("told: %s", r.log)
	}
}

// TestHTTP2Bodies: uploads with and without a length, trailers both ways.
func TestHTTP2Bodies(t *testing.T) {
	r := newTLSRig(t, openAll)
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		w.Header().Set("Trailer", "X-End")
		fmt.Fprintf(w, "%s %d %v %s", q.Method, q.ContentLength, q.Trailer, b)
		w.Header().Set("X-End", "of the answer")
	}))
	defer served.Close()
	origin := served.Listener.Addr().String()
	h := r.http2()
	id := h.ask(false, ":method", "POST", ":scheme", "http", ":authority", origin, ":path", "/", "content-length", "5")
	_ = h.f.WriteData(id, true, []byte("hello"))
	if a := h.read(id, nil); a.status != "200" || a.body != "POST 5 map[] hello" {
		t.Errorf("a length: %+v", a)
	}
	if rec := r.record(); rec.Sent != 5 || rec.Outcome != Done {
		t.Errorf("record: %d %v %v", rec.Sent, rec.Outcome, rec.Err)
	}
	id = h.ask(false, ":method", "POST", ":scheme", "http", ":authority", origin, ":path", "/", "trailer", "x-sum", "te", "trailers")
	_ = h.f.WriteData(id, false, []byte("hello"))
	h.b.Reset()
	_ = h.e.WriteField(hpack.HeaderField{Name: "x-sum", Value: "1"})
	_ = h.f.WriteHeaders(h2.HeadersFrameParam{StreamID: id, BlockFragment: h.b.Bytes(), EndStream: true, EndHeaders: true})
	if a := h.read(id, nil); a.status != "200" || a.body != "POST -1 map[X-Sum:[1]] hello" || a.field("x-end") != "of the answer" {
		t.Errorf("trailers: %+v", a)
	}
	r.record()

	// More, or less, than was said is no body.
	id = h.ask(false, ":method", "POST", ":scheme", "http", ":authority", origin, ":path", "/", "content-length", "5")
	_ = h.f.WriteData(id, true, []byte("hell"))
	if a := h.read(id, nil); a.status == "200" {
		t.Errorf("less: %+v", a)
	}
	if rec := r.record(); rec.Outcome != Invalid {
		t.Errorf("less: %v %v", rec.Outcome, rec.Err)
	}
	// A client that gives its request up is gone.
	id = h.ask(false, ":method", "POST", ":scheme", "http", ":authority", origin, ":path", "/", "content-length", "5")
	_ = h.f.WriteData(id, false, []byte("hell"))
	_ = h.f.WriteRSTStream(id, h2.ErrCodeCancel)
	if rec := r.record(); rec.Outcome != Gone {
		t.Errorf("given up: %v %v", rec.Outcome, rec.Err)
	}
	// And the connection lives on.
	id = h.ask(true, getBy2(r.httpOrigin(false), "/5")...)
	if a := h.read(id, nil); a.status != "200" || a.body != "01234" {
		t.Errorf("afterwards: %+v", a)
	}
}

// TestHTTP2BrokenAnswerIsReset, and other streams are not.
func TestHTTP2BrokenAnswerIsReset(t *testing.T) {
	r := newTLSRig(t, openAll)
	origin := r.accept(func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		c.Close()
	})
	h := r.http2()
	id := h.ask(true, getBy2(origin, "/")...)
	if a := h.read(id, nil); !a.reset || a.ended {
		t.Errorf("%+v", a)
	}
	if rec := r.record(); rec.Outcome != Failed {
		t.Errorf("record: %v %v", rec.Outcome, rec.Err)
	}
	id = h.ask(true, getBy2(r.httpOrigin(false), "/5")...)
	if a := h.read(id, nil); a.body != "01234" {
		t.Errorf("afterwards: %+v", a)
	}
}

// TestHTTP2Tunnel: CONNECT by HTTP/2 (RFC 9113 §8.5), and the end from either side.
func TestHTTP2Tunnel(t *testing.T) {
	r := newTLSRig(t, openAll)
	h := r.http2()
	origin := r.echo()
	id := h.ask(false, ":method", "CONNECT", ":authority", origin)
	other := h.ask(false, ":method", "CONNECT", ":authority", origin)
	if a := h.read(id, func(a h2Answer) bool { return a.status != "" }); a.status != "200" || len(a.fields) > 1 {
		t.Fatalf("%+v", a)
	}
	_ = h.f.WriteData(id, false, []byte("hello "))
	if a := h.read(id, func(a h2Answer) bool { return a.body != "" }); a.body != "hello " {
		t.Errorf("%+v", a)
	}
	_ = h.f.WriteData(id, true, []byte("world"))
	if a := h.read(id, nil); a.body != "world" || !a.ended || a.reset {
		t.Errorf("%+v", a)
	}
	rec := r.record()
	if rec.Method != "CONNECT" || rec.Outcome != Done || rec.Sent != 11 || rec.Received != 11 || rec.Proto != "HTTP/2" || rec.URL != origin {
		t.Errorf("record: %+v %v", rec, rec.Err)
	}
	_ = h.f.WriteRSTStream(other, h2.ErrCodeCancel)
	if rec := r.record(); rec.Outcome != Gone {
		t.Errorf("given up: %v %v", rec.Outcome, rec.Err)
	}

	ends := r.accept(func(c net.Conn) {
		fmt.Fprint(c, "bye")
		c.Close()
	})
	id = h.ask(false, ":method", "CONNECT", ":authority", ends)
	_ = h.f.WriteData(id, false, []byte("x")) // the rule lets the origin speak first, but not before it has looked
	if a := h.read(id, func(a h2Answer) bool { return a.body == "bye" && a.ended }); a.status != "200" {
		t.Errorf("%+v", a)
	}
	if rec := r.record(); rec.Outcome == Closed || rec.Received != 3 {
		t.Errorf("the origin's end: %v %d %v", rec.Outcome, rec.Received, rec.Err)
	}
	cut := r.accept(func(c net.Conn) {
		fmt.Fprint(c, "bye")
		_, _ = c.Read(make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	id = h.ask(false, ":method", "CONNECT", ":authority", cut)
	_ = h.f.WriteData(id, false, []byte("x"))
	if a := h.read(id, nil); !a.reset || a.ended {
		t.Errorf("a reset origin: %+v", a)
	}
	if rec := r.record(); rec.Outcome != Failed {
		t.Errorf("a reset origin: %v %v", rec.Outcome, rec.Err)
	}
}
