// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"sallyport/gateway"
	"sallyport/gateway/identity"
	"sallyport/pki"
	"sallyport/policy"
)

// identityOptions say by what clients can prove who they are.
type identityOptions struct {
	htpasswd     string
	groups       string
	overPlain    bool
	jwks         string
	jwt          identity.TokenOptions
	clientCAs    []string
	clientCAUser string
	clientCRLs   []string
}

func (o *identityOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.htpasswd, "htpasswd", "", "`file` of users and their passwords (bcrypt, argon2id), read anew when it changes")
	f.StringVar(&o.groups, "groups", "", "`file` of groups, each with its users, read anew when it changes")
	f.BoolVar(&o.overPlain, "auth-over-plain", false, "take passwords and tokens also from other machines in the clear")
	f.StringVar(&o.jwks, "jwks", "", "`file` of the public keys that tokens are signed by (JWK Set), read anew when it changes")
	f.StringVar(&o.jwt.Issuer, "jwt-issuer", "", "who issues the tokens (iss)")
	f.StringVar(&o.jwt.Audience, "jwt-audience", "", "whom the tokens are for (aud)")
	f.StringVar(&o.jwt.User, "jwt-user", "sub", "the claim of a token that names the user")
	f.StringArrayVar(&o.clientCAs, "client-ca", nil, "`FILE[,user=spiffe|email|cn][,names=DOMAIN]`: a CA whose certificates clients may show; repeat for several")
	f.StringVar(&o.clientCAUser, "client-ca-user", "", "the name in a client's certificate that is the user: spiffe, email or cn (default: none is)")
	f.StringArrayVar(&o.clientCRLs, "client-crl", nil, "`file` of revocation lists of these CAs, read anew when it changes; repeat for several")
}

// check refuses flags that say nothing together.
func (o *identityOptions) check() error {
	usage := func(format string, args ...any) error { return &exitError{exitUsage, fmt.Errorf(format, args...)} }
	switch {
	case o.jwks != "" && (o.jwt.Issuer == "" || o.jwt.Audience == ""):
		return usage("--jwks goes with --jwt-issuer and --jwt-audience: a token for another service must not be one for this gateway")
	case o.jwks == "" && (o.jwt.Issuer != "" || o.jwt.Audience != ""):
		return usage("--jwt-issuer and --jwt-audience go with --jwks FILE")
	case len(o.clientCRLs) > 0 && len(o.clientCAs) == 0:
		return usage("--client-crl goes with --client-ca FILE")
	}
	return nil
}

// identities find out who clients are, by files that may change.
type identities struct {
	o       identityOptions
	listen  []string
	tls     bool // clients can come by TLS
	logger  *zerolog.Logger
	prover  identity.Prover
	files   []*identityFile
	sources identity.Sources // as loaded
	crls    []*identity.CRLs // of each --client-crl
	cas     []*identity.Authority
	own     *identity.Authority // among them; nil: there is none
}

// openIdentities reads the files. The gateway's own CA, where there is or will be
// one, is known from meet on.
func openIdentities(o runOptions, logger *zerolog.Logger) (*identities, error) {
	i := &identities{o: o.identity, listen: o.listen, tls: o.tls.wanted(), logger: logger}
	if err := i.o.check(); err != nil {
		return nil, err
	}
	i.prover.OverPlain = i.o.overPlain
	if slot := (&caSlot{state: o.state}); i.tls && (len(o.tls.names) > 0 || slot.exists()) {
		i.own = &identity.Authority{Name: "the gateway's own CA", Own: true, Roots: func() []*x509.Certificate { return nil }}
		i.cas = append(i.cas, i.own)
	}
	if err := i.authorities(); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	i.plan()
	for _, f := range i.files {
		if err := i.read(f); err != nil {
			return nil, &exitError{exitFailed, err}
		}
	}
	if err := i.use(); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return i, nil
}

// authorities reads what --client-ca says beside the files.
func (i *identities) authorities() error {
	for _, text := range i.o.clientCAs {
		parts := strings.Split(text, ",")
		a := &identity.Authority{Name: parts[0]}
		user := i.o.clientCAUser
		for _, p := range parts[1:] {
			key, value, _ := strings.Cut(p, "=")
			switch {
			case key == "user" && value != "":
				user = value
			case key == "names" && value != "":
				h, err := policy.ParseHost(strings.TrimPrefix(value, "."))
				if err != nil || h.IsAddr() {
					return fmt.Errorf("--client-ca %s: %q is no domain", text, value)
				}
				a.Domains = append(a.Domains, h.Name)
			default:
				return fmt.Errorf("--client-ca %s: behind the file can stand user=spiffe, user=email, user=cn and names=DOMAIN", text)
			}
		}
		var err error
		if a.User, err = identity.ParseNameKind(user); err != nil {
			return fmt.Errorf("--client-ca %s: %w", text, err)
		}
		i.cas = append(i.cas, a)
	}
	return nil
}

