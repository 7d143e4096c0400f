// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway/h3"
	"sallyport/gateway/hsts"
	"sallyport/gateway/reconcile"
	"sallyport/policy"
	"sallyport/tunnel"
)

// A Server is the gateway's data path. Its zero value answers every request
// with a refusal. Fields are set before Serve and not changed after; Serve may
// be called for several listeners at once.
type Server struct {
	// Generation returns what requests are decided and origins are trusted
	// under from now on. It is asked once per request and must not block. nil,
	// or a nil result, denies.
	Generation func() *Generation

	// Identify says who a request comes from; an error refuses it, an *Error as it
	// says. It is called from many goroutines at once, and may take its time. nil
	// proves the address of the connection and nothing else.
	Identify func(Request) (Identity, error)

	// Dialer connects to origins. Its Permit is replaced for each decision.
	Dialer tunnel.Dialer

	// Describe explains a failed TLS handshake with host in one line for people, and
	// names it for programs (Record.Event). nil: the error's own text, and
	// "origin_handshake_failed".
	Describe func(err error, host string) (text, event string)

	// Observe is handed each Record at the end of its transaction, from many
	// goroutines at once. The data path waits for it. nil: nobody is told.
	Observe func(*Record)

	// ErrorLog is told what no Record can hold: connections that cannot be
	// accepted for want of descriptors, above all. nil: nobody is told.
	ErrorLog *log.Logger

	Limits Limits

	// TLS is how clients are met that begin with a TLS handshake; others are served
	// in the clear on the same port. Its NextProtos are replaced by those that the
	// Server speaks; "acme-tls/1" stays when it is there: connections that choose it
	// are closed behind the handshake. nil: TLS is refused, with a record.
	TLS *tls.Config

	// Delegate makes a certificate that origins are shown in a user's name, where
	// Trust.Delegated asks for it. It is called from many goroutines at once, for
	// every request, and is expected to return the same one as long as that is good.
	// An error refuses the request. nil: such requests are refused.
	Delegate func(policy.Subject) (*tls.Certificate, error)

	// HSTS remembers which hosts have asked, over verified TLS, for https only. They are
	// not relayed to, whatever the policy says. nil: nothing is remembered.
	HSTS *hsts.Hosts

	// CookieKey seals cookies that an origin sets with Secure for clients without TLS
	// (package reconcile). nil: one that ends with the Server, and the clients' sessions
	// with it.
	CookieKey reconcile.Key

	// Own answers requests for the gateway itself: those in origin-form whose Host is
	// one that OwnNames knows, and those that a client asks the proxy for whose name
	// and port are the gateway's. Neither the policy nor Identify is asked: whoever
	// can connect can ask. It is called from many goroutines at once, and its
	// requests have their client's address, and how it came by TLS, as net/http's
	// have. nil: there are none, and they are refused.
	Own http.Handler

	// OwnNames says which names, and addresses, are the gateway's own; see the
	// function of that name. nil: none.
	OwnNames func(policy.Host) bool

	// OwnURL is where the gateway's own pages are, for the page that refuses a
	// request: http://gw.corp.test:3128. "": the page does not name it.
	OwnURL string

	// OwnPaths says which paths, as they are on the wire, Own has pages at. Mappings of
	// the policy that have no host cannot have these. nil: all.
	OwnPaths func(path string) bool

	// Standard serves clients and asks origins by net/http alone, without the
	// engine of this package: slower, and to be compared with. HTTP/2 is always
	// net/http's.
	Standard bool

	config *tls.Config // TLS, made ready; nil: none
	given  *given
	shakes shakes

	innerTickets innerTickets

	failedShakes, faults teller // of TLS and of HTTP/2, with clients

	conns      conns
	pool       pool
	ledger     reconcile.Ledger
	transports transports
	known3     h3.Known // which origins have HTTP/3
	tunnels    tunnels
	meters     meters
	windows    windows
	passages   sync.WaitGroup // those that have not handed over their record

	once      sync.Once
	draining  atomic.Bool
	standard  *http.Server
	cut       context.CancelCauseFunc // every request's context, of standard
	mu        sync.Mutex
	listeners []net.Listener
	listen    []netip.AddrPort // own addresses, never dialled
}

// A Generation is a policy together with the trust its origin profiles were
// loaded into, and with what mints for it. They are swapped as one.
type Generation struct {
	Policy *policy.Policy
	Trust  func(*policy.Origin) (Trust, error) // given nil for rules without a profile; nil refuses originate

	// Secrets are the values of those that the policy's rules name: one line of
	// visible US-ASCII and spaces each. A request that needs one that is not there is refused.
	Secrets map[string]string

	// Mint makes a certificate for a host, a DNS name in lower case or an address,
	// for intercept: to be shown to clients in place of the origin's, and good for
	// life at most (0: as long as usual). An error refuses the CONNECT. It is called
	// from many goroutines at once, for every CONNECT that the policy intercepts.
	// nil: intercept is refused.
	Mint func(host string, life time.Duration) (*tls.Certificate, error)
}

