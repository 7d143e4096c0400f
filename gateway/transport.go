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

	"sallyport/gateway/h3"
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
	quic *h3.Pool // nil: its origins are not asked by HTTP/3
	used time.Time

	meet func(ctx context.Context, addr string) (*tls.Conn, error) // verified; nil: relay's

	mu    sync.Mutex
	ready map[string]*tls.Conn // by address: made ahead, for the next who needs one there
}

// Bounds of connections that were made ahead: how long each is kept for its
// request, and how many, whatever clients open CONNECTs for and leave.
const (
	readyTime = 10 * time.Second
	maxReady  = 256
)

// prepare makes a verified connection to addr ahead of the first request for it.
// Its bytes are not to be touched. Where too many wait it was only looked at.
func (t *transport) prepare(ctx context.Context, addr string) (*tls.Conn, error) {
	c, err := t.meet(ctx, addr)
	if again(err) {
		c, err = t.meet(ctx, addr)
	}
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.ready[addr]; old != nil {
		go old.Close() // says goodbye, which may block
	} else if len(t.ready) >= maxReady {
		c.NetConn().Close()
		return c, nil
	}
	if t.ready == nil {
		t.ready = make(map[string]*tls.Conn)
	}
	t.ready[addr] = c
	time.AfterFunc(readyTime, func() {
		if t.take(addr, c) != nil {
			c.Close()
		}
	})
	return c, nil
}

// take takes what is ready for addr: which of them, or any for nil. It returns
// nil when there is none.
func (t *transport) take(addr string, which *tls.Conn) *tls.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.ready[addr]
	if c == nil || which != nil && c != which {
		return nil
	}
	delete(t.ready, addr)
	return c
}

// abandon closes what is idle and what is ready.
func (t *transport) abandon() {
	t.retire()
	t.mu.Lock()
	defer t.mu.Unlock()
	for addr, c := range t.ready {
		go c.Close()
		delete(t.ready, addr)
	}
}

// retire closes what is idle, and what is by HTTP/3 when it is.
func (t *transport) retire() {
	t.CloseIdleConnections()
	if t.quic != nil {
		t.quic.Close()
	}
}

// maxTransports bounds the pools that are kept; reloads with ever new profiles
// would otherwise pile them up. The least recently used one is given up.
const maxTransports = 256

// get returns the transport for key, made by open when there is none.
func (o *transports) get(key transportKey, open func() *transport) *transport {
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
		t = open()
		o.pools[key] = t
	}
	t.used = time.Now()
	return t
}

func (o *transports) evict() {
	var oldest transportKey
	var at time.Time
	for key, t := range o.pools {
		if at.IsZero() || t.used.Before(at) {
			oldest, at = key, t.used
		}
	}
	o.pools[oldest].retire()
	delete(o.pools, oldest)
}

// disown is pool's. What is in use is closed when it is not, because nobody
// will ask for these transports again.
func (o *transports) disown() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, t := range o.pools {
		if key.user != "" {
			t.abandon()
			delete(o.pools, key)
		}
	}
}

func (o *transports) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, t := range o.pools {
		t.abandon()
		delete(o.pools, key)
	}
}

// transport finds the transport that a decided request goes by.
func (s *Server) transport(r route, trust Trust, d policy.Decision, http1 bool) *transport {
	return s.transports.get(transportKey{r, http1}, func() *transport {
		t := &transport{Transport: &http.Transport{
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
		}}
		if !r.secure {
			t.DialContext = s.relayDial(d)
			return t
		}
		if trust.HTTP3 && !http1 {
			t.quic = &h3.Pool{Dial: s.quicDial(trust, r.ech, d), Idle: idleTime, Most: maxIdlePerRoute}
		}
		t.ForceAttemptHTTP2 = !http1 // whether the origin gets to choose it is up to the profile's ALPN
		// DialTLSContext is the only way out for https, and it always verifies;
		// a cleartext dial on this transport has nowhere to go (law 1).
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errCleartext }
		tickets := tls.NewLRUClientSessionCache(256)
		t.meet = func(ctx context.Context, addr string) (*tls.Conn, error) {
			m := meeting{s: s, decision: d, ech: r.ech, trust: trust}
			m.host, m.port = splitHostPort(addr)
			m.over = func(l *leg) net.Conn { return l }
			m.config = func() *tls.Config {
				cfg := trust.Config(m.host)
				if cfg == nil {
					return nil
				}
				cfg = cfg.Clone()
				cfg.ClientSessionCache = originTickets{addr, tickets}
				if http1 {
					cfg.NextProtos = []string{"http/1.1"}
				}
				return cfg
			}
			_, c, err := m.meet(ctx)
			return c, err
		}
		t.DialTLSContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
			if c := t.take(addr, nil); c != nil {
				return c, nil
			}
			c, err := t.meet(ctx, addr)
			if again(err) {
				c, err = t.meet(ctx, addr)
			}
			if err != nil {
				return nil, err // and no *tls.Conn that is nil
			}
			return c, nil
		}
		return t
	})
}

// relayDial makes connections in the clear.
func (s *Server) relayDial(d policy.Decision) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port := splitHostPort(addr)
		l, err := s.dial(ctx, d, host, port)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
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
