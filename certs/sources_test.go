// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A library is a web server of what certificates refer to.
type library struct {
	*httptest.Server
	mu    sync.Mutex
	pages map[string]http.HandlerFunc
	asked atomic.Int64
}

func newLibrary(t testing.TB) *library {
	l := &library{pages: make(map[string]http.HandlerFunc)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		name := strings.Split(r.URL.Path, "/")[1]
		l.mu.Lock()
		page := l.pages[name]
		l.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *library) page(name string, h http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages[name] = h
}

func (l *library) has(name string, data []byte) {
	l.page(name, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
}

// A reader is a Trust with Sources of its own, whose log is kept.
type reader struct {
	*Trust
	s     *Sources
	lines chan string
}

func read(t testing.TB, p Profile, change ...func(*Sources)) *reader {
	r := &reader{s: &Sources{}, lines: make(chan string, 100)}
	r.s.Log = func(line string) { r.lines <- line }
	for _, c := range change {
		c(r.s)
	}
	p.Sources, p.Dial = r.s, (&net.Dialer{}).DialContext
	r.Trust = load(t, p)
	t.Cleanup(r.s.Close)
	return r
}

// landed waits until nothing is being fetched.
func (r *reader) landed() { r.s.flights.Wait() }

func (r *reader) check(chain ...*authority) error {
	return r.checkRevocation([][]*x509.Certificate{chainOf(chain...)}, nil)
}

func withCRL(url string, names ...string) x509.Certificate {
	c := serverTemplate(names...)
	c.CRLDistributionPoints = []string{url}
	return c
}

// mine makes every place due, as time does.
func (r *reader) due() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, p := range r.s.places {
		p.due = time.Time{}
	}
}

// TestFetchIsBounded: what a place can do to who asks it.
func TestFetchIsBounded(t *testing.T) {
	l := newLibrary(t)
	slow, end := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(end) })
	l.page("redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
	})
	l.page("gzip", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asks for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(make([]byte, 1<<20))
		z.Close()
	})
	l.page("long", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 101)) })
	l.page("endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			w.Write(make([]byte, 100))
			http.NewResponseController(w).Flush()
		}
	})
	l.page("drip", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("x"))
		http.NewResponseController(w).Flush()
		close(slow)
		<-end
	})
	l.page("head", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 32<<10))
	})
	l.page("cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("x"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	l.has("good", []byte("good"))
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for name, want := range map[string]string{
		l.URL + "/good":             "",
		l.URL + "/good#fragment":    "",
		l.URL + "/nothing":          "answers 404",
		l.URL + "/redirect":         "answers 302 with a redirect, which is not followed",
		l.URL + "/gzip":             "answers with an encoding that was not asked for",
		l.URL + "/long":             "answers with 101 bytes: more than 100 are not taken",
		l.URL + "/endless":          "answers with more than 100 bytes",
		l.URL + "/head":             "server response headers exceeded",
		l.URL + "/cut":              "unexpected EOF",
		"https://a.example/":        "only http:// is fetched",
		"ldap://a.example/cn=x":     "only http:// is fetched",
		"file:///etc/passwd":        "it is no URL",
		"http:opaque":               "it is no URL",
		"http://u:p@a.example/":     "a URL with credentials is not fetched",
		"http://a.example/\r\nX: y": "it is no URL",
		"http://a.example/" + strings.Repeat("x", 2048): "the URL has more than 2048 bytes",
	} {
		u, err := checkURL(name)
		var data []byte
		if err == nil {
			data, err = fetch(t.Context(), (&net.Dialer{}).DialContext, u, nil, "", 100)
		}
		if want == "" && (err != nil || string(data) != "good") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, want %s", name, err, want)
		}
	}
	u, _ := checkURL(l.URL + "/drip")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-slow; cancel() }()
	if _, err := fetch(ctx, (&net.Dialer{}).DialContext, u, nil, "", 100); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("a drip: %v", err)
	}
	if _, err := fetch(t.Context(), nil, u, nil, "", 100); err == nil {
		t.Error("fetched without a way")
	}
}

