// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// An Authority is a CA whose certificates prove who clients are. It proves names
// of its own name space only, so that nobody's CA can vouch for somebody else's
// users.
type Authority struct {
	Name  string                     // for messages
	Roots func() []*x509.Certificate // called often, from many goroutines; those trusted now

	// Between are its issuers below the roots: clients that leave them away are met
	// all the same. nil: there are none.
	Between func() []*x509.Certificate

	// Revoked reports whether a certificate that verified is not to be believed any
	// more; nil: none is.
	Revoked func(*x509.Certificate) bool

	// Own marks the CA of the gateway itself. Its name space is TrustDomain, in which
	// spiffe://TrustDomain/user/NAME is the user NAME.
	Own         bool
	TrustDomain string

	// Of another CA: which of a certificate's names is the user, and the domains that
	// its URIs, email addresses and DNS names have to be in. Without Domains it may
	// have any but those of other authorities.
	User    NameKind
	Domains []string
}

// A NameKind says which name in a certificate is the user's.
type NameKind uint8

const (
	NoUser       NameKind = iota // none: it only has names
	BySPIFFE                     // the SPIFFE ID, whole: spiffe://corp.example/user/alice
	ByEmail                      // the email address
	ByCommonName                 // the subject's common name: it shares its name space with the passwords
)

// ParseNameKind reads spiffe, email or cn; "" is no user.
func ParseNameKind(s string) (NameKind, error) {
	switch s {
	case "":
		return NoUser, nil
	case "spiffe":
		return BySPIFFE, nil
	case "email":
		return ByEmail, nil
	case "cn":
		return ByCommonName, nil
	}
	return NoUser, fmt.Errorf("%q is not one of spiffe, email and cn", s)
}

// A certificate proves so much.
type certProof struct {
	user  string   // "": none
	names []string // URIs, email addresses and DNS names, sorted
}

// A certError is why a certificate proves nothing. Its text goes to the client.
type certError struct{ text string }

func (e *certError) Error() string { return e.text }

// prove reads the names of a leaf that a signed. Every one of them has to be in
// its name space: one that is not says that the CA cannot be believed about its
// names, so the certificate proves nothing at all.
func (a *Authority) prove(leaf *x509.Certificate, others []*Authority) (p certProof, err error) {
	for _, u := range leaf.URIs {
		if u.User != nil || u.Fragment != "" || u.Host == "" {
			return p, &certError{fmt.Sprintf("the certificate has the URI %q, which is no name", clip(u.String()))}
		}
		if err := a.owns(u.Hostname(), u.String(), others); err != nil {
			return p, err
		}
		p.names = append(p.names, lowerHost(u).String())
	}
	for _, m := range leaf.EmailAddresses {
		i := strings.LastIndexByte(m, '@')
		if i <= 0 {
			return p, &certError{fmt.Sprintf("the certificate has the email address %q, which is none", clip(m))}
		}
		if err := a.owns(m[i+1:], m, others); err != nil {
			return p, err
		}
		p.names = append(p.names, lowerDomain(m))
	}
	for _, d := range leaf.DNSNames {
		if err := a.owns(d, d, others); err != nil {
			return p, err
		}
		p.names = append(p.names, strings.ToLower(d))
	}
	if slices.ContainsFunc(p.names, func(s string) bool { return len(s) > maxName || hasControl(s) }) {
		return p, &certError{"the certificate has a name that cannot be used"}
	}
	slices.Sort(p.names)
	p.names = slices.Compact(p.names)
	p.user, err = a.user(leaf)
	return p, err
}

