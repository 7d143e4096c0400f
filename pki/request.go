// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// A Request is for one certificate. What it is to say comes from whoever has
// verified it; of the signing request nothing counts but its public key and
// the proof that somebody has the private one.
type Request struct {
	Role   Role // Server or Client
	CSR    *x509.CertificateRequest
	User   string        // Client: this or Device; up to 64 of letters, digits and . _ - @
	Device string        //
	Email  string        // Client: may be ""
	DNS    []string      // Server: names in lower case, a wildcard as the first label at most
	IP     []netip.Addr  // Server
	Life   time.Duration // zero: the role's Usual; at most its MaxLife; never beyond the issuer's
	By     string        // who asked, for the record
}

// template says what the certificate is to be. The gate judges it.
func (r Request) template(s Settings, now time.Time) (*x509.Certificate, error) {
	life := r.Life
	if life == 0 {
		life = r.Role.Usual()
	}
	if life < 0 {
		return nil, refuse("a life of %v", life)
	}
	t := &x509.Certificate{
		NotBefore:   now.Add(-earlyLeaf),
		NotAfter:    now.Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{r.Role.usage()},
	}
	switch r.Role {
	case Server:
		if r.User != "" || r.Device != "" || r.Email != "" {
			return nil, refuse("a user, device or email address for a server's certificate")
		}
		return t, r.serve(t)
	case Client:
		if (r.User == "") == (r.Device == "") || len(r.DNS)+len(r.IP) > 0 {
			return nil, refuse("want a user or a device, and no DNS names or addresses, for a client's certificate")
		}
		kind, name := kindUser, r.User
		if name == "" {
			kind, name = kindDevice, r.Device
		}
		fillClient(t, s, kind, name, r.Email)
		return t, nil
	}
	return nil, refuse("certificates of the %s issuer are minted, not asked for", r.Role)
}

func (r Request) serve(t *x509.Certificate) error {
	t.DNSNames = r.DNS
	for _, ip := range r.IP {
		if err := validIP(ip); err != nil {
			return refuse("%w", err)
		}
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().AsSlice()))
	}
	switch {
	case len(r.DNS) > 0 && len(r.DNS[0]) <= 64: // ub-common-name, RFC 5280 appendix A.1
		t.Subject.CommonName = r.DNS[0]
	case len(r.DNS) == 0 && len(r.IP) > 0:
		t.Subject.CommonName = r.IP[0].Unmap().String()
	}
	return nil
}

func fillClient(t *x509.Certificate, s Settings, kind, name, email string) {
	t.Subject = pkix.Name{CommonName: name}
	t.URIs = []*url.URL{spiffe(s.TrustDomain, kind, name)}
	if email != "" {
		t.EmailAddresses = []string{email}
	}
}