// TestRequireWaitsAndNoLonger: for the answer, and not for ever.
func TestRequireWaitsAndNoLonger(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	l.page("never", func(http.ResponseWriter, *http.Request) { <-end })
	l.has("crl", root.crl(1, nil))
	p := Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire}
	leaf := issue(t, root, withCRL(l.URL+"/crl", host))
	if err := read(t, p).check(leaf, root); err != nil {
		t.Error(err)
	}
	stuck := issue(t, root, withCRL(l.URL+"/never", host))
	r := read(t, p, func(s *Sources) { s.patience = 50 * time.Millisecond })
	checkDescribed(t, r.check(stuck, root), "was revoked: the CRL at "+l.URL+"/never has not answered yet: try again, or set `revocation: prefer` in its trust profile if that may happen")
	p.Revocation = RevocationPrefer
	if err := read(t, p).check(stuck, root); err != nil {
		t.Errorf("prefer: %v", err)
	}
}

// TestSilentPlaceLeavesTime for the next one.
func TestSilentPlaceLeavesTime(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	l.page("never", func(http.ResponseWriter, *http.Request) { <-end })
	template := withCRL(l.URL+"/never", host)
	template.OCSPServer = []string{l.URL + "/ocsp"}
	leaf := issue(t, root, template)
	l.has("ocsp", root.staple(leaf, ocsp.Good))
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire}, func(s *Sources) { s.patience = 4 * time.Second })
	if err := r.check(leaf, root); err != nil {
		t.Error(err)
	}
}

// TestOneFetchAtATime, whoever asks.
func TestOneFetchAtATime(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	all := make(chan struct{})
	l.page("crl", func(w http.ResponseWriter, _ *http.Request) { <-all; w.Write(root.crl(1, nil)) })
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire})
	var wg sync.WaitGroup
	var began sync.WaitGroup
	for range 20 {
		leaf := issue(t, root, withCRL(l.URL+"/crl", host))
		began.Add(1)
		wg.Go(func() {
			began.Done()
			if err := r.check(leaf, root); err != nil {
				t.Error(err)
			}
		})
	}
	began.Wait()
	close(all)
	wg.Wait()
	if n := l.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestReplayedCRL: one that is older than what is known changes nothing, also