// meet has s find out who clients are, by certificates too where it speaks TLS.
// slot has the gateway's own CA. It is called before s serves anybody.
func (i *identities) meet(s *gateway.Server, slot *caSlot) error {
	if i.own != nil {
		ca, err := slot.get()
		if err != nil {
			return fmt.Errorf("the gateway's own CA, whose client certificates it takes: %w", err)
		}
		i.own.TrustDomain = ca.Settings().TrustDomain
		i.own.Roots = func() []*x509.Certificate {
			if ca := slot.opened(); ca != nil {
				return ca.Anchors(pki.Identity) // of a company, the issuer that was imported: its root has others
			}
			return nil
		}
		i.own.Between = func() (all []*x509.Certificate) {
			if ca := slot.opened(); ca != nil {
				for _, issuer := range ca.Issuers() {
					if issuer.Role == pki.Client {
						all = append(all, issuer.Chain...)
					}
				}
			}
			return all
		}
		i.own.Revoked = func(c *x509.Certificate) bool {
			ca := slot.opened()
			return ca == nil || ca.Revoked(c)
		}
		if err := i.use(); err != nil {
			return err
		}
	}
	if i.sources.Certificates != nil && s.TLS != nil {
		identity.Ask(s.TLS)
	}
	if i.sources.Passwords != nil || i.sources.Tokens != nil || i.sources.Certificates != nil {
		s.Identify = i.Identify
	}
	return nil
}

// missing is what it takes to find out something about clients; "": nothing.
func (i *identities) missing(f policy.Fact) string {
	credentials := i.o.htpasswd != "" || i.o.jwks != ""
	certs := len(i.cas) > 0
	const needsTLS = "certificates are shown in TLS, so give --tls-name or --tls-cert as well"
	switch f {
	case policy.FactTLS:
		if !i.tls {
			return "give --tls-name or --tls-cert"
		}
	case policy.FactCert:
		switch {
		case !certs:
			return "give --client-ca"
		case !i.tls:
			return needsTLS
		}
	case policy.FactUser:
		switch {
		case !credentials && !i.certsNameUsers():
			return "give --htpasswd, --jwks, or --client-ca with --client-ca-user"
		case !credentials && !i.tls:
			return needsTLS
		case !credentials:
			return ""
		}
		return i.clear()
	case policy.FactGroup:
		switch {
		case i.o.jwks != "":
			return i.clear()
		case i.o.groups == "":
			return "give --groups, or --jwks"
		}
		return i.missing(policy.FactUser)
	case policy.FactClaim:
		if i.o.jwks == "" {
			return "give --jwks"
		}
		return i.clear()
	}
	return ""
}

func (i *identities) certsNameUsers() bool {
	for _, a := range i.cas {
		if a.Own || a.User != identity.NoUser {
			return true
		}
	}
	return false
}

// clear is what is wrong with taking credentials where clients connect: in the
// clear they are taken on this machine only.
func (i *identities) clear() string {
	if i.tls || i.o.overPlain {
		return ""
	}
	for _, l := range i.listen {
		host, _, _ := net.SplitHostPort(l)
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			return fmt.Sprintf("%s takes clients of other machines in the clear, and passwords and tokens are not taken so: give --tls-name or --tls-cert, listen on 127.0.0.1, or give --auth-over-plain", l)
		}
	}
	return ""
}

// Identify implements gateway.Server's field of that name.
func (i *identities) Identify(r gateway.Request) (gateway.Identity, error) {
	p, err := i.prover.Prove(identity.Request{From: r.From, TLS: r.TLS, Fields: r.Fields})
	if err != nil {
		return gateway.Identity{Client: policy.Client{Addr: r.From.Addr()}}, unidentified(err)
	}
	return gateway.Identity{Client: p.Client, MayAsk: p.MayAsk, Challenges: p.Challenges, Instead: p.Instead, Still: p.Still}, nil
}

// unidentified is how the gateway refuses who was not proven.
func unidentified(err error) error {
	var r *identity.Refusal
	if !errors.As(err, &r) {
		return err
	}
	e := &gateway.Error{
		Status: http.StatusForbidden, Cause: "http_request_denied", Outcome: gateway.Denied,
		Msg: r.Msg, Err: errors.New(cmp.Or(r.Log, r.Msg)), Challenges: r.Challenges, RetryAfter: r.Wait,
	}
	switch r.Why {
	case identity.Malformed:
		e.Status, e.Cause, e.Outcome, e.NoReuse = http.StatusBadRequest, "http_request_error", gateway.Invalid, true
	case identity.Wrong:
		e.Status = http.StatusProxyAuthRequired
	case identity.Throttled:
		e.Status = http.StatusTooManyRequests
	case identity.Busy:
		e.Status = http.StatusServiceUnavailable
	}
	return e
}
