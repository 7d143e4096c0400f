// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"strings"

	"sallyport/certs/inspect"
)

// fewCertificates is how many are shown whole unless all are asked for.
const fewCertificates = 10

// print writes d for people.
func (d *described) print(b *strings.Builder, all bool) {
	if d.TLS != nil {
		d.TLS.print(b)
	}
	if n := len(d.Certificates); n > fewCertificates && !all {
		fmt.Fprintf(b, "%d certificates; --all shows each of them whole\n", n)
		for i := range d.Certificates {
			c := &d.Certificates[i]
			fmt.Fprintf(b, "  %5d  %-20s  %s\n", i+1, timeLeft(&c.Certificate, d.now), line(c.Name()))
		}
	} else {
		for i := range d.Certificates {
			d.certificate(b, i)
		}
	}
	for _, k := range d.Keys {
		k.print(b, d)
	}
	for i := range d.Requests {
		printRequest(b, &d.Requests[i])
	}
	for i := range d.Lists {
		printList(b, &d.Lists[i], all)
	}
	d.tree(b, all)
}

// field writes a line of a description unless there is nothing in it.
func field(b *strings.Builder, name string, values ...string) {
	if s := strings.Join(values, ", "); s != "" {
		fmt.Fprintf(b, "  %-12s %s\n", name, line(s))
	}
}

func (d *described) certificate(b *strings.Builder, i int) {
	c := &d.Certificates[i]
	what := "certificate"
	if c.CA {
		what = "authority"
	}
	fmt.Fprintf(b, "%s %d of %d: %s\n", what, i+1, len(d.Certificates), line(c.Name()))
	field(b, "subject", cmp.Or(c.Subject, "(none)"))
	field(b, "names", c.Names()...)
	field(b, "spiffe", c.SPIFFE)
	issuer := c.Issuer
	if c.SelfIssued {
		issuer += " (itself)"
	}
	field(b, "issuer", issuer)
	field(b, "valid", fmt.Sprintf("%s to %s: %s", c.NotBefore.Format(certTime), c.NotAfter.Format(certTime), timeLeft(&c.Certificate, d.now)))
	field(b, "key", c.Key)
	field(b, "signed with", c.Signature)
	field(b, "usage", c.KeyUsages...)
	switch {
	case len(c.Usages) > 0:
		field(b, "for", c.Usages...)
	case !c.CA:
		field(b, "for", "anything (it does not say)")
	}
	if c.CA {
		limit := "further authorities of any number below it"
		if c.PathLength != nil {
			limit = fmt.Sprintf("at most %s below it", count(*c.PathLength, "further authority", "further authorities"))
		}
		field(b, "authority", limit)
	}
	field(b, "only for", c.Permitted...)
	field(b, "not for", c.Excluded...)
	field(b, "critical", c.Critical...)
	if c.MustStaple {
		field(b, "must staple", "its server has to send an OCSP response")
	}
	field(b, "crl", c.CRLs...)
	field(b, "ocsp", c.OCSP...)
	field(b, "issuer at", c.Issuers...)
	if c.SCTs > 0 {
		field(b, "scts", fmt.Sprint(c.SCTs))
	}
	field(b, "serial", c.Serial)
	field(b, "sha-256", c.SHA256)
	field(b, "pin", c.Pin)
}

func (t *describedTLS) print(b *strings.Builder) {
	fmt.Fprintf(b, "TLS with %s\n", line(t.Address))
	if t.Proxy != "" {
		field(b, "through", t.Proxy)
	} else {
		field(b, "connected to", t.Peer)
	}
	field(b, "asked for", t.ServerName)
	version := t.Version
	switch version {
	case "TLS 1.0", "TLS 1.1":
		version += " (too old: the gateway wants 1.2 or 1.3)"
	}
	field(b, "version", version)
	field(b, "cipher", t.Cipher)
	field(b, "group", t.Group)
	field(b, "alpn", cmp.Or(t.ALPN, "none"))
	if s := t.Staple; s != nil {
		field(b, "staple", s.Text())
	} else {
		field(b, "staple", "none")
	}
	if t.SCTs > 0 {
		field(b, "scts", fmt.Sprintf("%d beside the certificate", t.SCTs))
	}
	if t.AsksClient {
		field(b, "asks for", "a client certificate")
		field(b, "issued by", strings.Join(t.ClientCAs, "; "))
	}
	field(b, "broken off", t.Broken)
}