// not after a restart.
func TestReplayedCRL(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	leaf := issue(t, root, withCRL(l.URL+"/crl", host))
	p := Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire}
	dir := filepath.Join(t.TempDir(), "crl")
	keep := func(s *Sources) { s.Dir = dir }
	old := root.crl(1, nil, func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(-2 * time.Hour) })
	l.has("crl", root.crl(2, []*authority{leaf}))
	r := read(t, p, keep)
	checkDescribed(t, r.check(leaf, root), "was revoked on")
	<-r.lines // that it was
	for _, again := range []func(){func() {}, func() { r = read(t, p, keep) }} {
		again()
		l.has("crl", old)
		r.due()
		checkDescribed(t, r.check(leaf, root), "was revoked on")
		r.landed()
		r.due()
		checkDescribed(t, r.check(leaf, root), "was revoked on")
	}
	// A disk that somebody else wrote to says nothing either.
	files, err := filepath.Glob(filepath.Join(dir, "*.crl"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if st, err := os.Stat(files[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st.Mode(), err)
	}
	for _, text := range [][]byte{[]byte("junk"), newRoot(t, "Root").crl(9, nil), damaged(root.crl(9, nil)), nil} {
		if err := os.WriteFile(files[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		l.has("crl", root.crl(3, []*authority{leaf}))
		checkDescribed(t, read(t, p, keep).check(leaf, root), "was revoked on")
	}
}

// TestCRLGoesBack says what the log says.
func TestCRLGoesBack(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	leaf := issue(t, root, withCRL(l.URL+"/crl", host))
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire})
	for i, tt := range []struct {
		number int64
		want   string
	}{{5, ""}, {4, "is older than the one of"}, {6, "can be had again"}} {
		l.has("crl", root.crl(tt.number, nil))
		r.due()
		if err := r.check(leaf, root); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		r.landed()
		if line := line(r); !strings.Contains(line, tt.want) || tt.want == "" && line != "" {
			t.Errorf("%d: %q", i, line)
		}
	}
}

// TestCountedAnew: a CA that was restored from a backup counts from a lower
// number. When what it said last is over it is believed again.
func TestCountedAnew(t *testing.T) {
	root := newRoot(t, "Root")
	list := func(number int64, from, until time.Duration) *parsedCRL {
		l, err := readCRL(root.crl(number, nil, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = time.Now().Add(from), time.Now().Add(until)
		}), root.cert)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	now := time.Now()
	p := &place{kind: crlPlace, list: list(9, -2*time.Hour, time.Hour)}
	fresh := fetched{list: list(1, -time.Hour, 3*time.Hour)}
	if err := p.accept(fresh, now); err == nil {
		t.Error("accepted while the other one holds")
	}
	if err := p.accept(fresh, now.Add(2*time.Hour)); err != nil {
		t.Error(err)
	}
	for at, want := range map[time.Duration]string{-2 * time.Hour: "the CRL holds from ", 4 * time.Hour: "the CRL held until "} {
		if err := p.accept(fresh, now.Add(at)); err == nil || at > 0 && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestPruned: what nobody has fetched for a month, and no other file.
func TestPruned(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		"old.crl": 31 * 24 * time.Hour, "new.crl": 29 * 24 * time.Hour, ".crl-left": 2 * time.Hour, ".crl-now": time.Minute, "other": 1000 * time.Hour,
	} {
		file := filepath.Join(dir, name)
		when := time.Now().Add(-age)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
	}
	(&Sources{Dir: dir}).prune(time.Now())
	(&Sources{}).prune(time.Now())
	var left []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if strings.Join(left, " ") != ".crl-now new.crl other" {
		t.Error(left)
	}
}

func line(r *reader) string {
	select {
	case l := <-r.lines:
		return l
	default:
		return ""
	}
}

// TestRevokedInUse: what turns out to be revoked changes the key, so that no
// connection is used that was made before; so does an answer that runs out.
func TestRevokedInUse(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	leaf, other := issue(t, root, withCRL(l.URL+"/crl", host)), issue(t, root, withCRL(l.URL+"/crl", host))
	l.has("crl", root.crl(1, nil))
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationPrefer})
	key := r.Key()
	step := func(what string, change bool) {
		t.Helper()
		r.landed()
		if now := r.Key(); (now != key) != change {
			t.Errorf("%s: the key changed: %t", what, now != key)
		} else {
			key = now
		}
	}
	if err := r.check(leaf, root); err != nil {
		t.Error(err)
	}
	step("fetched", false)
	l.has("crl", root.crl(2, []*authority{other}))
	r.due()
	r.s.tick(time.Now())
	step("another's", false)
	l.has("crl", root.crl(3, []*authority{other, leaf}))
	r.due()
	r.s.tick(time.Now())
	step("revoked", true)
	checkDescribed(t, r.check(leaf, root), "was revoked on")
	r.due()
	r.s.tick(time.Now())
	step("still revoked", false)
	l.page("crl", nil)
	r.s.tick(time.Now().Add(2 * time.Hour))
	step("run out", true)
	r.s.tick(time.Now().Add(3 * time.Hour))
	step("nothing new", false)
	r.s.tick(time.Now().Add(16 * time.Hour))
	step("half a day", true)
	if !r.Same(load(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationPrefer})) {
		t.Error("not the same as itself")
	}
	// Nobody has asked for a day: it is not fetched any more.
	asked := l.asked.Load()
	r.s.tick(time.Now().Add(30 * time.Hour))
	r.landed()
	if l.asked.Load() != asked || len(r.s.places) != 0 {
		t.Errorf("fetched, %d places", len(r.s.places))
	}
}

