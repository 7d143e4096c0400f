// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // the WebSocket handshake's, RFC 6455 §4.2.2
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A testOrigin is an origin in the test's process that keeps a journal of what
// it saw. One port takes TLS and cleartext, told apart by the first byte, so
// that a downgrade cannot hide: the cleartext twin is always there.
type testOrigin struct {
	l      net.Listener
	http   *http.Server
	tls    *tls.Config // nil: cleartext only
	banner string      // not "": no HTTP, a protocol in which the server speaks first
	count  bool        // no HTTP: reads to the end, then answers what it got
	bye    string      // not "": no HTTP: says this, ends its direction, reads to the end
	dir    string      // the script's, of /file
	git    string      // directory of repositories below /git; "" none
	altSvc string      // what it says of HTTP/3
	h3     io.Closer   // what speaks it; nil: nothing
	say    []byte      // not nil: answers the first request with exactly this, and closes

	journal *journal // what came, a line an event

	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
	release chan struct{} // closed by origin NAME -release
}

// cmdOrigin starts an origin: origin NAME [flags]. It sets $NAME to its port and
// $NAME_pin to its certificate's pin.
func cmdOrigin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: origin name [flags]")
	}
	w, name := worldOf(ts), args[0]
	f := flag.NewFlagSet("origin", flag.ContinueOnError)
	plain := f.Bool("plain", false, "no TLS")
	cert := f.String("cert", "good", "good, expired, notyet, selfsigned, untrusted, ending")
	names := f.String("names", name+".test,site.test,*.test,127.0.0.1", "names in the certificate")
	trust := trustFlags(f)
	h2 := f.Bool("h2", false, "offer HTTP/2")
	h3 := f.String("h3", "", "offer HTTP/3 on the same port, with a certificate of that kind; nobody: nobody is there, silent: nobody answers")
	noTCP := f.Bool("no-tcp", false, "HTTP/3 only")
	tls12 := f.Bool("tls12", false, "TLS 1.2 at most")
	need := f.Bool("client-cert", false, "require a client certificate of the test CA")
	needOf := f.String("client-ca", "", "require a client certificate of the roots in this file, and tell all of it")
	banner := f.String("banner", "", "not HTTP: say this and echo")
	count := f.Bool("count", false, "not HTTP: read to the end, then answer")
	say := f.String("say", "", "answer the first request of a connection with exactly this, and close")
	bye := f.String("bye", "", "not HTTP: say this, end, and read to the end")
	git := f.String("git", "", "serve the repositories in this directory below /git")
	ech := f.String("ech", "", "take Encrypted Client Hello for this public name")
	listen := f.String("listen", "127.0.0.1:0", "address")
	release := f.Bool("release", false, "let the held answers of this origin go")
	stop := f.Bool("stop", false, "end the origin")
	reset := f.Bool("reset", false, "reset the connections this origin has")
	ts.Check(f.Parse(args[1:]))
	if *reset {
		w.origins[name].reset()
		return
	}
	if *release {
		close(w.origins[name].release)
		return
	}
	if *stop {
		w.origins[name].close()
		return
	}
	l, udp, err := listenBoth(*listen, *h3 != "")
	ts.Check(err)
	o := &testOrigin{l: l, journal: newJournal(), banner: *banner, count: *count, bye: *bye, git: *git, dir: w.dir, conns: make(map[net.Conn]bool), release: make(chan struct{})}
	if *say != "" {
		o.say = unescape(ts, *say)
	}
	if !*plain && *banner == "" && *bye == "" && !*count {
		c, err := w.originCert(*cert, name, strings.Split(*names, ","), trust)
		ts.Check(err)
		w.certs[name] = c.Leaf
		ts.Setenv(name+"_pin", pin(c.Leaf))
		o.tls = &tls.Config{Certificates: []tls.Certificate{c}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		if *h2 {
			o.tls.NextProtos = []string{"h2", "http/1.1"}
		}
		if *tls12 {
			o.tls.MaxVersion = tls.VersionTLS12
		}
		if *ech != "" {
			key := newECHKey(ts, *ech)
			o.tls.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{key}
			ts.Setenv(name+"_ech", listOfECH(key.Config))
		}
		if *need {
			o.tls.ClientAuth, o.tls.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			o.tls.ClientCAs.AddCert(w.ca.cert)
		}
		if *needOf != "" {
			o.tls.ClientAuth, o.tls.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
			o.tls.ClientCAs.AppendCertsFromPEM([]byte(ts.ReadFile(*needOf)))
		}
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ts.Setenv(name, port)
	if *h3 != "" {
		ts.Check(o.startHTTP3(w, udp, *h3, name, strings.Split(*names, ","), trust))
	}
	if *noTCP {
		l.Close()
	}
	w.origins[name] = o
	o.start()
}

// originCert makes an origin's certificate. The root of an untrusted one is
// left in NAME-root.pem, for a policy that comes to trust it.
func (w *world) originCert(kind, name string, names []string, trust *originTrust) (tls.Certificate, error) {
	ca, from, to := w.ca, -time.Hour, *trust.life
	switch kind {
	case "good":
	case "expired":
		from, to = -48*time.Hour, -24*time.Hour
	case "notyet":
		from, to = 24*time.Hour, 48*time.Hour
	case "untrusted", "ending":
		life := long
		if kind == "ending" { // its root does
			life = 24 * time.Hour
		}
		other, err := newTestCAFor("somebody else's root", life)
		if err != nil {
			return tls.Certificate{}, err
		}
		if err := writePEM(filepath.Join(w.dir, name+"-root.pem"), "CERTIFICATE", other.cert.Raw, 0o644); err != nil {
			return tls.Certificate{}, err
		}
		ca = other
	case "selfsigned":
		own, err := newTestCA("origin.test")
		return tls.Certificate{Certificate: [][]byte{own.cert.Raw}, PrivateKey: own.key, Leaf: own.cert}, err
	default:
		return tls.Certificate{}, fmt.Errorf("no certificate %q", kind)
	}
	if trust.wanted() {
		return trust.issue(w, ca, from, to, names)
	}
	return ca.issue(x509.ExtKeyUsageServerAuth, "test origin", from, to, names...)
}

func (o *testOrigin) note(format string, args ...any) {
	o.journal.add(fmt.Sprintf(format+"\n", args...), false)
}

// cmdSaw waits for a line in an origin's journal: saw NAME REGEXP. With ! no
// line so far may match; put it behind something that comes later.
func cmdSaw(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] saw origin regexp")
	}
	o := worldOf(ts).origins[args[0]]
	if o == nil {
		ts.Fatalf("no origin %s", args[0])
	}
	re := regexp.MustCompile("(?m)" + args[1])
	if neg && re.MatchString(o.journal.String()) || !neg && !o.journal.wait(re.MatchString) {
		ts.Fatalf("origin %s saw:\n%s", args[0], o.journal)
	}
}

