// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 the transport of x/net/http2 asks for the very scheme and authority it is told to

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/http2"
)

// cmdFetch2 has the gateway at ADDR fetch a URL, asked by HTTP/2 inside TLS, and
// prints the answer: fetch2 ADDR URL [NAME:VALUE...]. The gateway has to show a
// certificate of the test root for gw.test. An https URL is fetched through a
// CONNECT by HTTP/2 (RFC 9113 §8.5), with TLS inside that the origin's
// certificate is verified in; https+plain:// sends it as a plain request.
func cmdFetch2(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fetch2 addr url [name:value...]")
	}
	w := worldOf(ts)
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	by := &http2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, network, _ string, _ *tls.Config) (net.Conn, error) {
			d := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "gw.test", NextProtos: []string{"h2"}}}
			return d.DialContext(ctx, network, args[0])
		},
	}
	defer by.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	scheme, rest, _ := strings.Cut(args[1], "://")
	u, err := url.Parse(strings.TrimSuffix(scheme, "+plain") + "://" + rest)
	ts.Check(err)
	r := (&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	for _, f := range args[2:] {
		name, value, _ := strings.Cut(f, ":")
		r.Header.Add(name, value)
	}
	if scheme == "https" {
		fetchInside(ts, by, roots, r)
		return
	}
	res, err := by.RoundTrip(r)
	ts.Check(err)
	printAnswer(ts, res)
}

// fetchInside fetches r through a tunnel and prints what comes.
func fetchInside(ts *testscript.TestScript, by *http2.Transport, roots *x509.CertPool, r *http.Request) {
	body, send := io.Pipe()
	defer send.Close()
	connect := (&http.Request{Method: http.MethodConnect, URL: r.URL, Host: r.URL.Host, Header: r.Header, Body: body, ContentLength: -1}).WithContext(r.Context())
	res, err := by.RoundTrip(connect)
	ts.Check(err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		printAnswer(ts, res)
		return
	}
	c := tls.Client(streamed{Reader: res.Body, Writer: send}, &tls.Config{RootCAs: roots, ServerName: r.URL.Hostname()})
	r.Header = http.Header{}
	ts.Check(r.Write(c))
	inside, err := http.ReadResponse(bufio.NewReader(c), r)
	ts.Check(err)
	printAnswer(ts, inside)
	ts.Check(send.Close())
	_, err = io.Copy(io.Discard, res.Body)
	ts.Check(err)
}

func printAnswer(ts *testscript.TestScript, res *http.Response) {
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s %s\n", res.Proto, res.Status)
	ts.Check(res.Header.Write(ts.Stdout()))
	fmt.Fprintf(ts.Stdout(), "\n%s", body)
}

// streamed is a stream of HTTP/2 as a connection, as far as crypto/tls wants one.
type streamed struct {
	net.Conn
	io.Reader
	io.Writer
}

func (s streamed) Read(b []byte) (int, error)     { return s.Reader.Read(b) }
func (s streamed) Write(b []byte) (int, error)    { return s.Writer.Write(b) }
func (streamed) SetWriteDeadline(time.Time) error { return nil }
func (streamed) Close() error                     { return nil }