// TestRevokedIsNotResumed: what is known at the time of the handshake counts,
// whatever the session remembers.
func TestRevokedIsNotResumed(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		name := fmt.Sprint(version)
		leaf := issue(t, root, withCRL(l.URL+"/"+name, host))
		l.has(name, root.crl(1, nil))
		o := serve(t, &tls.Config{Certificates: []tls.Certificate{leaf.with()}, MaxVersion: version})
		r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire})
		for i, resumed := range []bool{false, true} {
			cs, err := o.connect(t, r.Config(host))
			if err != nil || cs.DidResume != resumed {
				t.Fatalf("connection %d: resumed %t, %v", i, cs.DidResume, err)
			}
		}
		l.has(name, root.crl(2, []*authority{leaf}))
		r.due()
		r.s.tick(time.Now())
		r.landed()
		cfg := r.Config(host)
		verify, resumed := cfg.VerifyConnection, false
		cfg.VerifyConnection = func(cs tls.ConnectionState) error { resumed = cs.DidResume; return verify(cs) }
		_, err := o.connect(t, cfg)
		checkDescribed(t, err, "was revoked on 2026-01-02 03:04 UTC (keyCompromise), says the CRL at ")
		if !resumed {
			t.Error("it was no session that was refused")
		}
	}
}

// TestEveryLinkIsAsked: a good leaf of a revoked authority is not good.
func TestEveryLinkIsAsked(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	ca := func(url string) *authority {
		return issue(t, root, x509.Certificate{Subject: subject("Middle"), IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, CRLDistributionPoints: []string{url}})
	}
	well, gone, lost, mute := ca(l.URL+"/root"), ca(l.URL+"/root"), ca(l.URL+"/lost"), ca("")
	mute.cert.CRLDistributionPoints = nil
	l.has("root", root.crl(1, []*authority{gone}))
	p := Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire}
	for _, tt := range []struct {
		middle *authority
		want   string
	}{
		{well, ""},
		{gone, `the certificate of "CN=Middle" (serial `},
		{mute, ""}, // names nobody to ask
		{lost, `it cannot be found out whether the certificate of "CN=Middle" was revoked: the CRL at ` + l.URL + `/lost answers 404`},
	} {
		name := fmt.Sprintf("crl%x", tt.middle.cert.SerialNumber)
		l.has(name, tt.middle.crl(1, nil))
		leaf := issue(t, tt.middle, withCRL(l.URL+"/"+name, host))
		checkDescribed(t, read(t, p).check(leaf, tt.middle, root), tt.want)
	}
}

