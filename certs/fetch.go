// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	fetchTime  = 30 * time.Second // a whole fetch, so that a slow drip ends
	maxURL     = 2048
	maxFetches = 8 // at a time, each of which may hold maxCRL
)

// A dialFunc connects as net.Dialer's DialContext does. It guards which
// addresses are reached (law 4).
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// checkURL lets only plain HTTP through: what is fetched is signed, and TLS
// would want verifying in turn (RFC 5280 §8). Nothing but a name and a path is
// in it.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case len(s) > maxURL:
		return nil, fmt.Errorf("the URL has more than %d bytes", maxURL)
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New("it is no URL")
	case u.Scheme != "http":
		return nil, errors.New("only http:// is fetched")
	case u.User != nil:
		return nil, errors.New("a URL with credentials is not fetched")
	}
	u.Fragment = ""
	return u, nil
}

// fetch gets at most limit bytes from u; with a body it posts that. Redirects
// are not followed: who names a place in a certificate has years to move in.
func fetch(ctx context.Context, dial dialFunc, u *url.URL, body []byte, kind string, limit int) ([]byte, error) {
	if dial == nil {
		return nil, errors.New("there is no way to fetch anything")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, content = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	req.Header.Set("User-Agent", "sallyport")
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	t := &http.Transport{
		Proxy: nil, // the environment has no say in where requests go
		// A compressed answer of some bytes could be one of gigabytes.
		DialContext: dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 16 << 10,
	}
	defer t.CloseIdleConnections()
	res, err := t.RoundTrip(req) // no client: no redirects, no cookies
	if err != nil {
		return nil, fetchError(ctx, err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode/100 == 3:
		return nil, fmt.Errorf("answers %d with a redirect, which is not followed", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("answers %d", res.StatusCode)
	case res.Header.Get("Content-Encoding") != "":
		return nil, errors.New("answers with an encoding that was not asked for")
	case res.ContentLength > int64(limit):
		return nil, fmt.Errorf("answers with %d bytes: more than %d are not taken", res.ContentLength, limit)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fetchError(ctx, err)
	case len(data) > limit:
		return nil, fmt.Errorf("answers with more than %d bytes", limit)
	}
	return data, nil
}

func fetchError(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("did not answer within %v", fetchTime)
	}
	return errors.New(printable(err.Error()))
}
