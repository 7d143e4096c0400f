// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An abroad is a server for ACME clients of others: at https://localhost, with a
// certificate of its own authority, and with challenges of *.corp.test asked for
// at a port of this machine.
type abroad struct {
	t    *testing.T
	ca   *CA
	url  string
	dir  string // the client's
	root string // file of the edge root
	port string // where it answers http-01
}

func openAbroad(t *testing.T, program string, change func(*ACMEOptions)) *abroad {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed here", program)
	}
	a := &abroad{t: t, ca: memoryCA(t, worldSettings, Options{Log: t.Logf}), dir: t.TempDir(), port: unusedPort(t)}
	o := ACMEOptions{
		Names: []string{"localhost"}, Serve: true, Zones: []string{"corp.test"},
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Dial: func(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error) {
			if !strings.HasSuffix(addr, ":80") {
				return nil, fmt.Errorf("dial %s: nobody is there", addr)
			}
			if err := permit(netip.MustParseAddrPort("127.0.0.1:80")); err != nil {
				return nil, err
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", "127.0.0.1:"+a.port)
		},
	}
	if change != nil {
		change(&o)
	}
	s, err := a.ca.ACME(o)
	if err != nil {
		t.Fatal(err)
	}
	req, key := csr(t, x509.CertificateRequest{})
	chain, err := a.ca.Issue(t.Context(), Request{Role: Server, CSR: req, DNS: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(s)
	web.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{chain[0].Raw, chain[1].Raw}, PrivateKey: key}}}
	web.StartTLS()
	t.Cleanup(web.Close)
	a.url = "https://localhost:" + web.URL[strings.LastIndexByte(web.URL, ':')+1:] + "/acme/directory"
	a.root = write(t, "roots.pem", pemOf(a.ca.Roots(Edge)...))
	return a
}

// unusedPort is for a program that has to be told one.
func unusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// run runs the client, without a proxy of the environment.
func (a *abroad) run(env []string, program string, args ...string) (string, error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = a.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.dir, "LANG=C.UTF-8"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (a *abroad) must(env []string, program string, args ...string) string {
	a.t.Helper()
	out, err := a.run(env, program, args...)
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// holds reads the certificate of www.corp.test, which has to be good.
func (a *abroad) holds(path string) *x509.Certificate {
	a.t.Helper()
	b, err := os.ReadFile(filepath.Join(a.dir, path))
	if err != nil {
		a.t.Fatal(err)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			a.t.Fatal(err)
		}
		chain = append(chain, c)
	}
	if err := verifyAt(a.ca, chain, x509.ExtKeyUsageServerAuth, "www.corp.test"); err != nil {
		a.t.Fatalf("the certificate is not good: %v", err)
	}
	return chain[0]
}

func TestLego(t *testing.T) {
	a := openAbroad(t, "lego", func(o *ACMEOptions) { o.RequireEAB = true })
	kid, key, err := a.ca.NewEAB(t.Context(), "lego")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"LEGO_CA_CERTIFICATES=" + a.root}
	args := []string{
		"--server", a.url, "--accept-tos", "--email", "ops@corp.test", "--domains", "www.corp.test", "--path", a.dir,
		"--http", "--http.port", "127.0.0.1:" + a.port, "--eab", "--kid", kid, "--hmac", base64.RawURLEncoding.EncodeToString(key),
	}
	a.must(env, "lego", append(args, "run")...)
	first := a.holds("certificates/www.corp.test.crt")
	a.must(env, "lego", append(args, "renew", "--days", "1000", "--no-random-sleep")...)
	second := a.holds("certificates/www.corp.test.crt")
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("lego has renewed nothing")
	}
	a.must(env, "lego", append(args, "revoke")...)
	if a.ca.Revoked(first) || !a.ca.Revoked(second) {
		t.Error("what lego has revoked is not revoked")
	}
}

func TestCertbot(t *testing.T) {
	a := openAbroad(t, "certbot", nil)
	env := []string{"REQUESTS_CA_BUNDLE=" + a.root}
	usual := []string{
		"--non-interactive", "--server", a.url, "--config-dir", a.dir, "--work-dir", a.dir, "--logs-dir", a.dir,
		"--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", a.port,
	}
	a.must(env, "certbot", append(usual, "certonly", "--agree-tos", "--email", "ops@corp.test", "--no-eff-email", "-d", "www.corp.test")...)
	first := a.holds("live/www.corp.test/fullchain.pem")
	a.must(env, "certbot", append(usual, "renew", "--force-renewal", "--no-random-sleep-on-renew")...)
	second := a.holds("live/www.corp.test/fullchain.pem")
	if first.SerialNumber.Cmp(second.SerialNumber) == 0 {
		t.Error("certbot has renewed nothing")
	}
	// This certbot stumbles over every problem it is told, and has it in its log.
	_, err := a.run(env, "certbot", append(usual, "certonly", "-d", "www.example.org")...)
	if said, _ := os.ReadFile(filepath.Join(a.dir, "letsencrypt.log")); err == nil || !strings.Contains(string(said), "www.example.org is in no zone that this server issues for") {
		t.Errorf("another zone: %v\n%s", err, said)
	}
	a.must(env, "certbot", append(usual, "revoke", "--cert-name", "www.corp.test", "--reason", "keycompromise", "--no-delete-after-revoke")...)
	if a.ca.Revoked(first) || !a.ca.Revoked(second) {
		t.Error("what certbot has revoked is not revoked")
	}
	a.must(env, "certbot", append(usual, "unregister")...)
}

// dehydrated is a shell script with curl and openssl; somebody else serves what it
// writes.
func TestDehydrated(t *testing.T) {
	a := openAbroad(t, "dehydrated", nil)
	known := filepath.Join(a.dir, "known")
	if err := os.Mkdir(known, 0o755); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.StripPrefix("/.well-known/acme-challenge/", http.FileServer(http.Dir(known))))
	t.Cleanup(web.Close)
	a.port = web.URL[strings.LastIndexByte(web.URL, ':')+1:]
	config := write(t, "config", []byte(fmt.Sprintf("CA=%s\nBASEDIR=%s\nWELLKNOWN=%s\nCURL_OPTS='--cacert %s'\nCONTACT_EMAIL=ops@corp.test\n", a.url, a.dir, known, a.root)))
	usual := []string{"--config", config}
	a.must(nil, "dehydrated", append(usual, "--register", "--accept-terms")...)
	a.must(nil, "dehydrated", append(usual, "--cron", "--domain", "www.corp.test")...)
	cert := a.holds("certs/www.corp.test/fullchain.pem")
	a.must(nil, "dehydrated", append(usual, "--revoke", filepath.Join(a.dir, "certs/www.corp.test/cert.pem"))...)
	if !a.ca.Revoked(cert) {
		t.Error("what dehydrated has revoked is not revoked")
	}
}