// TestOCSPIsAsked: by GET, or by POST where they do not know that; after CRLs.
func TestOCSPIsAsked(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	var mu sync.Mutex
	var how []string
	answers := make(map[string][]byte)
	l.page("ocsp", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		how = append(how, r.Method)
		if len(how) > 4 && r.Method == http.MethodGet {
			http.Error(w, "no", http.StatusMethodNotAllowed)
			return
		}
		var q []byte
		if r.Method == http.MethodPost {
			q, _ = io.ReadAll(r.Body)
			if r.Header.Get("Content-Type") != "application/ocsp-request" {
				t.Error(r.Header)
			}
		} else {
			q = decode64(t, strings.TrimPrefix(r.URL.Path, "/ocsp/"))
		}
		req, err := ocsp.ParseRequest(q)
		if err != nil {
			t.Error(err)
			return
		}
		w.Write(answers[req.SerialNumber.String()])
	})
	template := serverTemplate(host)
	template.OCSPServer = []string{l.URL + "/ocsp/"}
	good, gone, unknown, late := issue(t, root, template), issue(t, root, template), issue(t, root, template), issue(t, root, template)
	template.CRLDistributionPoints = []string{l.URL + "/nothing"}
	both := issue(t, root, template)
	for a, status := range map[*authority]int{good: ocsp.Good, gone: ocsp.Revoked, unknown: ocsp.Unknown, late: ocsp.Good, both: ocsp.Good} {
		answers[a.cert.SerialNumber.String()] = root.staple(a, status)
	}
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire})
	for _, tt := range []struct {
		leaf *authority
		want string
	}{
		{good, ""},
		{gone, "says the OCSP responder at " + l.URL + "/ocsp/"},
		{unknown, "the OCSP responder at " + l.URL + "/ocsp/ the OCSP responder does not know the certificate"},
		{both, ""},
	} {
		checkDescribed(t, r.check(tt.leaf, root), tt.want)
	}
	if strings.Join(how, " ") != "GET GET GET GET" {
		t.Error(how)
	}
	if err := r.check(late, root); err != nil || strings.Join(how[4:], " ") != "GET POST" {
		t.Error(how, err)
	}
	n := l.asked.Load()
	if err := r.check(good, root); err != nil || l.asked.Load() != n {
		t.Errorf("asked again, %v", err)
	}
}

// TestWhatOneMayNotReach: a place that one profile's guard refuses is another's
// to fetch.
func TestWhatOneMayNotReach(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	leaf := issue(t, root, withCRL(l.URL+"/crl", host))
	l.has("crl", root.crl(1, nil))
	s := &Sources{}
	t.Cleanup(s.Close)
	p := Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire, Sources: s}
	p.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, io.ErrClosedPipe }
	guarded := &reader{Trust: load(t, p)}
	p.Dial, p.Reach = (&net.Dialer{}).DialContext, "127.0.0.0/8"
	open := &reader{Trust: load(t, p)}
	checkDescribed(t, guarded.check(leaf, root), "io: read/write on closed pipe")
	if err := open.check(leaf, root); err != nil {
		t.Error(err)
	}
	checkDescribed(t, guarded.check(leaf, root), "io: read/write on closed pipe")
}

// TestPlacesAreBounded, and origins that nothing is known of do not push out
// what is known of others.
func TestPlacesAreBounded(t *testing.T) {
	root := newRoot(t, "Root")
	s := &Sources{}
	t.Cleanup(s.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.place(crlPlace, "http://a.example/first", "", nil, root.cert, nil, time.Now())
	for i := range maxPlaces {
		s.place(issuerPlace, fmt.Sprintf("http://a.example/%d", i), "", nil, nil, nil, time.Now())
	}
	if s.place(crlPlace, first.url, "", nil, root.cert, nil, time.Now()) != first || len(s.places) > maxPlaces/8+1 {
		t.Errorf("%d places", len(s.places))
	}
	for i := range 3 { // big ones
		p := s.place(crlPlace, fmt.Sprintf("http://b.example/%d", i), "", nil, root.cert, nil, time.Now().Add(time.Duration(i+1)*time.Second))
		p.list = &parsedCRL{size: maxLists/2 - 1}
		s.makeRoom(false, 0)
	}
	if len(s.places) != maxPlaces/8+2 || slices.Contains(slices.Collect(maps.Values(s.places)), first) {
		t.Errorf("%d places", len(s.places))
	}
}

func TestClosed(t *testing.T) {
	l, root := newLibrary(t), newRoot(t, "Root")
	leaf := issue(t, root, withCRL(l.URL+"/crl", host))
	r := read(t, Profile{Roots: []string{root.certFile()}, Revocation: RevocationRequire})
	r.s.Close()
	r.s.Close()
	checkDescribed(t, r.check(leaf, root), "was revoked: the CRL at ")
	if l.asked.Load() != 0 {
		t.Error("fetched after the end")
	}
}

func decode64(t testing.TB, s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Error(err)
	}
	return b
}
