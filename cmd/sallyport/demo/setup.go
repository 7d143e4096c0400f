// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/crypto/bcrypt"
)

// setUp makes everything but the gateway.
func (t *trial) setUp(ctx context.Context) (err error) {
	secret := make([]byte, 8)
	_, _ = rand.Read(secret) // never fails
	t.canary = "canary-" + hex.EncodeToString(secret)
	people, err := t.certificates(ctx)
	if err != nil {
		return err
	}
	if t.names, err = startNames(); err != nil {
		return err
	}
	t.closeLater(t.names.close)
	t.origin = &origin{canary: t.canary, roots: t.roots, stray: t.stray, people: people, keys: t.rec, fail: t.fail}
	if err := t.origin.start(); err != nil {
		return err
	}
	t.closeLater(t.origin.close)
	t.banner = &bannerOrigin{fail: t.fail}
	if err := t.banner.start(); err != nil {
		return err
	}
	t.closeLater(t.banner.close)
	t.webs, t.sshs = make(map[string]*tap), make(map[string]*tap)
	for _, leg := range []string{"client", "origin"} {
		for _, to := range []struct {
			l    string
			taps map[string]*tap
		}{{t.origin.l.Addr().String(), t.webs}, {t.banner.l.Addr().String(), t.sshs}} {
			tap, err := t.tap(leg, leg == "client", to.l)
			if err != nil {
				return err
			}
			to.taps[leg] = tap
		}
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	return t.write(map[string][]byte{
		"policy.yaml": []byte(policyText(t.ways, t.o.Rules)),
		"users":       append([]byte(user+":"), append(hash, '\n')...),
	})
}

// tap starts one that is closed with the trial.
func (t *trial) tap(leg string, direct bool, to string) (*tap, error) {
	out := &tap{leg: leg, direct: direct, to: to, rec: t.rec, fail: t.fail}
	if err := out.start(); err != nil {
		return nil, err
	}
	t.closeLater(out.close)
	return out, nil
}

// certificates makes the origins' authority, the gateway's CA and who holds
// certificates of them, and returns by what origins know clients.
func (t *trial) certificates(ctx context.Context) (people *x509.CertPool, err error) {
	if t.roots, err = newAuthority("demo origins"); err != nil {
		return nil, err
	}
	if t.stray, err = newAuthority("an authority that nobody trusts"); err != nil {
		return nil, err
	}
	if t.own, err = t.roots.issue("client", clientLeaf); err != nil {
		return nil, err
	}
	gateways, err := t.roots.issue("gateway", clientLeaf)
	if err != nil {
		return nil, err
	}
	cert, key, err := pemOf(gateways)
	if err != nil {
		return nil, err
	}
	if err := t.write(map[string][]byte{"roots.pem": pemCert(t.roots.cert.Raw), "gateway.crt": cert, "gateway.key": key}); err != nil {
		return nil, err
	}
	out, err := t.sallyport(ctx, "ca", "init", "--json", "--state", filepath.Join(t.dir, "state"))
	if err != nil {
		return nil, err
	}
	var ca struct {
		Roots []struct{ Domain, PEM string }
	}
	if err := json.Unmarshal(out, &ca); err != nil {
		return nil, fmt.Errorf("reading what ca init made: %w", err)
	}
	t.edge, t.trusted, people = x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	for _, pool := range []*x509.CertPool{t.trusted, people} {
		pool.AddCert(t.roots.cert)
	}
	for _, r := range ca.Roots {
		switch r.Domain {
		case "edge":
			t.edge.AppendCertsFromPEM([]byte(r.PEM))
			t.trusted.AppendCertsFromPEM([]byte(r.PEM))
		case "identity":
			people.AppendCertsFromPEM([]byte(r.PEM))
		}
	}
	return people, nil
}

// sallyport runs a command of the program that is looked at.
func (t *trial) sallyport(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, t.o.Program, args...)
	cmd.Env = t.env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("sallyport %s: %w: %s", args[0]+" "+args[1], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}

func (t *trial) write(files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(t.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
