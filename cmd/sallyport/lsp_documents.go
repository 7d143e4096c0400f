// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"sallyport/policy"
)

// An lspDocument is one version of one text in the editor. It does not change;
// what is known of it is found out once, by whoever asks first.
type lspDocument struct {
	server  *lspServer
	uri     string
	path    string // of the file, or the URI when it is none
	version int
	text    *lspText
	changed time.Time
	timer   *time.Timer // until it is checked

	once  sync.Once
	known *policy.Draft
	err   error

	reads map[string]bool // paths of the files it was made of; guarded by server.mu
}

// draft reads the document as a policy.
func (d *lspDocument) draft() (*policy.Draft, error) {
	d.once.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				d.server.Log.Printf("reading %s: %v\n%s", d.uri, r, debug.Stack())
				d.err = rpcErrorf(rpcInternalError, "reading %s: %v", d.uri, r)
			}
		}()
		d.known = d.server.Read(d.path, []byte(d.text.src), filepath.Dir(d.path), d.readFile)
	})
	return d.known, d.err
}

// readFile reads a file that the policy names: as it stands in the editor, if
// it is open there.
func (d *lspDocument) readFile(path string, limit int64) ([]byte, time.Time, error) {
	s := d.server
	s.mu.Lock()
	d.reads[path] = true
	for _, o := range s.documents {
		if o.path == path {
			s.mu.Unlock()
			if int64(len(o.text.src)) > limit {
				return nil, time.Time{}, fmt.Errorf("it is larger than %d MiB", limit>>20)
			}
			return []byte(o.text.src), o.changed, nil
		}
	}
	s.mu.Unlock()
	return policy.ReadFile(path, limit)
}

// lspChanges are the notifications about documents.
var lspChanges = map[string]func(*lspServer, *lspParams){
	"textDocument/didOpen": func(s *lspServer, p *lspParams) {
		s.put(p.TextDocument.URI, p.TextDocument.Version, p.TextDocument.Text, 0)
	},
	"textDocument/didChange": func(s *lspServer, p *lspParams) {
		if len(p.ContentChanges) == 0 {
			return
		}
		c := p.ContentChanges[len(p.ContentChanges)-1]
		if c.Range != nil {
			s.Log.Printf("%s: a part of the text was sent; the whole of it was asked for", p.TextDocument.URI)
			return
		}
		s.put(p.TextDocument.URI, p.TextDocument.Version, c.Text, s.Pause)
	},
	"textDocument/didSave":  func(s *lspServer, _ *lspParams) { s.again(func(*lspDocument) bool { return true }) },
	"textDocument/didClose": (*lspServer).close,
}

// put makes text the newest of a document; it is checked after a pause, unless
// a newer one has come by then.
func (s *lspServer) put(uri string, version int, text string, pause time.Duration) {
	d := &lspDocument{
		server: s, uri: uri, path: pathOf(uri), version: version, text: newText(text, s.units),
		changed: time.Now(), reads: make(map[string]bool),
	}
	s.replace(d, pause)
	s.again(func(o *lspDocument) bool { return o.uri != uri && o.reads[d.path] })
}

func (s *lspServer) replace(d *lspDocument, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.documents[d.uri]; old != nil {
		old.timer.Stop()
	}
	d.timer = time.AfterFunc(pause, func() { s.check(d) })
	s.documents[d.uri] = d
}

// again has the documents checked anew for which which holds: a file that they
// were made of may be another one.
func (s *lspServer) again(which func(*lspDocument) bool) {
	s.mu.Lock()
	var stale []*lspDocument
	for _, d := range s.documents {
		if which(d) {
			stale = append(stale, d)
		}
	}
	s.mu.Unlock()
	for _, d := range stale {
		s.replace(&lspDocument{
			server: s, uri: d.uri, path: d.path, version: d.version, text: d.text, changed: d.changed, reads: make(map[string]bool),
		}, s.Pause)
	}
}

func (s *lspServer) close(p *lspParams) {
	s.mu.Lock()
	d := s.documents[p.TextDocument.URI]
	if d != nil {
		d.timer.Stop()
		delete(s.documents, d.uri)
		s.publish(d, nil)
	}
	s.mu.Unlock()
	if d != nil {
		s.again(func(o *lspDocument) bool { return o.reads[d.path] })
	}
}

