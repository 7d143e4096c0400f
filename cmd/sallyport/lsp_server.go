// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sallyport/policy"
)

// Bounds of what is under way at once.
const (
	maxRequests = 256  // read and not answered
	maxUnsent   = 1024 // messages that wait for the client to read
)

// An lspServer is one session with one editor. One loop reads; it only keeps
// texts and starts requests, so that it never waits for an analysis.
type lspServer struct {
	In      *bufio.Reader
	Out     io.Writer
	Log     *log.Logger
	State   string        // directory of the gateway that counts hits
	Pause   time.Duration // without a change, before a text is checked
	Version string
	Read    func(name string, src []byte, dir string, read policy.Reader) *policy.Draft

	client   lspInitialize
	units    string // of columns
	phase    lspPhase
	unsent   chan []byte
	ended    chan struct{}
	slots    chan struct{} // of requests being worked on
	checking sync.Mutex    // one text is checked at a time

	mu        sync.Mutex
	documents map[string]*lspDocument               // by URI, the newest text
	requests  map[string]context.CancelFunc         // by ID
	published map[string]map[string][]lspDiagnostic // by the URI spoken of and the document that speaks of it
}

type lspPhase uint8

const (
	lspStarted lspPhase = iota
	lspReady
	lspShutDown
)

// Serve serves until the client says exit, or goes away. It reports whether
// the client asked for the end in the order that the protocol wants.
func (s *lspServer) Serve() bool {
	s.unsent, s.ended = make(chan []byte, maxUnsent), make(chan struct{})
	s.slots = make(chan struct{}, runtime.GOMAXPROCS(0))
	s.documents, s.requests = make(map[string]*lspDocument), make(map[string]context.CancelFunc)
	s.published = make(map[string]map[string][]lspDiagnostic)
	written := make(chan struct{})
	go s.write(written)
	exit := false
	for !exit {
		body, err := readMessage(s.In)
		switch {
		case err == nil:
			exit = s.take(body)
		case errors.Is(err, errTooLong):
			s.answer(json.RawMessage("null"), nil, rpcErrorf(rpcInvalidRequest, "%v", err))
		case err == io.EOF:
			exit = true
		default:
			s.Log.Printf("reading from the editor: %v; the session ends", err)
			s.phase, exit = lspStarted, true
		}
	}
	close(s.ended)
	select {
	case <-written:
	case <-time.After(time.Second): // the client does not read any more
	}
	return s.phase == lspShutDown
}

// write sends what there is to send until the session has ended.
func (s *lspServer) write(done chan<- struct{}) {
	defer close(done)
	for {
		select {
		case m := <-s.unsent:
			s.writeOne(m)
		case <-s.ended:
			for {
				select {
				case m := <-s.unsent:
					s.writeOne(m)
				default:
					return
				}
			}
		}
	}
}

func (s *lspServer) writeOne(m []byte) {
	if _, err := s.Out.Write(m); err != nil {
		s.Log.Printf("writing to the editor: %v", err)
	}
}

func (s *lspServer) send(m rpcMessage) {
	text, err := frame(m)
	if err != nil {
		s.Log.Printf("writing a message: %v", err)
		return
	}
	select {
	case s.unsent <- text:
	case <-s.ended:
	}
}

func (s *lspServer) notify(method string, params any) {
	text, err := json.Marshal(params)
	if err != nil {
		s.Log.Printf("%s: %v", method, err)
		return
	}
	s.send(rpcMessage{Method: method, Params: text})
}

// answer answers the request with that ID.
func (s *lspServer) answer(id json.RawMessage, result any, err error) {
	m := rpcMessage{ID: id}
	var known *rpcError
	if err == nil {
		m.Result, err = json.Marshal(result)
	}
	switch {
	case err == nil:
	case errors.As(err, &known):
		m.Error = known
	default:
		m.Error = rpcErrorf(rpcRequestFailed, "%v", err)
	}
	s.send(m)
}

// take takes one message, and reports whether it is the last.
func (s *lspServer) take(body []byte) (exit bool) {
	var m rpcMessage
	if err := json.Unmarshal(body, &m); err != nil {
		code := rpcInvalidRequest
		if !json.Valid(body) {
			code = rpcParseError
		}
		s.answer(json.RawMessage("null"), nil, rpcErrorf(code, "not a JSON-RPC message: %v", err))
		return false
	}
	switch {
	case m.Method == "": // an answer, and nothing was asked
	case m.Method == "exit":
		return true
	case m.ID == nil:
		if s.phase == lspReady {
			s.notified(m)
		}
	default:
		s.requested(m)
	}
	return false
}

