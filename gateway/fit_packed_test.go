// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"sallyport/gateway/reconcile"
)

// packedBy is a text as the coding packs it.
func packedBy(t testing.TB, c reconcile.Coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	p := packer(t, c, &b)
	if _, err := io.WriteString(p, text); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// packer packs by a coding what is written to it.
func packer(t testing.TB, c reconcile.Coding, to io.Writer) interface {
	io.WriteCloser
	Flush() error
} {
	t.Helper()
	switch c {
	case reconcile.Gzip:
		return gzip.NewWriter(to)
	case reconcile.Brotli:
		return brotli.NewWriter(to)
	case reconcile.Zstd:
		z, err := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	t.Fatalf("nothing packs by %s", c)
	return nil
}

var fitCodings = []reconcile.Coding{reconcile.Gzip, reconcile.Brotli, reconcile.Zstd}

// TestBrokenPackedBodyIsNotWhole: what cannot be unpacked ends in a reset, and not
// like something that is complete; the log says why.
func TestBrokenPackedBodyIsNotWhole(t *testing.T) {
	const text = `<a href="https://sure.test/">a link</a>`
	bothWays(t, func(t *testing.T, standard bool) {
		for _, coding := range fitCodings {
			b := packedBy(t, coding, text)
			length := func(b []byte) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b), b) }
			why := "unpacking it (" + coding.String() + ")"
			for _, tt := range []struct{ name, answer, why string }{
				{"no such thing", length([]byte("neither gzip nor anything else")), why},
				{"a truncated one", length(b[:len(b)-1]), why},
				{"one that broke off", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b), b[:len(b)-1]), "unexpected EOF"},
				{"one that broke off behind its end", fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(b), b), "unexpected EOF"},
				{"one with garbage behind it", length(append(bytes.Clone(b), "garbage"...)), why},
			} {
				t.Run(coding.String()+", "+tt.name, func(t *testing.T) {
					r, origin, _ := headersRig(t, fitRules, standard, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: "+coding.String()+"\r\n"+tt.answer)
					c := r.dial(r.addr)
					defer c.Close()
					fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin)
					var got bytes.Buffer
					_, err := got.ReadFrom(c)
					if rec := r.record(); strings.HasSuffix(got.String(), "0\r\n\r\n") || rec.Outcome != Failed || rec.Cause != "http_response_incomplete" || !strings.Contains(fmt.Sprint(rec.Err), tt.why) {
						t.Errorf("%q, %v: %+v", got.String(), err, rec)
					}
				})
			}
		}
	})
}

// TestPackedBodyComesAsItIsFlushed: what the origin has flushed is with the client
// before the origin says more.
func TestPackedBodyComesAsItIsFlushed(t *testing.T) {
	bothWays(t, func(t *testing.T, standard bool) {
		for _, coding := range fitCodings {
			t.Run(coding.String(), func(t *testing.T) {
				r := newRig(t, fitRules, func(s *Server) { s.Standard = standard })
				next := make(chan bool)
				origin := r.accept(func(c net.Conn) {
					c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{r.cert}})
					defer c.Close()
					if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\nTransfer-Encoding: chunked\r\n\r\n", coding)
					chunks := httputil.NewChunkedWriter(c)
					p := packer(t, coding, chunks)
					for i := range 3 {
						fmt.Fprintf(p, "<a href=\"https://sure.test/%d\">", i)
						if p.Flush() != nil || !<-next {
							return
						}
					}
					p.Close()
					chunks.Close()
					_, _ = io.WriteString(c, "\r\n")
				})
				t.Cleanup(func() { close(next) })
				c := r.dial(r.addr)
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", origin)
				res, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					want := fmt.Sprintf("<a href=\"http://sure.test/%d\">", i)
					got := make([]byte, len(want))
					if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
						t.Fatalf("%q, %v", got, err)
					}
					next <- true
				}
				if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
					t.Errorf("%q, %v", rest, err)
				}
			})
		}
	})
}

