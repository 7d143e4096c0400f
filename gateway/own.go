// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// maxOwnBody bounds what the gateway's own pages are sent, in bytes.
const maxOwnBody = 1 << 20

// isOwn reports whether t names the gateway itself: in origin-form whatever the port,
// because others may have brought the client here, and otherwise by a port at which
// the gateway listens.
func (p *passage) isOwn(t target, originForm bool) bool {
	return p.s.OwnNames != nil && (originForm || p.s.isOwnPort(t.port)) && p.s.OwnNames(t.host)
}

// isOwnPath reports whether Own has a page at path, in whatever spelling.
func (s *Server) isOwnPath(path string) bool {
	if s.OwnPaths == nil || s.OwnPaths(path) {
		return true
	}
	clean, err := policy.CleanPath(path)
	return err == nil && s.OwnPaths(clean)
}

// isOwnPort reports whether the gateway listens there.
func (s *Server) isOwnPort(port uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listen {
		if l.Port() == port {
			return true
		}
	}
	return false
}

// serveOwn answers a request for the gateway itself.
func (p *passage) serveOwn() {
	if p.method == http.MethodTrace {
		p.refuse(p.maxForwards())
		return
	}
	if p.up.length != 0 {
		p.up.most, p.up.over = maxOwnBody, &Error{
			Status: http.StatusRequestEntityTooLarge, Cause: "http_request_error", Outcome: Denied, NoReuse: true,
			Msg: fmt.Sprintf("a request to the gateway itself may have a body of up to %d bytes", maxOwnBody),
		}
		if p.up.length > maxOwnBody {
			p.refuse(p.up.over)
			return
		}
	}
	r, err := p.ownRequest()
	if err != nil {
		p.refuse(badTarget(err))
		return
	}
	w := &ownWriter{p: p, header: make(http.Header)}
	p.s.Own.ServeHTTP(w, r)
	w.end()
	p.rec.Sent = p.up.sent()
	if failure := p.up.failed(); failure != nil && !w.begun {
		p.refuse(failure) // what the handler made of half a body is nobody's answer
		return
	}
	if w.err == nil && !w.begun {
		w.start(int64(len(w.held)))
	}
	if w.err == nil {
		w.err = gone(p.client.finish(nil))
	}
	if w.err != nil {
		p.abort(p.broken(w.err))
		return
	}
	p.rec.Outcome = Done
}

// ownRequest is the request in net/http's terms. Its Host is the name as the
// policy would have read it, so that nobody has to wonder about case and dots.
func (p *passage) ownRequest() (*http.Request, error) {
	u, err := url.ParseRequestURI(p.target.path + p.target.query)
	if err != nil {
		return nil, fmt.Errorf("the path cannot be read: %s", urlReason(err))
	}
	h := toHeader(passOn(nil, p.req.Fields))
	delete(h, "Host")
	r := &http.Request{
		Method: p.method, URL: u, RequestURI: p.target.path + p.target.query, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: p.target.authority(p.target.scheme, p.target.port), RemoteAddr: p.rec.Client.String(), TLS: p.rec.ClientTLS,
		ContentLength: p.up.length, Body: http.NoBody,
	}
	if p.up.length != 0 {
		r.Body = p.up
	}
	return r.WithContext(context.WithoutCancel(p.client.context())), nil
}

// An ownWriter is a client to a handler of net/http. A small answer is held
// until its length is known.
type ownWriter struct {
	p      *passage
	header http.Header
	status int
	held   []byte
	begun  bool
	none   bool // no body is sent
	err    error
}

// Header implements http.ResponseWriter.
func (w *ownWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. The first says what counts.
func (w *ownWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *ownWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.begun && len(w.held)+len(b) <= onePiece {
		w.held = append(w.held, b...)
		return len(b), nil
	}
	if w.start(-1); w.err == nil && !w.none {
		w.err = w.p.put(b)
	}
	return len(b), w.err
}

// Flush implements http.Flusher.
func (w *ownWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.start(-1); w.err == nil {
		w.err = gone(w.p.client.flush())
	}
}

// end is the end of the handler.
func (w *ownWriter) end() { w.WriteHeader(http.StatusOK) }

// start begins the answer, and says what was held. Its length is what the
// handler has said, or length, of which -1 is unknown.
func (w *ownWriter) start(length int64) {
	if w.begun || w.err != nil {
		return
	}
	w.begun = true
	p := w.p
	if said, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && said >= 0 {
		length = said
	}
	bare := w.status == http.StatusNoContent || w.status == http.StatusNotModified
	w.none = bare || p.method == http.MethodHead
	w.header.Del("Content-Length")
	var fields h1.Fields
	for _, f := range passOn(nil, toFields(w.header)) {
		fields = append(fields, field(string(f.Name), oneLine.Replace(string(f.Value))))
	}
	if length >= 0 && !bare {
		fields = append(fields, h1.Field{Name: []byte("Content-Length"), Value: decimal(length), ID: h1.ContentLength})
	}
	p.rec.Status = w.status
	w.err = gone(p.client.begin(&reply{status: w.status, fields: fields, length: length, none: w.none, close: !p.reusable()}))
	if w.err == nil && !w.none && len(w.held) > 0 {
		w.err = p.put(w.held)
	}
	w.held = nil
}

// oneLine keeps what a handler put into a field from becoming two.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// OwnNames returns a function for Server that knows names and addresses, as
// policy.ParseHost reads them. One that cannot be read is nobody's.
func OwnNames(names ...string) func(policy.Host) bool {
	own := make(map[policy.Host]bool, len(names))
	for _, name := range names {
		if h, err := policy.ParseHost(name); err == nil {
			own[h] = true
		}
	}
	return func(h policy.Host) bool { return own[h] }
}
