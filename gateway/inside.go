// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
	"sallyport/tunnel"
)

// An inside is what is known of everything that comes in a connection which a
// CONNECT has opened and the gateway ends: for which origin, and who opened it.
// The record of the CONNECT is handed over when the connection has ended.
type inside struct {
	s        *Server
	live     *liveTunnel
	query    policy.Query                                                    // the CONNECT's
	identity Identity                                                        // of who sent it
	mint     func(host string, life time.Duration) (*tls.Certificate, error) // nil: there is no TLS here
	offer    []string                                                        // what the client can choose from by ALPN
	life     time.Duration                                                   // of the minted leaf; 0: as long as usual
	bad      error                                                           // why the origin is no good, and nothing is minted for it; nil: it is

	once  sync.Once
	fault *Error // why there was no TLS session; guarded by tunnels.mu
}

// These are what the gateway's ends of TLS call HTTP/2 and HTTP/1.1 (RFC 7301 §6).
const (
	http2ALPN = "h2"
	http1ALPN = "http/1.1"
)

// accept answers a CONNECT whose connection the gateway ends, and serves what comes
// inside.
func (p *passage) accept(in *inside) {
	live, err := p.enter()
	if err != nil {
		p.refuse(err)
		return
	}
	in.s, in.live, in.query, in.identity = p.s, live, p.query, p.identity
	p.rec.Status = http.StatusOK
	client, early, err := p.client.takeOver(established)
	if err != nil {
		p.s.tunnels.closed(live)
		p.fail(gone(err).(*Error))
		p.client.abort()
		return
	}
	p.passed = true
	p.s.conns.serve(p.s, arrival{client, in, early})
}

// announced accepts a CONNECT to port 80 in which requests for http://host/ come, as
// browsers ask for ws:// (RFC 6455 §4.1). What it means is what each of them means: no
// origin is met before there is one.
func (p *passage) announced() { p.accept(&inside{}) }

// config is how the client's TLS is met; nil: not at all.
func (in *inside) config() *tls.Config {
	if in.mint == nil {
		return nil
	}
	cfg := &tls.Config{
		MinVersion:                  tls.VersionTLS12,
		NextProtos:                  in.offer,
		DynamicRecordSizingDisabled: true,
		GetConfigForClient:          in.hello,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c, err := in.mint(in.query.Host.String(), in.life)
			if err != nil {
				err = fmt.Errorf("%w: %w", errUnminted, err)
			}
			return c, err
		},
	}
	cfg.SetSessionTicketKeys(in.s.innerTickets.keys(in.query.Host.String(), time.Now()))
	return cfg
}

var errUnminted = errors.New("no certificate could be minted")

// noTLS refuses a client that speaks TLS where the gateway meets none. A nil inside
// is a client's own connection.
func (in *inside) noTLS() *h1.Error {
	if in == nil {
		return errNoTLS
	}
	rule := in.live.rec.Decision.Rule.Name
	fault := &h1.Error{Status: http.StatusBadRequest, Msg: fmt.Sprintf(
		"rule %q originates, and takes a CONNECT to port 80 for requests in the clear, but the client speaks TLS in it: use http://%[2]s/ or ws://%[2]s/", rule, target{host: in.query.Host}.authority("http", 80))}
	in.failed(&Error{Outcome: Denied, Cause: "http_request_denied", Rule: rule, Err: fault})
	return fault
}

// hello holds the ClientHello to the CONNECT: what is minted is for the host
// that was decided about, and for no other (policy.md §4.5). A name hidden by ECH
// (RFC 9849) is not looked for: the gateway has no key for it, which the client
// can tell, and the outer name has to be the one of the CONNECT all the same.
func (in *inside) hello(h *tls.ClientHelloInfo) (*tls.Config, error) {
	in.live.rec.Hello = &tunnel.Hello{
		ServerName: strings.ToLower(h.ServerName), ALPN: slices.Clone(h.SupportedProtos), Versions: slices.Clone(h.SupportedVersions),
		ECH: slices.Contains(h.Extensions, echExtension),
	}
	if want := in.query.Host.Name; !strings.EqualFold(h.ServerName, want) {
		if in.live.rec.Hello.ECH {
			return nil, fmt.Errorf("the name is encrypted (ECH) behind %q in a connection decided for %q: %w", clip(h.ServerName, 253), in.query.Host, errHiddenInside)
		}
		return nil, fmt.Errorf("SNI %q in a connection decided for %q: %w", clip(h.ServerName, 253), in.query.Host, tunnel.ErrName)
	}
	return nil, in.bad
}