// requested answers what concerns the session, and starts what concerns a
// document, with the text as it is now.
func (s *lspServer) requested(m rpcMessage) {
	serve := lspAnswers[m.Method]
	switch {
	case m.Method == "initialize" && s.phase == lspStarted:
		result, err := s.initialize(m.Params)
		s.answer(m.ID, result, err)
		return
	case s.phase == lspStarted:
		s.answer(m.ID, nil, rpcErrorf(rpcNotInitialized, "%s before initialize", m.Method))
		return
	case s.phase == lspShutDown || m.Method == "initialize":
		s.answer(m.ID, nil, rpcErrorf(rpcInvalidRequest, "%s at the wrong time", m.Method))
		return
	case m.Method == "shutdown":
		s.phase = lspShutDown
		s.answer(m.ID, nil, nil)
		return
	case serve == nil:
		s.answer(m.ID, nil, rpcErrorf(rpcNoMethod, "%s is not known here", m.Method))
		return
	}
	var p lspParams
	if err := json.Unmarshal(m.Params, &p); err != nil {
		s.answer(m.ID, nil, rpcErrorf(rpcInvalidParams, "%s: %v", m.Method, err))
		return
	}
	id, uri := string(m.ID), p.TextDocument.URI
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.documents[uri]
	switch _, twice := s.requests[id]; {
	case twice:
		s.answer(m.ID, nil, rpcErrorf(rpcInvalidRequest, "request %s is under way already", id))
	case len(s.requests) >= maxRequests:
		s.answer(m.ID, nil, rpcErrorf(rpcServerCancelled, "%d requests are under way already", maxRequests))
	case d == nil:
		s.answer(m.ID, nil, rpcErrorf(rpcInvalidParams, "%s is not open", uri))
	default:
		ctx, cancel := context.WithCancel(context.Background())
		s.requests[id] = cancel
		go s.work(ctx, m, serve, d, &p)
	}
}

// work serves one request and answers it.
func (s *lspServer) work(ctx context.Context, m rpcMessage, serve lspAnswer, d *lspDocument, p *lspParams) {
	var result any
	var err error
	select {
	case s.slots <- struct{}{}:
		result, err = s.protected(m.Method, serve, d, p)
		<-s.slots
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		result, err = nil, rpcErrorf(rpcCancelled, "cancelled")
	}
	s.mu.Lock()
	s.requests[string(m.ID)]()
	delete(s.requests, string(m.ID))
	s.mu.Unlock()
	s.answer(m.ID, result, err)
}

// protected is serve; a panic in it costs one answer and not the session.
func (s *lspServer) protected(method string, serve lspAnswer, d *lspDocument, p *lspParams) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.Log.Printf("%s: %v\n%s", method, r, debug.Stack())
			result, err = nil, rpcErrorf(rpcInternalError, "%s: %v", method, r)
		}
	}()
	draft, err := d.draft()
	if err != nil {
		return nil, err
	}
	return serve(s, d, draft, p)
}

// notified takes a notification: the texts of documents, for the most part.
func (s *lspServer) notified(m rpcMessage) {
	if m.Method == "$/cancelRequest" {
		var p struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(m.Params, &p) == nil {
			s.mu.Lock()
			if cancel := s.requests[string(p.ID)]; cancel != nil {
				cancel()
			}
			s.mu.Unlock()
		}
		return
	}
	change := lspChanges[m.Method]
	if change == nil {
		return
	}
	var p lspParams
	if err := json.Unmarshal(m.Params, &p); err != nil {
		s.Log.Printf("%s: %v", m.Method, err)
		return
	}
	change(s, &p)
}

// initialize agrees on what this session is like.
func (s *lspServer) initialize(params json.RawMessage) (any, error) {
	if err := json.Unmarshal(params, &s.client); err != nil {
		return nil, rpcErrorf(rpcInvalidParams, "initialize: %v", err)
	}
	s.units = "utf-16"
	for _, u := range s.client.Capabilities.General.PositionEncodings {
		if slices.Contains([]string{"utf-8", "utf-16", "utf-32"}, u) {
			s.units = u // the client's first choice
			break
		}
	}
	s.phase = lspReady
	yes := struct{}{}
	return map[string]any{
		"serverInfo": map[string]string{"name": "sallyport", "version": s.Version},
		"capabilities": map[string]any{
			"positionEncoding":           s.units,
			"textDocumentSync":           map[string]any{"openClose": true, "change": 1, "save": yes}, // 1: the whole text
			"hoverProvider":              true,
			"definitionProvider":         true,
			"referencesProvider":         true,
			"renameProvider":             map[string]bool{"prepareProvider": true},
			"completionProvider":         map[string]any{"triggerCharacters": []string{" ", "[", "{", ","}},
			"documentSymbolProvider":     true,
			"documentFormattingProvider": true,
			"codeLensProvider":           yes,
			"codeActionProvider":         map[string]any{"codeActionKinds": []string{"quickfix"}},
		},
	}, nil
}
