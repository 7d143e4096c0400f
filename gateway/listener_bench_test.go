// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//lint:file-ignore SA1019 the transport of x/net/http2 asks for the very scheme and authority it is told to

package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"

	h2 "golang.org/x/net/http2"
)

// BenchmarkListenerTLS: the client speaks TLS to the gateway. Direct is the same
// request through the same gateway in the clear.
func BenchmarkListenerTLS(b *testing.B) {
	r := newTLSRig(b, "  - {name: plain, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n")
	origin := r.httpOrigin(false)
	url := "http://" + origin
	for _, size := range []struct{ name, path string }{{"kept-1KiB", "/1024"}, {"kept-64KiB", "/65536"}, {"kept-16MiB", "/16777216"}} {
		b.Run(size.name, func(b *testing.B) {
			secure := newExchanger(r.unhurried("http/1.1"), url+size.path, origin)
			defer secure.Close()
			plain := newExchanger(r.within(b).dial(r.addr), url+size.path, origin)
			defer plain.Close()
			compare(b, sizeOf(size.path), secure.exchange, plain.exchange)
		})
	}
	for _, resumed := range []bool{false, true} {
		name, cfg := "new-client-1KiB", r.client("http/1.1")
		if resumed {
			name, cfg.ClientSessionCache = "resumed-client-1KiB", tls.NewLRUClientSessionCache(1)
		}
		b.Run(name, func(b *testing.B) {
			r := r.rig.within(b)
			compare(b, 1024, func() error {
				c, err := tls.Dial("tcp", r.addr, cfg)
				if err != nil {
					return err
				}
				return once(newExchanger(c, url+"/1024", origin))
			}, func() error {
				return once(newExchanger(r.dial(r.addr), url+"/1024", origin))
			})
		})
	}
}

// BenchmarkListenerHTTP2: a request by HTTP/2. Direct is one by HTTP/1.1 inside
// TLS, each by Go's own client.
func BenchmarkListenerHTTP2(b *testing.B) {
	r := newTLSRig(b, "  - {name: plain, from: any, to: 127.0.0.1, ports: any, mode: relay, allow_private: true}\n")
	origin := r.httpOrigin(false)
	by2 := &h2.Transport{AllowHTTP: true, DialTLSContext: r.transport2().DialTLSContext}
	request, err := http.NewRequest(http.MethodGet, "http://"+origin+"/1024", nil)
	if err != nil {
		b.Fatal(err)
	}
	secure := newExchanger(r.unhurried("http/1.1"), "http://"+origin+"/1024", origin)
	defer secure.Close()
	compare(b, 1024, func() error {
		res, err := by2.RoundTrip(request)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != 200 {
			return errors.New(res.Status)
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}, secure.exchange)
}