// owns refuses a name that a cannot vouch for: one outside its domains, or in
// the trust domain of the gateway's own CA.
func (a *Authority) owns(domain, name string, others []*Authority) error {
	if a.Own {
		return nil // it gives names to whom it knows
	}
	refused := func(why string) error {
		return &certError{fmt.Sprintf("the certificate has the name %q, which %s %s", clip(name), a.Name, why)}
	}
	if domain == "" {
		return refused("cannot vouch for")
	}
	for _, o := range others {
		if o.Own && within(domain, o.TrustDomain) {
			return refused("cannot vouch for: it is in the trust domain of the gateway's own CA")
		}
	}
	if len(a.Domains) > 0 && !slices.ContainsFunc(a.Domains, func(d string) bool { return within(domain, d) }) {
		return refused("was not given: it may vouch for " + strings.Join(a.Domains, ", ") + " and below")
	}
	return nil
}

// within reports whether a domain is another or below it, whatever the case.
func within(domain, of string) bool {
	domain, of = strings.ToLower(strings.TrimSuffix(domain, ".")), strings.ToLower(of)
	return domain == of || strings.HasSuffix(domain, "."+of)
}

// user is whom the leaf names. A certificate without such a name names none;
// with several, nobody can say which.
func (a *Authority) user(leaf *x509.Certificate) (string, error) {
	var found []string
	kind := a.User
	if a.Own {
		kind = BySPIFFE
	}
	switch kind {
	case BySPIFFE:
		for _, u := range leaf.URIs {
			if u.Scheme == "spiffe" {
				found = append(found, a.spiffe(lowerHost(u))...)
			}
		}
	case ByEmail:
		for _, m := range leaf.EmailAddresses {
			found = append(found, lowerDomain(m))
		}
	case ByCommonName:
		if cn := leaf.Subject.CommonName; cn != "" {
			found = []string{cn}
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		if kind == BySPIFFE && !a.Own {
			return found[0], nil // a URI has a colon, and can be no other user's name
		}
		user, err := UserName(found[0])
		if err != nil {
			return "", &certError{"the certificate names a user by a name that no user has"}
		}
		return user, nil
	}
	return "", &certError{"the certificate names more than one user"}
}

// spiffe is the user that a SPIFFE ID names. The gateway's own CA makes
// spiffe://TRUSTDOMAIN/user/NAME; other IDs of it, as of devices, are no user.
func (a *Authority) spiffe(u *url.URL) []string {
	if !a.Own {
		return []string{u.String()}
	}
	name, ok := strings.CutPrefix(u.Path, "/user/")
	if !ok || !strings.EqualFold(u.Host, a.TrustDomain) || strings.Contains(name, "/") {
		return nil
	}
	return []string{name}
}

// lowerHost and lowerDomain bring a name to the one spelling that rules are
// compared with: domains have no case.
func lowerHost(u *url.URL) *url.URL {
	l := *u
	l.Host = strings.ToLower(u.Host)
	return &l
}

func lowerDomain(address string) string {
	i := strings.LastIndexByte(address, '@') + 1
	return address[:i] + strings.ToLower(address[i:])
}

// consistent refuses authorities that could claim each other's users.
func consistent(all []*Authority) error {
	var open, plain *Authority
	for _, a := range all {
		if a.Own {
			continue
		}
		if len(a.Domains) == 0 {
			if open != nil {
				return fmt.Errorf("%s and %s could each vouch for the other's names: say which domains are whose", open.Name, a.Name)
			}
			open = a
		}
		if a.User == ByCommonName {
			if plain != nil {
				return fmt.Errorf("%s and %s both name users by common names, which have no domain: only one can", plain.Name, a.Name)
			}
			plain = a
		}
		for _, b := range all {
			if b == a || b.Own {
				continue
			}
			for _, d := range a.Domains {
				if slices.ContainsFunc(b.Domains, func(o string) bool { return within(d, o) }) {
					return fmt.Errorf("%s and %s could each vouch for names in %s", a.Name, b.Name, d)
				}
			}
		}
	}
	if open != nil && len(all) > 1 && slices.ContainsFunc(all, func(a *Authority) bool { return !a.Own && a != open }) {
		return errors.New(open.Name + " could vouch for the names of the other client CAs: say which domains are its own")
	}
	return nil
}

// clip is the beginning of s.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