// Trust is how the origins of one profile are verified and met.
type Trust struct {
	Key        string                        // equal only where connections may be shared (law 7)
	Config     func(host string) *tls.Config // fresh, for one host
	ClientCert string                        // subject of the certificate shown to origins; "" none
	HTTP2      bool                          // origins are offered HTTP/2
	HTTP3      bool                          // origins that are known to have it are asked by HTTP/3
	OnlyHTTP3  bool                          // all are, and by nothing else
	ECH        policy.ECH                    // off where Config allows no TLS 1.3, or sends another name than the host

	// Provider is asked about who refuses Encrypted Client Hello, whose certificate
	// crypto/tls has verified for the public name: an error makes it somebody who is
	// not believed. nil: nothing more is asked.
	Provider func(tls.ConnectionState) error

	// Delegated says that origins are shown a certificate of Server.Delegate for
	// the user who asks, and what it is like. Who is not proven is refused. nil:
	// they are not.
	Delegated *policy.Mint

	serial string // of that certificate
}

// Serve serves clients on l until Shutdown. It closes l. The error is
// http.ErrServerClosed after Shutdown.
func (s *Server) Serve(l net.Listener) error {
	s.once.Do(s.setUp)
	s.mu.Lock()
	if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
		s.listen = append(s.listen, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	return s.accept(l)
}

func (s *Server) setUp() {
	ctx, cut := context.WithCancelCause(context.Background())
	s.cut = cut
	s.ErrorLog = cmp.Or(s.ErrorLog, log.New(io.Discard, "", 0))
	s.config = listenerConfig(s.TLS)
	s.given = newGiven()
	if s.CookieKey == nil {
		s.CookieKey = reconcile.NewKey()
	}
	s.standard = s.standardServer(ctx)
	s.serveHTTP2(s.standard)
	go func() { _ = s.standard.Serve(s.given) }() // until Shutdown
}

// accept serves the connections of l.
func (s *Server) accept(l net.Listener) error {
	var pause time.Duration
	for {
		c, err := l.Accept()
		switch {
		case s.draining.Load():
			if err == nil {
				c.Close()
			}
			return http.ErrServerClosed
		case err != nil:
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// For want of descriptors, above all: others will be given back.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.ErrorLog.Printf("accepting a connection: %v; trying again in %v", err, pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		s.conns.serve(s, arrival{conn: c})
	}
}

// Shutdown stops accepting, ends idle connections and waits for requests and
// tunnels. When ctx ends first it cuts what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(s.setUp)
	s.draining.Store(true)
	s.tunnels.drain()
	s.mu.Lock()
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.conns.drain()
	err := s.standard.Shutdown(ctx)
	for _, wait := range []func(context.Context) error{s.conns.wait, s.tunnels.wait} {
		if waitErr := wait(ctx); err == nil {
			err = waitErr
		}
	}
	if err != nil {
		s.cut(errDrained)         // first: whoever waits for its origin does not notice that its client is gone
		s.tunnels.cut(errDrained) // before the connections that carry some of them are closed
		s.standard.Close()
		s.conns.cut(errDrained)
		s.tunnels.gone()
	}
	s.passages.Wait() // their records count
	s.pool.close()
	s.transports.close()
	return err
}

// Recheck asks who the clients of all open tunnels are by now, and the present
// generation about them, and cuts those that it no longer allows (law 8). Kept
// connections to origins that were made in a user's name are closed, whoever it is.
func (s *Server) Recheck() {
	s.pool.disown()
	s.transports.disown()
	s.tunnels.recheck(s.generation().Policy)
}

// Tunnels returns how many tunnels are open.
func (s *Server) Tunnels() int { return s.tunnels.count() }

// generation never returns nil: without one, everything is denied.
func (s *Server) generation() *Generation {
	if s.Generation != nil {
		if g := s.Generation(); g != nil {
			return g
		}
	}
	return &Generation{}
}

// isSelf reports whether connecting to a would reach one of our listeners.
func (s *Server) isSelf(a netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listen {
		if l.Port() != a.Port() {
			continue
		}
		if l.Addr() == a.Addr() || l.Addr().IsUnspecified() && isLocal(a.Addr()) {
			return true
		}
	}
	return false
}

// isLocal reports whether a is an address of this machine. In doubt it is.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, own := range addrs {
		if p, err := netip.ParsePrefix(own.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}
