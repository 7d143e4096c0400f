// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// Transport returns a way to the server without a socket, for the gateway's own
// ACME client: no port has to be open, and nothing has to be trusted, before the
// gateway has its first certificate. It serves when Serve is not set, needs no
// external account key, and has accounts of its own.
func (s *ACME) Transport() http.RoundTripper { return inProcess{s} }

type inProcess struct{ s *ACME }

// RoundTrip returns when the answer is whole, or with the end of the request's
// context: a validation that is going on then ends with it as well.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if r.URL.Scheme != "https" {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("asking the ACME server of this process for %s: its URLs begin with https", r.URL.Redacted())
	}
	q := r.Clone(ctx)
	if q.Body == nil {
		q.Body = http.NoBody
	}
	whole := make(chan *answer, 1)
	go p.answer(q, whole)
	select {
	case a := <-whole:
		if err := ctx.Err(); err != nil { // which may be what the answer is about
			return nil, err
		}
		return a.response(r), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer runs the handler. The body is closed when it is done with it.
func (p inProcess) answer(q *http.Request, whole chan<- *answer) {
	defer q.Body.Close()
	a := &answer{header: http.Header{}}
	p.s.serve(a, q, &ask{own: true, host: q.URL.Host})
	whole <- a
}

// An answer is an http.ResponseWriter that keeps what is written.
type answer struct {
	header http.Header
	sent   http.Header // as it was when the status was written
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, maps.Clone(a.header)
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) response(r *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	body := a.body.Bytes()
	length := int64(len(body))
	if r.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.sent, ContentLength: length, Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}
}
