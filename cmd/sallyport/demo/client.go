// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// A client is somebody who wants to reach origins in the way of one column. It is
// the same whatever the gateway's rules turn out to be.
type client struct {
	mode  string // of its way
	peer  bool   // the gateway is a peer
	proxy string // the gateway's address; unused by direct
	https string // port of the origin, as URLs have it
	ssh   string
	roots *x509.CertPool
	keys  io.Writer // nil: none are written
	own   *tls.Certificate
}

// plain reports whether the client speaks plain HTTP and has TLS done for it.
func (c *client) plain() bool { return c.mode == originate || c.mode == relay }

func (c *client) direct() bool { return c.mode == direct }

// url is where the client finds a path of an origin.
func (c *client) url(host, path string) string {
	scheme := "https"
	if c.plain() {
		scheme = "http"
	}
	return scheme + "://" + host + ":" + c.https + path
}

// An answer is what became of one request of the client's.
type answer struct {
	status   int    // 0: there was none
	scheme   string // of the URL that was answered, behind redirects
	secure   bool   // a cookie came with the attribute Secure
	byProxy  bool   // the gateway made it, or refused the CONNECT with it
	leaf     *x509.Certificate
	chain    []*x509.Certificate
	exported string
	err      error
}

// A session is a client while it does one thing: what it dialled is noted.
type session struct {
	*client
	as       *url.Userinfo
	show     *tls.Certificate // if it is asked for one
	jar      http.CookieJar
	dialled  []netip.AddrPort
	http     *http.Client
	refused  int // status of the last CONNECT that was answered, if it was not 200
	deadline time.Time
}

func (c *client) session() *session {
	s := &session{client: c, deadline: time.Now().Add(patience)}
	t := &http.Transport{
		DialContext:        s.dial,
		TLSClientConfig:    s.tls(""),
		DisableCompression: true,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode != http.StatusOK {
				s.refused = res.StatusCode
			}
			return nil
		},
	}
	if !c.direct() {
		t.Proxy = func(*http.Request) (*url.URL, error) {
			return &url.URL{Scheme: "http", Host: c.proxy, User: s.as}, nil
		}
	}
	s.http = &http.Client{Transport: t, Timeout: patience}
	return s
}

// tls is how the client meets who it takes for the origin; "" is for net/http,
// which knows the name.
func (s *session) tls(name string) *tls.Config {
	return &tls.Config{
		RootCAs: s.roots, ServerName: name, KeyLogWriter: s.keys,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if s.show == nil {
				return &tls.Certificate{}, nil
			}
			return s.show, nil
		},
	}
}

// dial connects to the gateway or, without one, to this machine, where all
// origins are.
func (s *session) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if _, port, err := net.SplitHostPort(addr); err == nil && s.direct() {
		addr = "127.0.0.1:" + port
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s.dialled = append(s.dialled, addrOf(conn.LocalAddr()))
	return conn, nil
}

// end closes what the session has open.
func (s *session) end() { s.http.CloseIdleConnections() }

// do makes one request and reads the answer.
func (s *session) do(ctx context.Context, method, address, body string, fields ...string) answer {
	s.refused = 0
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, r)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	s.http.Jar = s.jar
	res, err := s.http.Do(req)
	if err != nil {
		return answer{status: s.refused, byProxy: s.refused != 0, err: err}
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	a := answer{status: res.StatusCode, scheme: res.Request.URL.Scheme, err: err, byProxy: madeByProxy(res, s.peer)}
	for _, c := range res.Cookies() {
		a.secure = a.secure || c.Secure
	}
	a.look(res.TLS)
	return a
}

// originMark is a field that origins set in all answers.
const originMark = "Demo-Origin"

// madeByProxy reports whether an answer is none of an origin's. The gateway says so
// of its own (RFC 9209); not all peers do.
func madeByProxy(res *http.Response, peer bool) bool {
	return res.Header.Get("Proxy-Status") != "" || peer && res.Header.Get(originMark) == ""
}

// look notes what is to be seen of a TLS session.
func (a *answer) look(t *tls.ConnectionState) {
	if t == nil || len(t.PeerCertificates) == 0 {
		return
	}
	a.leaf, a.chain = t.PeerCertificates[0], t.PeerCertificates
	if secret, err := t.ExportKeyingMaterial(exporter, nil, 32); err == nil {
		a.exported = string(secret)
	}
}

// errRefused is a CONNECT that was answered with another status than 200.
var errRefused = errors.New("the CONNECT was refused")

// connect opens a connection to a host by hand, through the gateway if there is
// one, for what is not HTTP. Close it.
func (s *session) connect(ctx context.Context, target string) (net.Conn, *bufio.Reader, error) {
	first := s.proxy
	if s.direct() {
		first = target
	}
	conn, err := s.dial(ctx, "tcp", first)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(s.deadline)
	r := bufio.NewReader(conn)
	if s.direct() {
		return conn, r, nil
	}
	auth := ""
	if s.as != nil {
		secret, _ := s.as.Password()
		auth = "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s.as.Username()+":"+secret)) + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, target, auth); err != nil {
		conn.Close()
		return nil, nil, err
	}
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err == nil && res.StatusCode != http.StatusOK {
		s.refused = res.StatusCode
		err = fmt.Errorf("%w: %s", errRefused, res.Status)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, r, nil
}