// TestPackedBodyIsLimitedByWhatComesOut: response_body is of the bytes that the client
// gets, so that what is packed to nothing does not pass it.
func TestPackedBodyIsLimitedByWhatComesOut(t *testing.T) {
	rules := strings.Replace(fitRules, "response: {rewrite: {bodies: true}}", "response: {rewrite: {bodies: true}}, limits: {response_body: 100KB}", 1)
	bothWays(t, func(t *testing.T, standard bool) {
		for _, coding := range fitCodings {
			b := packedBy(t, coding, strings.Repeat(" ", 64<<20))
			r, origin, _ := headersRig(t, rules, standard, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", coding, len(b), b))
			c := r.dial(r.addr)
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", origin)
			got, _ := io.ReadAll(c)
			rec := r.record()
			if limit := rec.Limit; limit != "response_body" || rec.Received > 100<<10 || len(got) > 120<<10 || !strings.HasPrefix(string(got), "HTTP/1.1 200") {
				t.Errorf("%s: %d bytes came to the client, %d were recorded, limit %q, %v", coding, len(got), rec.Received, limit, rec.Err)
			}
			if strings.HasSuffix(string(got), "0\r\n\r\n") {
				t.Errorf("%s: it ends as if it was whole", coding)
			}
		}
	})
}

// TestWindowsAreBounded: when unpacked bodies hold as much as they may, others stay packed;
// each takes no more than its window, and gives it back.
func TestWindowsAreBounded(t *testing.T) {
	const text = `<a href="https://sure.test/">`
	bothWays(t, func(t *testing.T, standard bool) {
		for _, coding := range fitCodings {
			b := packedBy(t, coding, text)
			r, origin, saw := headersRigOf(t, fitRules, standard, false, func() string {
				return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", coding, len(b), b)
			})
			request := "GET http://%/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			for _, tt := range []struct {
				left int64
				fits bool
			}{{mostWindows, true}, {coding.Window(), true}, {coding.Window() - 1, false}, {0, false}} {
				r.server.windows.held.Store(mostWindows - tt.left)
				got := r.send(t, request, origin)
				saw()
				if fits := strings.Contains(got, `<a href="http://sure.test/">`); fits != tt.fits || !fits && (!strings.HasSuffix(got, string(b)) || !strings.Contains(got, "Content-Encoding: "+coding.String())) {
					t.Errorf("%s, with room for %d bytes: %q", coding, tt.left, got)
				}
				r.record()
				if left := mostWindows - r.server.windows.held.Load(); left != tt.left {
					t.Errorf("%s: there was room for %d bytes, and then for %d", coding, tt.left, left)
				}
			}
			r.send(t, strings.Replace(request, "GET", "HEAD", 1), origin)
			if left := mostWindows - r.server.windows.held.Load(); left != 0 {
				t.Errorf("%s: behind HEAD there is room for %d bytes", coding, left)
			}
		}
	})
}

// TestWindowIsWhatTheBodySays: one of brotli holds no more than it says first.
func TestWindowIsWhatTheBodySays(t *testing.T) {
	var w windows
	if !w.take(reconcile.Brotli.Window()) {
		t.Fatal("there is no room")
	}
	var packed bytes.Buffer
	p := brotli.NewWriterOptions(&packed, brotli.WriterOptions{Quality: 5, LGWin: 18})
	fmt.Fprint(p, "text")
	p.Close()
	b := &fittedBody{answerBody: &pieces{}, windows: &w, window: reconcile.Brotli.Window(), packed: reconcile.NewUnpacker(reconcile.Brotli, &packed)}
	if err := b.wait(); err != nil || w.held.Load() != 1<<18 {
		t.Errorf("%v, %d bytes are held", err, w.held.Load())
	}
	b.close()
	if w.held.Load() != 0 {
		t.Errorf("%d bytes are held at the end", w.held.Load())
	}
}
