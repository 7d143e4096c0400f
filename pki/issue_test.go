// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/netip"
	"testing"
	"time"
)

// An authority issues, finds, revokes, and knows all of it after it was closed.
func TestIssueAndRevoke(t *testing.T) {
	ca, dir := diskCA(t, Settings{URL: "http://ca.test:3128"})
	ctx := context.Background()
	req, _ := csr(t, x509.CertificateRequest{})
	chain, err := ca.Issue(ctx, Request{Role: Client, CSR: req, User: "alice", Email: "alice@corp.test", By: "test", Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	leaf := chain[0]
	if got := namesOf(leaf); len(got) != 2 || got[0] != "spiffe://sallyport.internal/user/alice" || got[1] != "alice@corp.test" || leaf.Subject.CommonName != "alice" {
		t.Errorf("it says %v and %q", got, leaf.Subject)
	}
	if len(chain) != 2 || chain[1] != ca.state.Load().issuer(Client).cert() {
		t.Errorf("a chain of %d", len(chain))
	}
	server, err := ca.Issue(ctx, Request{Role: Server, CSR: req, DNS: []string{"gw.test", "*.gw.test"}, IP: []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	skid := ca.state.Load().issuer(Server).skid
	if got := server[0].CRLDistributionPoints; len(got) != 1 || got[0] != "http://ca.test:3128/crl/"+skid+".crl" {
		t.Errorf("its CRL is at %v", got)
	}
	if ca.Revoked(leaf) {
		t.Error("revoked from the start")
	}
	if err := ca.Revoke(ctx, leaf.SerialNumber, 1, "test"); err != nil {
		t.Fatal(err)
	}
	if err := ca.Revoke(ctx, leaf.SerialNumber, 1, "test"); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked twice: %v", err)
	}
	if err := ca.Revoke(ctx, big.NewInt(7), 1, "test"); !errors.Is(err, ErrUnknownSerial) {
		t.Errorf("revoked what was never issued: %v", err)
	}
	ca.Close()
	ca = reopen(t, dir)
	if !ca.Revoked(leaf) || ca.Revoked(server[0]) {
		t.Error("after a restart others are revoked")
	}
	r, c, err := ca.Find(SerialText(leaf.SerialNumber))
	if err != nil || !c.Equal(leaf) || r.Reason != 1 || r.By != "test" || r.Role != Client || r.Revoked.IsZero() {
		t.Errorf("found %+v, %v", r, err)
	}
	n := 0
	if err := ca.Records(ctx, func(Record) bool { n++; return true }); err != nil || n != 2 {
		t.Errorf("%d records, %v", n, err)
	}
}
