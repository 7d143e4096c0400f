// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	validationTime  = 10 * time.Second // one challenge, from the lookup to the last byte
	validationBytes = 4 << 10          // of a body; a key authorization has less than 100
	validationsBusy = 128              // challenges looked at at the same time
)

// A told error is one whose text may be told to whoever asked: it has nothing
// that came from the other side of a connection. What it wraps is for the log.
type told struct {
	text string
	err  error
}

func (e *told) Error() string {
	if e.err == nil {
		return e.text
	}
	return e.text + ": " + e.err.Error()
}

func (e *told) Unwrap() error { return e.err }

// targets say what may be asked to answer a challenge. The zero value names
// nobody.
type targets struct {
	own      []string       // the gateway's own names
	zones    []string       // without a dot in front
	networks []netip.Prefix // where the zones' hosts may be
}

// isOwn reports whether host is one of the gateway's own names.
func (t targets) isOwn(host string) bool { return slices.Contains(t.own, host) }

// refuses says why host, a name or an address, is not validated; nil: it may be.
func (t targets) refuses(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return t.permit(netip.AddrPortFrom(ip, 443))
	}
	switch {
	case !isHostname(host):
		return &told{text: fmt.Sprintf("%q is not a host name in lower case", host)}
	case t.isOwn(host):
		return nil
	}
	for _, z := range t.zones {
		if host == z || strings.HasSuffix(host, "."+z) {
			return nil
		}
	}
	return &told{text: host + " is in no zone that this server issues for; its operator names them with --acme-allow"}
}

// permit is asked with each address before it is connected to.
func (t targets) permit(a netip.AddrPort) error {
	ip := a.Addr().Unmap().WithZone("")
	if a.Port() != 80 && a.Port() != 443 {
		return &told{text: "challenges are answered on ports 80 and 443 only"}
	}
	for _, n := range t.networks {
		if n.Contains(ip) {
			return nil
		}
	}
	return &told{
		text: "its address is in no network that this server validates in; its operator names them with --acme-allow",
		err:  fmt.Errorf("the address is %s", ip),
	}
}

// isHostname reports whether s is a name as RFC 1123 has it, in lower case, and
// could not be read as an address.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	// Without a letter behind the last dot it is an address to some
	// (127.1, 0x7f.1).
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// A validator looks at the answer to a challenge, as smallstep's acme.Client.
// Theirs asks the proxy of the environment, follows redirects, reads bodies of
// any length and connects to whatever a name resolves to: whoever may order a
// certificate could ask inside the network through it (SSRF). A validator serves
// one request and ends with its context.
type validator struct {
	ctx     context.Context
	targets targets
	dial    func(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error)
	own     func(ctx context.Context, addr string) (net.Conn, error)
}

// connect opens a connection to addr, whose host has been in an order.
func (v *validator) connect(ctx context.Context, _, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if port != "80" && port != "443" {
		return nil, &told{text: "challenges are answered on ports 80 and 443 only"}
	}
	// Again, and not only when it is ordered: the zones may have changed since.
	if err := v.targets.refuses(host); err != nil {
		return nil, err
	}
	dial := func() (net.Conn, error) { return v.own(ctx, addr) }
	if !v.targets.isOwn(host) {
		dial = func() (net.Conn, error) { return v.dial(ctx, addr, v.targets.permit) }
		if v.dial == nil {
			return nil, &told{text: "this server connects to nobody but itself"}
		}
	} else if v.own == nil {
		return nil, &told{text: "this server does not answer challenges for its own names"}
	}
	c, err := dial()
	if err == nil {
		return c, nil
	}
	var t *told
	if errors.As(err, &t) {
		return nil, &told{text: host + ": " + t.text, err: err}
	}
	return nil, &told{text: fmt.Sprintf("%s could not be reached on port %s", host, port), err: err}
}

// Get asks for the answer to an http-01 challenge (RFC 8555 §8.3). The body has
// been read when it returns. Redirects are allowed there and not followed here:
// they would be a second destination that nobody has looked at.
func (v *validator) Get(address string) (*http.Response, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil {
		return nil, &told{text: "an http-01 challenge is asked for by http"}
	}
	ctx, cancel := context.WithTimeout(v.ctx, validationTime)
	defer cancel()
	tr := &http.Transport{
		DialContext:            v.connect,
		DisableKeepAlives:      true,
		DisableCompression:     true, // a small body may be a large one, unpacked
		MaxResponseHeaderBytes: 16 << 10,
	}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "sallyport-acme")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, asTold(ctx, u.Hostname(), err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, &told{text: fmt.Sprintf("%s answered with a redirect (%d), which is not followed", u.Hostname(), resp.StatusCode)}
	case resp.StatusCode != http.StatusOK:
		return nil, &told{text: fmt.Sprintf("%s answered with the status %d", u.Hostname(), resp.StatusCode)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, validationBytes+1))
	switch {
	case err != nil:
		return nil, asTold(ctx, u.Hostname(), err)
	case len(body) > validationBytes:
		return nil, &told{text: fmt.Sprintf("%s answered with more than %d bytes", u.Hostname(), validationBytes)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// TLSDial opens the connection of a tls-alpn-01 challenge (RFC 8737 §3). The
// caller closes it.
func (v *validator) TLSDial(network, addr string, config *tls.Config) (*tls.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithTimeout(v.ctx, validationTime)
	defer cancel()
	raw, err := v.connect(ctx, network, addr)
	if err != nil {
		return nil, asTold(ctx, host, err)
	}
	c := tls.Client(raw, config)
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, asTold(ctx, host, err)
	}
	return c, nil
}

// LookupTxt would be for dns-01, which this server does not offer.
func (v *validator) LookupTxt(string) ([]string, error) {
	return nil, &told{text: "this server has no dns-01 challenge"}
}

// asTold puts what may be said in front of err. Whoever answers has a hand in the
// text of an error, which is therefore for the log only.
func asTold(ctx context.Context, host string, err error) error {
	var t *told
	switch {
	case errors.As(err, &t):
		return &told{text: t.text, err: err}
	case ctx.Err() != nil:
		return &told{text: fmt.Sprintf("%s did not answer within %v", host, validationTime), err: err}
	}
	return &told{text: host + " did not answer as it has to", err: err}
}
