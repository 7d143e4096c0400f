// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"sallyport/certs"
)

// An admin answers what commands ask about a state directory: in the gateway
// that runs on it, over STATE/admin.sock, or in the command itself when none
// does. What a command says and does is the same both ways. Requests are HTTP
// with JSON; nothing on the data path waits for any of it.
type admin struct {
	state string
	ca    *caSlot
	mux   *http.ServeMux

	keeper    *certs.Keeper     // of the listener's certificates; nil: it has none, or no gateway is here
	clientCAs []string          // files with the CAs of clients
	origins   func() []expiring // origins whose certificates end soon; nil: no gateway is here
	serving   bool              // a gateway is here

	minting func() *minting // of the policy in force; nil, or a nil result: nothing is minted for it, or no gateway is here

	changed func()                      // called when something about the CA was changed; nil: nobody wants to know
	rotated func(context.Context) error // has the listener follow a new issuer; nil: there is none
}

// Bounds of a conversation with an admin.
const (
	maxAdminBody  = 1 << 20
	adminPatience = 30 * time.Second // to read a request; for each part of a stream
)

// A gatewayInfo is which process answers.
type gatewayInfo struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	State   string `json:"state"`
}

// newAdmin answers for the state directory of s.
func newAdmin(s *caSlot) *admin {
	a := &admin{state: s.state, ca: s, mux: http.NewServeMux()}
	a.caRoutes()
	a.certRoutes()
	a.handle("GET /v1/gateway", func(*adminCall) (any, error) { return gatewayInfo{os.Getpid(), version(), a.state}, nil })
	return a
}

// An adminCall is one request of somebody who may make it.
type adminCall struct {
	*http.Request
	by author
}

// An adminError is what a command that cannot be done is answered with.
type adminError struct {
	Code int    `json:"code"` // the command's exit code
	Text string `json:"error"`
}

// decode reads the request's body, one JSON value, into v.
func (c *adminCall) decode(v any) error {
	d := json.NewDecoder(c.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &exitError{exitUsage, fmt.Errorf("the request to the gateway is not understood, maybe because this program and the gateway are of different versions: %w", err)}
	}
	return nil
}

// handle has do answer requests that match pattern, by a value that becomes
// JSON or by an error, whose text and exit code become the command's.
func (a *admin) handle(pattern string, do func(*adminCall) (any, error)) {
	a.mux.HandleFunc(pattern, a.checked(func(w http.ResponseWriter, c *adminCall) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(adminPatience))
		c.Body = http.MaxBytesReader(w, c.Body, maxAdminBody)
		v, err := do(c)
		if err != nil {
			answerError(w, err)
			return
		}
		answerJSON(w, http.StatusOK, v)
	}))
}

// streamError is the trailer in which a stream that broke off says why.
const streamError = "Sallyport-Error"

// stream has do answer with bytes of any number. An error before the first one
// is answered as by handle.
func (a *admin) stream(pattern string, do func(*adminCall, io.Writer) error) {
	a.mux.HandleFunc(pattern, a.checked(func(w http.ResponseWriter, c *adminCall) {
		w.Header().Set("Trailer", streamError)
		out := &streamWriter{w: w, control: http.NewResponseController(w)}
		err := do(c, out)
		switch {
		case err == nil:
		case !out.begun:
			w.Header().Del("Trailer")
			answerError(w, err)
		default:
			w.Header().Set(streamError, oneLine(err))
		}
	}))
}

// receive has do take a request whose body has any number of bytes.
func (a *admin) receive(pattern string, do func(*adminCall) (any, error)) {
	a.mux.HandleFunc(pattern, a.checked(func(w http.ResponseWriter, c *adminCall) {
		c.Body = io.NopCloser(&streamReader{r: c.Body, control: http.NewResponseController(w)})
		v, err := do(c)
		if err != nil {
			answerError(w, err)
			return
		}
		answerJSON(w, http.StatusOK, v)
	}))
}

// A streamWriter gives whoever reads a stream time for each part of it.
type streamWriter struct {
	w       io.Writer
	control *http.ResponseController
	begun   bool
}

func (s *streamWriter) Write(b []byte) (int, error) {
	s.begun = true
	_ = s.control.SetWriteDeadline(time.Now().Add(adminPatience))
	return s.w.Write(b)
}

type streamReader struct {
	r       io.Reader
	control *http.ResponseController
}

func (s *streamReader) Read(b []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(adminPatience))
	return s.r.Read(b)
}

// callerKey is where the context of a connection says who is at its other end.
type callerKey struct{}

// A caller is who is at the other end of a connection. The zero caller may
// do nothing.
type caller struct {
	author
	ok bool
}

// checked lets only those through who may use this state directory.
func (a *admin) checked(do func(http.ResponseWriter, *adminCall)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, _ := r.Context().Value(callerKey{}).(caller)
		if !who.ok {
			answerJSON(w, http.StatusForbidden, adminError{exitFailed, "only the gateway's own user and root may ask the gateway"})
			return
		}
		if who.UID == 0 { // who became root is root's word
			who.Sudo = r.Header.Get("Sallyport-Sudo")
		}
		do(w, &adminCall{Request: r, by: who.author})
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has left
}

func answerError(w http.ResponseWriter, err error) {
	e := adminError{exitFailed, err.Error()}
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		e.Code = exit.code
	}
	answerJSON(w, http.StatusUnprocessableEntity, e)
}

// serve answers on l until ctx ends; who says who is at the other end of a
// connection. It closes l.
func (a *admin) serve(ctx context.Context, l net.Listener, who func(net.Conn) caller) {
	s := &http.Server{
		Handler:           a.mux,
		ReadHeaderTimeout: adminPatience,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, who(c))
		},
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	select {
	case <-ctx.Done():
	case <-served:
	}
	// A command that is being done is done to its end, unless it hangs.
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if s.Shutdown(end) != nil {
		s.Close()
	}
	<-served
}