func (o *testOrigin) start() {
	o.http = &http.Server{Handler: o, ConnContext: counted, DisableGeneralOptionsHandler: true, ErrorLog: log.New(io.Discard, "", 0)}
	handed := &handedListener{conns: make(chan net.Conn), done: make(chan struct{}), addr: o.l.Addr()}
	o.wg.Go(func() { _ = o.http.Serve(handed) })
	o.wg.Go(func() {
		defer close(handed.done)
		for {
			c, err := o.l.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			o.conns[c] = true
			o.mu.Unlock()
			o.wg.Go(func() { o.serve(c, handed) })
		}
	})
}

func (o *testOrigin) close() {
	o.l.Close()
	if o.h3 != nil {
		o.h3.Close()
	}
	o.http.Close()
	o.mu.Lock()
	for c := range o.conns {
		c.Close()
	}
	o.mu.Unlock()
	select {
	case <-o.release:
	default:
		close(o.release)
	}
	o.wg.Wait()
}

// reset cuts every connection the hard way.
func (o *testOrigin) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		c.Close()
	}
}

// serve finds out what a connection speaks.
func (o *testOrigin) serve(c net.Conn, handed *handedListener) {
	switch {
	case o.banner != "":
		defer c.Close()
		fmt.Fprintf(c, "%s\r\n", o.banner)
		o.note("connection") // what it said is on its way
		n, err := io.Copy(c, c)
		o.note("echoed %d bytes err=%v", n, err)
		return
	case o.bye != "":
		defer c.Close()
		fmt.Fprintf(c, "%s\r\n", o.bye)
		_ = c.(*net.TCPConn).CloseWrite()
		n, err := io.Copy(io.Discard, c)
		o.note("read %d bytes err=%v", n, err)
		return
	case o.count:
		defer c.Close()
		h := sha256.New()
		n, err := io.Copy(h, c)
		o.note("read %d bytes err=%v", n, err)
		fmt.Fprintf(c, "got %d bytes, sha256 %x\n", n, h.Sum(nil))
		return
	}
	br := bufio.NewReader(c)
	first, err := br.Peek(1)
	if err != nil {
		c.Close()
		return
	}
	wire := new(bytes.Buffer)
	conn := net.Conn(&peekedConn{Conn: c, r: io.TeeReader(br, wire)})
	if o.tls == nil || first[0] != 0x16 {
		o.note("cleartext connection")
		o.take(conn, handed)
		return
	}
	t := tls.Server(conn, o.tls)
	err = t.Handshake()
	o.noteWire(wire.Bytes())
	wire.Reset()
	if err != nil {
		o.note("handshake failed: %v", err)
		c.Close()
		return
	}
	s := t.ConnectionState()
	cn := "none"
	if len(s.PeerCertificates) > 0 {
		cn = s.PeerCertificates[0].Subject.CommonName
	}
	o.note("tls connection sni=%s version=%s alpn=%s resumed=%v client-cert=%s", s.ServerName, tls.VersionName(s.Version), s.NegotiatedProtocol, s.DidResume, cn)
	o.note("tls session sni=%s ech=%v resumed=%v", s.ServerName, s.ECHAccepted, s.DidResume)
	if cn != "none" {
		leaf := s.PeerCertificates[0]
		o.note("shown %s uris=%v emails=%v serial=%x minutes=%d", leaf.Subject, leaf.URIs, leaf.EmailAddresses, leaf.SerialNumber, int(leaf.NotAfter.Sub(leaf.NotBefore).Minutes()))
	}
	o.take(t, handed) // http.Server finds HTTP/2 in it by itself
}

