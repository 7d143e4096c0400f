// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// An Ask says which server is asked for its certificate, and how.
type Ask struct {
	Address    string         // host:port
	ServerName string         // sent as SNI; "": the host of Address, unless that is an address
	ALPN       []string       // offered; empty: none
	Proxy      *url.URL       // through this one, by CONNECT: http or https, with host and port; nil: directly
	ProxyRoots *x509.CertPool // for an https one; nil: the system's
}

// A Handshake is what a server showed.
type Handshake struct {
	Address    string   `json:"address"`
	Peer       string   `json:"peer"` // IP address and port that was connected to, the proxy's if there is one
	Proxy      string   `json:"proxy,omitempty"`
	ServerName string   `json:"server_name,omitempty"`
	Version    string   `json:"version,omitempty"`
	Cipher     string   `json:"cipher,omitempty"`
	Group      string   `json:"group,omitempty"`
	ALPN       string   `json:"alpn,omitempty"`
	Stapled    bool     `json:"stapled"`
	SCTs       int      `json:"scts"`                    // sent beside the certificate
	AsksClient bool     `json:"asks_client_certificate"` // whether it insists is not known
	ClientCAs  []string `json:"client_certificate_authorities,omitempty"`
	Broken     string   `json:"broken,omitempty"` // why the handshake ended after the certificates had come

	Chain  []*x509.Certificate `json:"-"` // as it came
	Staple []byte              `json:"-"` // the OCSP response
}

// maxAuthorities is how many acceptable authorities of a server are kept.
const maxAuthorities = 20

// Dial makes a handshake with a server and ends the connection; it says
// nothing over it. The chain is not verified: that it can be looked at although
// it does not hold is what this is for. ctx bounds all of it.
func Dial(ctx context.Context, a Ask) (*Handshake, error) {
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil {
		return nil, fmt.Errorf("%s is not host:port", a.Address)
	}
	h := &Handshake{Address: a.Address, ServerName: a.ServerName}
	if h.ServerName == "" {
		h.ServerName = host
	}
	raw, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	h.Peer = raw.RemoteAddr().String()
	if a.Proxy != nil {
		h.Proxy = a.Proxy.Redacted()
	}
	t := tls.Client(raw, h.config(a.ALPN))
	err = t.HandshakeContext(ctx)
	if err != nil && len(h.Chain) == 0 {
		return nil, notTLS(ctx, err)
	}
	if err != nil {
		h.Broken = plainError(ctx, err)
	}
	h.fill(t.ConnectionState())
	return h, nil
}

// config lets everything through that crypto/tls can speak, and keeps what came.
func (h *Handshake) config(alpn []string) *tls.Config {
	return &tls.Config{
		ServerName: h.ServerName,
		NextProtos: alpn,
		MinVersion: tls.VersionTLS10, // to be told of
		// SECURITY: nothing is verified because nothing is sent or answered over
		// this connection: its chain is shown, or judged by certs.ExplainChain.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error { // keeps it also of a handshake that fails behind it
			h.Chain = s.PeerCertificates
			return nil
		},
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.AsksClient = true
			for _, der := range r.AcceptableCAs[:min(maxAuthorities, len(r.AcceptableCAs))] {
				h.ClientCAs = append(h.ClientCAs, distinguishedName(der))
			}
			return &tls.Certificate{}, nil // none
		},
	}
}

func (h *Handshake) fill(s tls.ConnectionState) {
	if s.Version != 0 {
		h.Version = tls.VersionName(s.Version)
	}
	if s.CipherSuite != 0 {
		h.Cipher = tls.CipherSuiteName(s.CipherSuite)
	}
	if s.CurveID != 0 {
		h.Group = s.CurveID.String()
	}
	h.ALPN, h.Staple, h.Stapled, h.SCTs = s.NegotiatedProtocol, s.OCSPResponse, len(s.OCSPResponse) > 0, len(s.SignedCertificateTimestamps)
	if !h.Stapled {
		h.Staple = nil
	}
}

// connect reaches the server, by the proxy if there is one.
func (a *Ask) connect(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if a.Proxy == nil {
		c, err := d.DialContext(ctx, "tcp", a.Address)
		if err != nil {
			return nil, fmt.Errorf("cannot connect: %s", plainError(ctx, err))
		}
		return c, nil
	}
	c, err := d.DialContext(ctx, "tcp", a.Proxy.Host)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the proxy: %s", plainError(ctx, err))
	}
	if a.Proxy.Scheme == "https" {
		t := tls.Client(c, &tls.Config{ServerName: a.Proxy.Hostname(), RootCAs: a.ProxyRoots, MinVersion: tls.VersionTLS12})
		if err := t.HandshakeContext(ctx); err != nil {
			c.Close()
			return nil, fmt.Errorf("no TLS with the proxy: %s", plainError(ctx, err))
		}
		c = t
	}
	tunnelled, err := tunnel(ctx, c, a.Address)
	if err != nil {
		c.Close()
		return nil, err
	}
	return tunnelled, nil
}

// maxAnswer bounds what a proxy says to a CONNECT.
const maxAnswer = 64 << 10

// tunnel asks the proxy behind c for a tunnel (RFC 9110 §9.3.6).
func tunnel(ctx context.Context, c net.Conn, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		return nil, fmt.Errorf("asking the proxy for a tunnel: %s", plainError(ctx, err))
	}
	br := bufio.NewReader(io.LimitReader(c, maxAnswer))
	r, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("the proxy does not answer a CONNECT as it should: %s", plainError(ctx, err))
	}
	if r.StatusCode != http.StatusOK {
		why := r.Status
		if r.StatusCode == http.StatusProxyAuthRequired {
			why += ": it wants to know who asks"
		}
		if s := r.Header.Get("Proxy-Status"); s != "" {
			why += " (" + s + ")"
		}
		return nil, fmt.Errorf("the proxy refuses the tunnel: %s", why)
	}
	if br.Buffered() > 0 { // a server that speaks first speaks no TLS
		return nil, errors.New("the server speaks first, and no TLS: it answers in cleartext")
	}
	return c, nil
}

// notTLS says why there was no handshake to look at.
func notTLS(ctx context.Context, err error) error {
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &record) && strings.HasPrefix(string(record.RecordHeader[:]), "HTTP/"):
		return errors.New("it answers in cleartext, with HTTP: TLS is not served on this port")
	case errors.As(err, &record):
		return errors.New("it answers in cleartext: TLS is not served on this port")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return errors.New("it closed the connection during the handshake: is it TLS that this port speaks, and does it know this name?")
	}
	return fmt.Errorf("no TLS handshake: %s", plainError(ctx, err))
}

// plainError is err without what net puts around it.
func plainError(ctx context.Context, err error) string {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "it took too long, and there was no answer"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "there is no such name, " + dns.Name
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s cannot be looked up: %s", dns.Name, dns.Err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there (connection refused)"
	case errors.As(err, &op) && op.Op == "remote error":
		return "the server sent the alert " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	return strings.TrimPrefix(err.Error(), "tls: ")
}

// HostPort reports whether s is host:port, with a port in digits.
func HostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || strings.ContainsAny(host, "/\\ \t\r\n") {
		return false
	}
	_, err = netip.ParseAddrPort("127.0.0.1:" + port)
	return err == nil && port != "0"
}
