// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Defect 4, as autocert meets it: it tries tls-alpn-01 first, and goes on to
// http-01 only when the authorization of the first is invalid. With smallstep's
// it polls a pending one until its deadline.
func TestDefect4AutocertFallsBack(t *testing.T) {
	ctx := within30s(t)
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist("gw.test"), Cache: autocert.DirCache(t.TempDir())}
	web := httptest.NewServer(m.HTTPHandler(nil))
	defer web.Close()
	var refused atomic.Int32
	w := openWorld(t, func(o *ACMEOptions) {
		o.Own = func(ctx context.Context, addr string) (net.Conn, error) {
			if strings.HasSuffix(addr, ":443") {
				refused.Add(1)
				return nil, errors.New("nobody is there")
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", web.Listener.Addr().String())
		}
	})
	m.Client = &acme.Client{DirectoryURL: w.acme.Directory(), HTTPClient: &http.Client{Transport: w.acme.Transport()}}
	type outcome struct {
		cert *tls.Certificate
		err  error
	}
	got := make(chan outcome, 1)
	go func() {
		c, err := m.GetCertificate(&tls.ClientHelloInfo{ServerName: "gw.test", CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256}})
		got <- outcome{c, err}
	}()
	select {
	case o := <-got:
		if o.err != nil || o.cert.Leaf.VerifyHostname("gw.test") != nil || refused.Load() == 0 {
			t.Errorf("%v, %v after %d attempts at tls-alpn-01", o.cert, o.err, refused.Load())
		}
	case <-ctx.Done():
		t.Error("autocert waits for what cannot come")
	}
}