// take serves an accepted connection: by net/http, or by the one answer that
// the script gave.
func (o *testOrigin) take(c net.Conn, handed *handedListener) {
	if o.say == nil {
		handed.give(c)
		return
	}
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	o.note("request %s %s %s host=%s", r.Method, r.RequestURI, r.Proto, r.Host)
	_, _ = c.Write(o.say)
}

type usesKey struct{}

// counted gives every connection a count of its requests.
func counted(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, usesKey{}, new(atomic.Int64))
}

type peekedConn struct {
	net.Conn
	r io.Reader
}

func (c *peekedConn) Read(b []byte) (int, error) { return c.r.Read(b) }

type handedListener struct {
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
}

func (l *handedListener) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	}
}

func (l *handedListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *handedListener) Close() error   { return nil }
func (l *handedListener) Addr() net.Addr { return l.addr }

// ServeHTTP answers by path; /echo says what came.
func (o *testOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.note("request %s %s %s host=%s client-cert=%s", r.Method, r.RequestURI, r.Proto, r.Host, shown(r))
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range r.Header {
			if !yield(k) {
				return
			}
		}
	}) {
		o.note("  %s: %s", name, strings.Join(r.Header[name], " | "))
	}
	if o.altSvc != "" {
		w.Header().Set("Alt-Svc", o.altSvc)
	}
	uses := r.Context().Value(usesKey{}).(*atomic.Int64).Add(1)
	path, arg, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if media := r.URL.Query().Get("type"); media != "" {
		w.Header().Set("Content-Type", media)
	}
	switch path {
	case "status":
		code, _ := strconv.Atoi(arg)
		w.WriteHeader(code)
	case "bytes":
		n, _ := strconv.ParseInt(arg, 10, 64)
		w.Header().Set("Content-Length", arg)
		_, _ = io.Copy(w, io.LimitReader(pattern{}, n))
	case "chunks":
		n, _ := strconv.Atoi(arg)
		for i := range n {
			fmt.Fprintf(w, "chunk %d\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	case "trailers":
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body\n")
		w.Header().Set("X-Sum", "announced")
		w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
	case "hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		if arg == "absolute" {
			w.Header().Set("Link", "<https://"+r.Host+"/style.css>; rel=preload")
		}
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "after hints\n")
	case "refuse-upload": // answers before the body came
		_ = http.NewResponseController(w).EnableFullDuplex()
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	case "hold": // begins to answer, goes on when released
		fmt.Fprint(w, "held\n")
		_ = http.NewResponseController(w).Flush()
		o.note("holding")
		<-o.release
		fmt.Fprint(w, "released\n")
	case "late": // begins to answer when released
		o.note("late")
		<-o.release
		fmt.Fprint(w, "late\n")
	case "abort":
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "only this")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "stale": // a kept connection that ends just as it is used again
		if uses > 1 {
			o.note("stale connection dropped")
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "fresh\n")
	case "flood": // says when the last byte has been handed to the kernel
		n, _ := strconv.ParseInt(arg, 10, 64)
		w.Header().Set("Content-Length", arg)
		h := sha256.New()
		_, _ = io.Copy(io.MultiWriter(w, h), io.LimitReader(pattern{}, n))
		o.note("flooded %d bytes sha256 %x", n, h.Sum(nil))
	case "drop": // takes the request and closes without an answer
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	case "hop": // fields that must not travel on
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Proxy-Authenticate", "Basic realm=origin")
		w.Header().Set("X-End", "2")
	case "ocsp": // whatever is asked
		http.ServeFile(w, r, filepath.Join(o.dir, "ocsp.der"))
	case "redirect":
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	case "links":
		o.links(w, r, arg)
	case "ws":
		o.webSocket(w, r)
	case "cookie":
		w.Header().Set("Set-Cookie", arg)
	case "login":
		o.login(w, r, arg)
	case "git":
		serveGit(w, r, o.git)
	case "file":
		http.ServeFile(w, r, filepath.Join(o.dir, filepath.Base(arg)))
	default:
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		o.note("  body %d bytes sha256 %x err=%v", n, h.Sum(nil), err)
		for k, v := range r.Trailer {
			o.note("  trailer %s: %s", k, strings.Join(v, ","))
		}
		w.Header().Set("X-Origin", "yes")
		w.Header().Set("X-Shown", shown(r))
		fmt.Fprintf(w, "%s %s %s host=%s body=%d sha256=%x\n", r.Method, r.RequestURI, r.Proto, r.Host, n, h.Sum(nil))
	}
}

// shown names the certificate that r's connection was made with.
func shown(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "none"
	}
	return r.TLS.PeerCertificates[0].Subject.CommonName
}

// webSocket completes the handshake and echoes bytes; frames are opaque to the
// gateway, so they are here.
func (o *testOrigin) webSocket(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") || r.Header.Get("Connection") != "Upgrade" {
		http.Error(w, "not a websocket handshake", http.StatusBadRequest)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		o.note("hijack: %v", err)
		return
	}
	defer c.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	_ = rw.Flush()
	n, err := io.Copy(c, rw)
	o.note("websocket echoed %d bytes err=%v", n, err)
}

// pattern is an endless stream that repeats with a period no power of two divides.
type pattern struct{}

func (pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte('a' + i%23)
	}
	return len(b), nil
}