func (k *describedKey) print(b *strings.Builder, d *described) {
	switch {
	case k.Certificate != nil:
		fmt.Fprintf(b, "private key: %s, of certificate %d\n", line(k.Kind), *k.Certificate+1)
	case len(d.Certificates) > 0 && strings.ContainsRune(k.Kind, ' '):
		fmt.Fprintf(b, "private key: %s, of no certificate here\n", line(k.Kind))
	default:
		fmt.Fprintf(b, "private key: %s\n", line(k.Kind))
	}
}

func printRequest(b *strings.Builder, r *inspect.Request) {
	fmt.Fprintf(b, "request: %s\n", line(cmp.Or(r.Subject, "(no subject)")))
	names := append(append(append(append([]string{}, r.DNS...), r.IPs...), r.Emails...), r.URIs...)
	field(b, "names", names...)
	field(b, "key", r.Key)
	signed := r.Signature + ", by that key"
	if !r.Signed {
		signed = r.Signature + ", NOT by that key: whoever made it may not have the key"
	}
	field(b, "signed with", signed)
}

func printList(b *strings.Builder, l *inspect.List, all bool) {
	fmt.Fprintf(b, "CRL of %s\n", line(l.Issuer))
	field(b, "number", l.Number)
	until := "no end is given"
	if !l.NextUpdate.IsZero() {
		until = l.NextUpdate.Format(certTime)
	}
	if !l.Current {
		until += ": NOT CURRENT"
	}
	field(b, "valid", fmt.Sprintf("%s to %s", l.ThisUpdate.Format(certTime), until))
	field(b, "signed with", l.Signature)
	field(b, "revoked", count(l.Count, "certificate", "certificates"))
	few := fewCertificates
	if all {
		few = len(l.Revoked)
	}
	for _, r := range l.Revoked[:min(few, len(l.Revoked))] {
		fmt.Fprintf(b, "    %s  %s  %s\n", r.Time.Format(certTime), r.Serial, r.Reason)
	}
	if n := l.Count - min(few, len(l.Revoked)); n > 0 {
		fmt.Fprintf(b, "    (%d more)\n", n)
	}
}

// maxTree is how many certificates are shown as a tree.
const maxTree = 100

// tree shows who issued whom, when somebody did.
func (d *described) tree(b *strings.Builder, all bool) {
	below := make([][]int, len(d.Certificates))
	var tops []int
	for i := range d.Certificates {
		if up := d.Certificates[i].IssuedBy; up != nil {
			below[*up] = append(below[*up], i)
		} else {
			tops = append(tops, i)
		}
	}
	if len(tops) == len(d.Certificates) && (len(tops) != 1 || d.Certificates[0].SelfIssued) || len(d.Certificates) > fewCertificates && (!all || len(d.Certificates) > maxTree) {
		return
	}
	fmt.Fprintln(b, "chain")
	var walk func(i int, indent string)
	walk = func(i int, indent string) {
		c := &d.Certificates[i]
		fmt.Fprintf(b, "%s%s  (%s)\n", indent, line(c.Name()), timeLeft(&c.Certificate, d.now))
		for _, j := range below[i] {
			walk(j, indent+"  ")
		}
	}
	for _, i := range tops {
		c := &d.Certificates[i]
		indent := "  "
		if !c.SelfIssued {
			fmt.Fprintf(b, "%s%s  (not here)\n", indent, line(cmp.Or(c.Issuer, "an issuer without a name")))
			indent += "  "
		}
		walk(i, indent)
	}
}
