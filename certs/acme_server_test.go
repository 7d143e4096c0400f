// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// An acmeServer issues by RFC 8555 to a Keeper in the same process, whose
// listener it really asks. It is as careless as a test may be: signatures of
// requests are not looked at.
type acmeServer struct {
	ca        *authority
	life      time.Duration
	challenge string // the one offered

	k *Keeper // who has to answer challenges

	fail func(path string) *acme.Error // an answer instead of the usual one; nil: none
	hang bool                          // no answer at all

	mu       sync.Mutex
	thumb    string // of the account's key
	account  map[string]any
	order    map[string]any
	name     string
	authz    string
	problem  string
	chain    []byte
	requests int
	issued   []*x509.Certificate
}

func newACMEServer(t testing.TB) *acmeServer {
	return &acmeServer{ca: newRoot(t, "ACME Root"), life: 90 * time.Second, challenge: "tls-alpn-01"}
}

const testDirectory = "https://acme.test/directory"

func (s *acmeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w.Result(), nil
}

func (s *acmeServer) count() (requests, issued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, len(s.issued)
}

func (s *acmeServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	w.Header().Set("Replay-Nonce", rand.Text())
	if s.fail != nil {
		if e := s.fail(r.URL.Path); e != nil {
			for k, v := range e.Header {
				w.Header()[k] = v
			}
			w.WriteHeader(e.StatusCode)
			writeJSON(w, map[string]any{"type": e.ProblemType, "detail": e.Detail})
			return
		}
	}
	payload, header := s.read(r)
	base := "https://acme.test"
	switch r.URL.Path {
	case "/directory":
		writeJSON(w, map[string]any{"newNonce": base + "/nonce", "newAccount": base + "/account", "newOrder": base + "/order", "revokeCert": base + "/revoke", "keyChange": base + "/key"})
	case "/nonce":
	case "/account":
		status := http.StatusOK
		if thumb := header.thumb(); thumb != s.thumb {
			s.thumb, status = thumb, http.StatusCreated
		}
		s.account = payload
		w.Header().Set("Location", base+"/account/1")
		w.WriteHeader(status)
		writeJSON(w, map[string]any{"status": "valid"})
	case "/order":
		id := payload["identifiers"].([]any)[0].(map[string]any)
		s.name, s.authz, s.chain = id["value"].(string), "pending", nil
		s.order = map[string]any{"status": "pending", "identifiers": payload["identifiers"], "authorizations": []string{base + "/authz"}, "finalize": base + "/finalize"}
		w.Header().Set("Location", base+"/order/1")
		w.WriteHeader(http.StatusCreated)
		writeJSON(w, s.order)
	case "/order/1":
		w.Header().Set("Location", base+"/order/1")
		writeJSON(w, s.order)
	case "/authz":
		c := map[string]any{"type": s.challenge, "url": base + "/challenge", "token": "token", "status": s.authz}
		if s.problem != "" {
			c["error"] = map[string]any{"type": "urn:ietf:params:acme:error:connection", "detail": s.problem}
		}
		writeJSON(w, map[string]any{"status": s.authz, "identifier": map[string]any{"type": "dns", "value": s.name}, "challenges": []any{c}})
	case "/challenge":
		s.authz, s.problem, s.order["status"] = "valid", "", "ready"
		if err := s.validate(); err != nil {
			s.authz, s.problem, s.order["status"] = "invalid", err.Error(), "invalid"
		}
		writeJSON(w, map[string]any{"type": s.challenge, "url": base + "/challenge", "token": "token", "status": s.authz})
	case "/finalize":
		s.finalize(payload["csr"].(string))
		s.order["status"], s.order["certificate"] = "valid", base+"/cert"
		w.Header().Set("Location", base+"/order/1")
		writeJSON(w, s.order)
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		_, _ = w.Write(s.chain)
	default:
		w.WriteHeader(http.StatusNotFound)
		writeJSON(w, map[string]any{"type": "urn:ietf:params:acme:error:malformed", "detail": "no such thing"})
	}
}

