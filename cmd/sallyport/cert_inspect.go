// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/certs/inspect"
)

func certInspectCommand() *cobra.Command {
	var (
		l                  certLook
		asJSON, asPEM, all bool
	)
	cmd := &cobra.Command{
		Use:   "inspect FILE | HOST:PORT | listener | store:WHAT",
		Short: "Show certificates for people",
		Long: `Show the certificates of a file or of a host: whose they are, for what, until
when, and how they hang together. A file can be PEM, DER, PKCS #12, a certificate
request or a CRL, and what a private key in it belongs to is told; the key is not.
A host is asked by TLS, directly or through a gateway; nothing is sent to it, and
nothing is trusted of what it shows: cert verify judges. The pin is as the policy
file has it under pins.

listener is what the gateway that runs on the state directory shows its clients,
listener:NAME one of its certificates; store:SERIAL is a certificate that its CA
has issued, store:edge and store:identity are the roots, and store:server,
store:intercept, store:client and store:delegated the issuers.`,
		Example: `  sallyport cert inspect server.pem
  sallyport cert inspect bundle.p12 --password-file secret
  sallyport cert inspect www.example.com:443
  sallyport cert inspect www.example.com:443 --proxy http://127.0.0.1:3128
  sallyport cert inspect 192.0.2.7:443 --servername www.example.com --pem > chain.pem`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: targetNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := l.look(commandContext(cmd), args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asPEM {
				err = printPEM(out, t)
			} else if d := describe(t, time.Now()); asJSON {
				err = printSafeJSON(out, d)
			} else {
				var b strings.Builder
				d.print(&b, all)
				_, err = io.WriteString(out, b.String())
			}
			if err == nil {
				err = leftOut(cmd.ErrOrStderr(), t)
			}
			return err
		},
	}
	l.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	cmd.Flags().BoolVar(&asPEM, "pem", false, "print the certificates themselves")
	cmd.Flags().BoolVar(&all, "all", false, "show everything of a file with many certificates, too")
	cmd.MarkFlagsMutuallyExclusive("json", "pem")
	return cmd
}

// leftOut tells of what was damaged, and makes that a failure: the rest of a
// bundle that is cut off would look whole.
func leftOut(w io.Writer, t *certTarget) error {
	if t.File == nil || len(t.File.Damaged) == 0 {
		return nil
	}
	for _, d := range t.File.Damaged[:min(10, len(t.File.Damaged))] {
		fmt.Fprintf(w, "sallyport: %s: %s\n", line(t.Name), line(d))
	}
	if n := len(t.File.Damaged) - 10; n > 0 {
		fmt.Fprintf(w, "sallyport: %s: %d more of this kind\n", line(t.Name), n)
	}
	return &exitError{code: exitFailed}
}

func printPEM(w io.Writer, t *certTarget) error {
	if len(t.chain()) == 0 {
		return &exitError{exitFailed, fmt.Errorf("%s: there is no certificate in it", line(t.Name))}
	}
	for _, c := range t.chain() {
		if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return err
		}
	}
	return nil
}

// described is what cert inspect prints; its JSON is in docs/certificates.md.
type described struct {
	Target       string                 `json:"target"`
	Form         string                 `json:"form"` // "PEM", "DER", "PKCS #12", "TLS"
	TLS          *describedTLS          `json:"tls,omitempty"`
	Certificates []describedCertificate `json:"certificates"`
	Keys         []describedKey         `json:"keys,omitempty"`
	Requests     []inspect.Request      `json:"requests,omitempty"`
	Lists        []inspect.List         `json:"crls,omitempty"`

	now time.Time
}

type describedTLS struct {
	*inspect.Handshake
	Staple *inspect.Staple `json:"staple,omitempty"`
}

type describedCertificate struct {
	inspect.Certificate
	IssuedBy *int `json:"issued_by,omitempty"` // place of the issuer among the certificates, from 0
}

// A describedKey is a private key, of which only what it belongs to is told.
type describedKey struct {
	Kind        string `json:"kind"`
	Certificate *int   `json:"certificate,omitempty"` // from 0
}

func describe(t *certTarget, now time.Time) *described {
	d := &described{Target: t.Name, Form: "TLS", Certificates: []describedCertificate{}, now: now}
	chain := t.chain()
	for i, up := range inspect.Issuers(chain) {
		c := describedCertificate{Certificate: inspect.Describe(chain[i], now)}
		if up >= 0 {
			c.IssuedBy = &up
		}
		d.Certificates = append(d.Certificates, c)
	}
	if t.Hello != nil {
		d.TLS = &describedTLS{Handshake: t.Hello}
		if t.Hello.Stapled {
			s := inspect.DescribeStaple(t.Hello.Staple, chain, now)
			d.TLS.Staple = &s
		}
		return d
	}
	d.Form = t.File.Form
	for _, r := range t.File.Requests {
		d.Requests = append(d.Requests, inspect.DescribeRequest(r))
	}
	for _, l := range t.File.Lists {
		d.Lists = append(d.Lists, inspect.DescribeList(l, now))
	}
	for _, k := range t.File.Keys {
		p := describedKey{Kind: k.Kind}
		if i := k.Belongs(chain); i >= 0 {
			p.Certificate = &i
		}
		d.Keys = append(d.Keys, p)
	}
	return d
}