// current reports whether d is still the text in the editor.
func (s *lspServer) current(d *lspDocument) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.documents[d.uri]
	return now != nil && now.version == d.version
}

// check tells the editor what there is to say about d, if it is still the
// newest text before and after that was found out.
func (s *lspServer) check(d *lspDocument) {
	s.checking.Lock()
	defer s.checking.Unlock()
	s.mu.Lock()
	newest := s.documents[d.uri] == d
	s.mu.Unlock()
	if !newest {
		return
	}
	found := make(map[string][]lspDiagnostic)
	found[d.uri] = []lspDiagnostic{}
	draft, err := d.draft()
	if err != nil {
		found[d.uri] = []lspDiagnostic{{Severity: 1, Source: "sallyport", Message: "this file was not checked: " + err.Error()}}
	} else {
		there := newText("", s.units) // the line of another file that is spoken of
		for _, g := range slices.Concat(draft.Diagnostics, s.lint(d, draft)) {
			if g.File == d.path {
				found[d.uri] = append(found[d.uri], diagnosticOf(g, d.text))
				continue
			}
			if there.src != g.Source {
				there = newText(g.Source, s.units)
			}
			line := g.Line
			g.Line = 1
			told := diagnosticOf(g, there)
			told.Range.Start.Line, told.Range.End.Line = line-1, line-1
			found[uriOf(g.File)] = append(found[uriOf(g.File)], told)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents[d.uri] == d {
		s.publish(d, found)
	}
}

// lint is what policy lint finds besides in a policy that loads.
func (s *lspServer) lint(d *lspDocument, draft *policy.Draft) (found []policy.Diagnostic) {
	defer func() {
		if r := recover(); r != nil {
			s.Log.Printf("linting %s: %v\n%s", d.uri, r, debug.Stack())
		}
	}()
	return policy.Linter{}.Lint(draft.Policy)
}

func diagnosticOf(g policy.Diagnostic, text *lspText) lspDiagnostic {
	message := g.Msg
	if g.Hint != "" {
		message += "\nhelp: " + g.Hint
	}
	severity := 1
	if g.Severity != policy.SeverityError {
		severity = 2
	}
	return lspDiagnostic{text.spanRange(policy.Span{Line: g.Line, Col: g.Col, Len: g.Len}), severity, g.Code, "sallyport", message}
}

// publish puts what d says about files in the place of what it said before,
// and sends what has changed. The caller holds s.mu.
func (s *lspServer) publish(d *lspDocument, found map[string][]lspDiagnostic) {
	spoken := maps.Clone(found)
	if spoken == nil {
		spoken = make(map[string][]lspDiagnostic)
	}
	for uri, by := range s.published {
		if _, before := by[d.uri]; before && found[uri] == nil {
			delete(by, d.uri)
			spoken[uri] = nil
		}
	}
	for uri, list := range found {
		if s.published[uri] == nil {
			s.published[uri] = make(map[string][]lspDiagnostic)
		}
		s.published[uri][d.uri] = list
	}
	for _, uri := range slices.Sorted(maps.Keys(spoken)) {
		p := lspPublish{URI: uri, Diagnostics: []lspDiagnostic{}}
		if o := s.documents[uri]; o != nil {
			p.Version = &o.version
		}
		for i, by := range slices.Sorted(maps.Keys(s.published[uri])) {
			for _, told := range s.published[uri][by] {
				if i == 0 || !slices.Contains(p.Diagnostics, told) { // two policies may include a file
					p.Diagnostics = append(p.Diagnostics, told)
				}
			}
		}
		if len(s.published[uri]) == 0 {
			delete(s.published, uri)
		}
		s.notify("textDocument/publishDiagnostics", p)
	}
}

// pathOf is the path of a file by its URI, and the URI itself when it is none:
// a text that was never saved.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Path == "" {
		return uri
	}
	return filepath.Clean(filepath.FromSlash(u.Path))
}

// uriOf is the URI of a file by its path.
func uriOf(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}