func writeJSON(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

type jwsHeader struct {
	JWK struct{ X, Y string } `json:"jwk"`
}

func (h jwsHeader) thumb() string {
	x, _ := base64.RawURLEncoding.DecodeString(h.JWK.X)
	y, _ := base64.RawURLEncoding.DecodeString(h.JWK.Y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)) // SEC 1 §2.3.3
	if err != nil {
		return "" // requests of a known account have no key in them
	}
	t, _ := acme.JWKThumbprint(key)
	return t
}

func (s *acmeServer) read(r *http.Request) (payload map[string]any, header jwsHeader) {
	var jws struct{ Protected, Payload string }
	if r.Body == nil || json.NewDecoder(r.Body).Decode(&jws) != nil {
		return nil, header
	}
	p, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
	h, _ := base64.RawURLEncoding.DecodeString(jws.Protected)
	_ = json.Unmarshal(p, &payload)
	_ = json.Unmarshal(h, &header)
	return payload, header
}

// validate asks the listener, as RFC 8555 §8.3 and RFC 8737 say.
func (s *acmeServer) validate() error {
	want := "token." + s.thumb
	if s.challenge == "http-01" {
		w := httptest.NewRecorder()
		s.k.HTTPHandler().ServeHTTP(w, httptest.NewRequest("GET", "http://"+s.name+":5002/.well-known/acme-challenge/token", nil))
		if w.Code != http.StatusOK || w.Body.String() != want {
			return fmt.Errorf("status %d", w.Code)
		}
		return nil
	}
	state, err := handshake(s.k.Config(), &tls.Config{ServerName: s.name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(want))
	leaf := state.PeerCertificates[0]
	for _, e := range leaf.Extensions {
		if e.Id.String() == "1.3.6.1.5.5.7.1.31" && bytes.HasSuffix(e.Value, sum[:]) && leaf.VerifyHostname(s.name) == nil {
			return nil
		}
	}
	return fmt.Errorf("the certificate shown does not answer the challenge")
}

func (s *acmeServer) finalize(csr64 string) {
	der, _ := base64.RawURLEncoding.DecodeString(csr64)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(s.issued) + 1)), DNSNames: csr.DNSNames,
		NotBefore: time.Now(), NotAfter: time.Now().Add(s.life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, s.ca.cert, csr.PublicKey, s.ca.key)
	if err != nil {
		panic(err)
	}
	c, _ := x509.ParseCertificate(leaf)
	s.issued = append(s.issued, c)
	s.chain = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}), s.ca.certPEM()...)
}

// handshake is one between two in this process, without the network.
func handshake(server, client *tls.Config) (tls.ConnectionState, error) {
	a, b := net.Pipe()
	defer a.Close()
	srv := tls.Server(b, server)
	done := make(chan error, 1)
	go func() {
		err := srv.Handshake()
		b.Close() // a pipe holds nothing, so the alert was read by now
		done <- err
	}()
	c := tls.Client(a, client)
	err := c.Handshake()
	a.Close()
	serverErr := <-done
	if err == nil && serverErr != nil && !isClosed(serverErr) {
		err = serverErr
	}
	return c.ConnectionState(), err
}

// isClosed is whether the client was gone before it took its session tickets.
func isClosed(err error) bool { return strings.Contains(err.Error(), "closed pipe") }

// memory is a Secrets for tests.
type memory struct {
	mu   sync.Mutex
	all  map[string][]byte
	fail error
}

func (m *memory) Get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if text, ok := m.all[name]; ok {
		return text, nil
	}
	return nil, fmt.Errorf("secret %s: %w", name, fs.ErrNotExist)
}

func (m *memory) Put(_ context.Context, name string, secret []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if m.all == nil {
		m.all = make(map[string][]byte)
	}
	m.all[name] = bytes.Clone(secret)
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, name)
	return nil
}
