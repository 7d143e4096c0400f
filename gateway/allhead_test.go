// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// headOrigin is an origin that speaks HTTP/2 by hand: its answers are a frame of
// HEADERS that ends the stream, and have no Content-Length. The status is the path's.
func (r *rig) headOrigin() string {
	return r.accept(func(raw net.Conn) {
		c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{r.cert}, NextProtos: []string{"h2"}})
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, len(h2.ClientPreface))); err != nil {
			return
		}
		f := h2.NewFramer(c, c)
		f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			q, ok := frame.(*h2.MetaHeadersFrame)
			if !ok {
				continue
			}
			var b bytes.Buffer
			e := hpack.NewEncoder(&b)
			for _, field := range [][2]string{{":status", q.PseudoValue("path")[1:]}, {"content-type", "application/grpc"}, {"grpc-status", "9"}} {
				_ = e.WriteField(hpackField(field))
			}
			if f.WriteHeaders(h2.HeadersFrameParam{StreamID: q.StreamID, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: true}) != nil {
				return
			}
		}
	})
}

// TestAnswerByHTTP2ThatIsAllHead: an origin ends it by a flag that HTTP/1.1 does not
// have. Its clients waited for the rest, and took the next answer for it.
func TestAnswerByHTTP2ThatIsAllHead(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, strings.Replace(interceptRules, "mode: intercept", "mode: originate", 1), path)
		r.meetsByHTTP2()
		origin := r.headOrigin()
		c := r.dial(r.addr)
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		from := bufio.NewReader(c)
		for _, tt := range []struct {
			method string
			status int
			length string
		}{{"GET", 200, "0"}, {"POST", 404, "0"}, {"HEAD", 200, ""}, {"GET", 204, ""}, {"GET", 304, ""}, {"GET", 302, "0"}} {
			fmt.Fprintf(c, "%s http://%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", tt.method, origin, tt.status)
			res, err := http.ReadResponse(from, &http.Request{Method: tt.method})
			if err != nil {
				t.Fatalf("%+v: %v", tt, err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || len(body) > 0 || res.StatusCode != tt.status || res.Close || res.Header.Get("Grpc-Status") != "9" {
				t.Errorf("%+v: %q, %v, %+v", tt, body, err, res)
			}
			if got := res.Header.Get("Content-Length"); got != tt.length || res.TransferEncoding != nil {
				t.Errorf("%+v: Content-Length %q, %v", tt, got, res.TransferEncoding)
			}
		}
	})
}

// TestAnswerByHTTP2ThatIsAllHeadStaysThat: it came to clients as a head and an empty
// body behind it, and those of gRPC take a call's status only from the last head.
func TestAnswerByHTTP2ThatIsAllHeadStaysThat(t *testing.T) {
	onBothPaths(t, func(t *testing.T, path func(*Server)) {
		r := newRig(t, strings.Replace(interceptRules, "mode: intercept", "mode: originate", 1), path)
		r.meetsByHTTP2()
		h := newH2Client(t, r.dial(r.addr), h2.ClientPreface)
		defer h.c.Close()
		id := h.ask(true, getBy2(r.headOrigin(), "/200")...)
		if a := h.read(id, func(a h2Answer) bool { return a.status != "" }); !a.ended || a.status != "200" || a.field("grpc-status") != "9" {
			t.Errorf("%+v", a)
		}
	})
}