// errHiddenInside is a name that the gateway has no key to read.
var errHiddenInside = fmt.Errorf("the gateway cannot be the origin for it: the host needs a rule that tunnels with tunnel: {ech: allow}, or a DNS that names no ECH keys (HTTPS records): %w", tunnel.ErrName)

// echExtension is encrypted_client_hello (RFC 9849 §5).
const echExtension = 0xfe0d

// target reads the target of a request inside: a path of the host that the
// CONNECT was for. Anybody else's name is 421 (RFC 9110 §15.5.20): the decision
// about the connection, and its certificate, were about that host alone.
func (in *inside) target(method, raw string, fields h1.Fields, scheme string) (t target, err error) {
	if method == http.MethodConnect {
		return t, &Error{
			Status: http.StatusMethodNotAllowed, Cause: "http_request_denied", Outcome: Denied,
			Msg: "a CONNECT inside a connection that a CONNECT has opened: send it to the gateway itself",
		}
	}
	port := uint16(443)
	if scheme == "http" {
		port = 80
	}
	written := string(fields.Get(h1.Host)) // none: HTTP/1.0
	if written != "" {
		var named target
		if named.host, named.port, err = readAuthority(written, port); err != nil {
			return t, badTarget(err)
		}
		if !in.names(named) {
			return t, in.misdirected(written)
		}
	}
	if strings.HasPrefix(raw, "/") || raw == "*" {
		t = target{host: in.query.Host}
		raw = scheme + "://" + t.authority(scheme, in.query.Port) + strings.TrimPrefix(raw, "*")
	}
	if t, err = readTarget(method, raw); err != nil {
		return t, badTarget(err)
	}
	if t.scheme != scheme || !in.names(t) {
		return t, in.misdirected(t.scheme + "://" + t.authority(t.scheme, t.port))
	}
	return t, nil
}

func (in *inside) names(t target) bool { return t.host == in.query.Host && t.port == in.query.Port }

func (in *inside) misdirected(named string) *Error {
	return &Error{
		Status: http.StatusMisdirectedRequest, Cause: "authority_mismatch", Outcome: Denied,
		Msg: fmt.Sprintf("this connection was opened for %s, and %q was asked for on it: that needs a CONNECT of its own",
			hostPort(in.query.Host.String(), in.query.Port), clip(named, 253)),
	}
}

// client is who sends the requests inside: who opened the connection, as long as
// what proved that still does.
func (in *inside) client() (Identity, error) {
	i := Identity{Client: in.identity.Client, Still: in.identity.Still}
	if i.Still == nil {
		return i, nil
	}
	c, err := i.Still()
	if err != nil {
		return i, &Error{
			Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: Denied, NoReuse: true,
			Msg: "who opened this connection is no longer known to the gateway", Err: err,
		}
	}
	i.Client = c
	return i, nil
}

// ended hands over the record of the CONNECT. It may be called more than once.
func (in *inside) ended() {
	in.once.Do(func() {
		rec := in.live.rec
		rec.Outcome = Done
		in.s.tunnels.mu.Lock()
		cause, fault := in.live.cause, in.fault
		in.s.tunnels.mu.Unlock()
		if fault != nil {
			rec.fail(fault)
		}
		if cause != nil {
			rec.fail(&Error{Outcome: Closed, Cause: "proxy_internal_response", Err: cause, Rule: rec.Decision.Rule.Name})
		}
		in.s.report(rec)
		in.s.tunnels.closed(in.live)
	})
}

