// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"sallyport/policy"
)

// transports are the pools of connections to origins that net/http speaks on:
// all of HTTP/2, and everything where the engine is switched off. The zero
// value is ready. Within a pool, connections are told apart by scheme, host and
// port.
type transports struct {
	mu    sync.Mutex
	pools map[transportKey]*transport
}

type transportKey struct {
	route
	http1 bool // HTTP/1.1 only, for upgrades
}

type transport struct {
	*http.Transport
	used time.Time
}

// maxTransports bounds the pools that are kept; reloads with ever new profiles
// would otherwise pile them up. The least recently used one is given up.
const maxTransports = 256

// get returns the transport for key, made by open when there is none.
func (o *transports) get(key transportKey, open func() *http.Transport) *http.Transport {
	key.host, key.port = "", 0
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.pools[key]
	if t == nil {
		if o.pools == nil {
			o.pools = make(map[transportKey]*transport)
		}
		if len(o.pools) >= maxTransports {
			o.evict()
		}
		t = &transport{Transport: open()}
		o.pools[key] = t
	}
	t.used = time.Now()
	return t.Transport
}

func (o *transports) evict() {
	var oldest transportKey
	var at time.Time
	for key, t := range o.pools {
		if at.IsZero() || t.used.Before(at) {
			oldest, at = key, t.used
		}
	}
	o.pools[oldest].CloseIdleConnections()
	delete(o.pools, oldest)
}

func (o *transports) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.pools {
		t.CloseIdleConnections()
	}
}

// transport finds the transport that a decided request goes by.
func (s *Server) transport(r route, trust Trust, d policy.Decision, http1 bool) *http.Transport {
	return s.transports.get(transportKey{r, http1}, func() *http.Transport {
		t := &http.Transport{
			Proxy:                  nil, // the environment has no say in where requests go
			DisableCompression:     true,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdlePerRoute,
			IdleConnTimeout:        idleTime,
			ResponseHeaderTimeout:  s.Limits.answer(),
			ExpectContinueTimeout:  continueTime,
			MaxResponseHeaderBytes: 256 << 10,
			WriteBufferSize:        16 << 10,
			ReadBufferSize:         16 << 10,
		}
		if !r.secure {
			t.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
				host, port := splitHostPort(addr)
				l, err := s.dial(ctx, d, host, port)
				if err != nil {
					return nil, err
				}
				return l, nil
			}
			return t
		}
		t.ForceAttemptHTTP2 = !http1 // whether the origin gets to choose it is up to the profile's ALPN
		// DialTLSContext is the only way out for https, and it always verifies;
		// a cleartext dial on this transport has nowhere to go (law 1).
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errCleartext }
		tickets := tls.NewLRUClientSessionCache(256)
		meet := func(ctx context.Context, addr string) (net.Conn, error) {
			host, port := splitHostPort(addr)
			l, err := s.dial(ctx, d, host, port)
			if err != nil {
				return nil, err
			}
			cfg := trust.Config(host)
			if cfg != nil {
				cfg = cfg.Clone()
				cfg.ClientSessionCache = originTickets{addr, tickets}
				if http1 {
					cfg.NextProtos = []string{"http/1.1"}
				}
			}
			c, err := s.shake(ctx, l, l, cfg, trust.ClientCert) // net/http looks for a *tls.Conn
			if err != nil {
				l.Close()
				return nil, &legError{stage: stageTLS, addr: addr, err: err}
			}
			return c, nil
		}
		t.DialTLSContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
			c, err := meet(ctx, addr)
			if again(err) {
				return meet(ctx, addr)
			}
			return c, err
		}
		return t
	})
}

// splitHostPort takes apart what net/http was given by this package.
func splitHostPort(addr string) (host string, port uint16) {
	host, digits, err := net.SplitHostPort(addr)
	n, _ := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0
	}
	return host, uint16(n)
}

var errCleartext = &Error{
	Status: http.StatusInternalServerError, Cause: "proxy_internal_error", Outcome: Failed,
	Msg: "a request for https was about to leave in the clear and was stopped",
}