// silent notes that the client has gone without a word. A nil inside is a
// client's own connection, of which nothing is told.
func (in *inside) silent() {
	if in != nil {
		in.failed(&Error{Outcome: Gone, Cause: "connection_terminated", Err: errors.New("the client left before it said anything")})
	}
}

// alerted is told why nothing more can be read from the client, and listens for
// what it has found out about the handshake only when that was over: with TLS
// 1.3 the gateway's part is done before the client's is. A nil inside does not care.
func (in *inside) alerted(err error) {
	if in == nil || err == nil || !tlsAlert(err) {
		return
	}
	if why := err.Error(); strings.Contains(why, "certificate") || strings.Contains(why, echRequired) {
		in.unshaken(err)
	}
}

// An overhearing connection is net/http's, which tells nobody of an alert.
type overhearing struct {
	*tls.Conn
	in *inside
}

func (c overhearing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.alerted(err)
	return n, err
}

// unshaken notes why the client's handshake failed: whose fault it was, and
// what whoever reads the log can do.
func (in *inside) unshaken(err error) {
	var e *Error
	switch {
	case in.bad != nil && errors.Is(err, in.bad):
		e = in.s.asError(in.bad, in.query.Host.String())
	case errors.Is(err, errHiddenInside):
		e = &Error{Outcome: Denied, Cause: "authority_mismatch", Event: "client_hides_name", EventText: err.Error(), Err: err}
	case errors.Is(err, tunnel.ErrName):
		e = &Error{Outcome: Denied, Cause: "authority_mismatch", Event: "client_sni_mismatch", EventText: err.Error(), Err: err}
	case errors.Is(err, errUnminted):
		e = &Error{Outcome: Failed, Cause: "proxy_configuration_error", Event: "gateway_mints_nothing", EventText: err.Error(), Err: err}
	default:
		e = clientFault(err)
		e.EventText = in.remedy(e.Event)
		e.Err = fmt.Errorf("TLS handshake of client %s for %s: %s: %w", in.live.rec.Client.Addr(), in.query.Host, e.EventText, err)
	}
	e.Rule = in.live.rec.Decision.Rule.Name
	in.failed(e)
}

// remedy says what a fault of a client means to it here, and what to do.
func (in *inside) remedy(event string) string {
	switch event {
	case "client_alpn_refusal":
		return fmt.Sprintf("it speaks none of %s, which the origin speaks or the rule offers (intercept: {alpn: …})", strings.Join(in.offer, ", "))
	case "client_tls_version":
		return fmt.Sprintf("its TLS is older than 1.2: update it, or tunnel %s", in.query.Host)
	case "client_insists_on_ech":
		return fmt.Sprintf("its ClientHello was encrypted for the origin, and the gateway does not pretend to be it: it needs a rule that tunnels %s, or a DNS that names no ECH keys (HTTPS records)", in.query.Host)
	case "client_distrusts_gateway":
		return fmt.Sprintf("it does not trust the certificate minted for the host: it needs the gateway's edge root (sallyport ca root), or pins the origin's own certificate, and then needs a rule that tunnels %s", in.query.Host)
	}
	return remedies[event]
}

// failed notes what the record of the CONNECT ends with.
func (in *inside) failed(e *Error) {
	in.s.tunnels.mu.Lock()
	defer in.s.tunnels.mu.Unlock()
	in.fault = e
}

// innerTickets are the keys of session tickets for what clients resume inside: a
// ticket is good for the host it was made for, as the certificate it stands for
// is, and for a day or two. The zero value is ready.
type innerTickets struct {
	once   sync.Once
	secret [32]byte
}

func (t *innerTickets) keys(host string, now time.Time) [][32]byte {
	t.once.Do(func() { rand.Read(t.secret[:]) })
	var keys [][32]byte
	for ago := range int64(2) {
		b := binary.BigEndian.AppendUint64(t.secret[:len(t.secret):len(t.secret)], uint64(now.Unix()/(24*60*60)-ago))
		keys = append(keys, sha256.Sum256(append(b, host...)))
	}
	return keys
}
