// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

// A caCRL is the revocation list of one generation of an issuer.
type caCRL struct {
	Role       string    `json:"role"`
	Generation int       `json:"generation"`
	Current    bool      `json:"current"`
	KeyID      string    `json:"key_id"`
	Number     string    `json:"number"`
	Issued     time.Time `json:"issued"`
	Until      time.Time `json:"until"` // when there is a newer one at the latest
	Revoked    int       `json:"revoked"`
	DER        []byte    `json:"der"`
}

// caCRLs answers with the lists of all issuers whose certificates can be
// revoked.
func (a *admin) caCRLs(*adminCall) (any, error) {
	ca, err := a.ca.get()
	if err != nil {
		return nil, err
	}
	out := []caCRL{}
	for _, i := range ca.Issuers() {
		if i.Role != pki.Server && i.Role != pki.Client && !i.Imported {
			continue // what is minted lives for days at most and is not on record
		}
		id := hex.EncodeToString(i.Chain[0].SubjectKeyId)
		der, err := ca.CRL(id)
		if err != nil {
			return nil, err
		}
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		out = append(out, caCRL{
			Role: i.Role.String(), Generation: i.Generation, Current: i.Current, KeyID: id, Number: l.Number.String(),
			Issued: l.ThisUpdate, Until: l.NextUpdate, Revoked: len(l.RevokedCertificateEntries), DER: der,
		})
	}
	return out, nil
}

func caCRLCommand() *cobra.Command {
	var f caFlags
	var role, out string
	var generation int
	var der bool
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "Write the revocation lists",
		Long: `Write the revocation lists (CRLs) of the issuers, each of which is signed anew
when something was revoked since: as PEM, all generations behind each other, or
with --der the one list of --role. Lists are good for a day. A gateway with TLS
serves them too, at the URL that certificates name.`,
		Example: `  sallyport ca crl > crls.pem
  sallyport ca crl --role client --der --out client.crl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role != "" {
				if _, err := pki.ParseRole(role); err != nil {
					return &exitError{exitUsage, fmt.Errorf("--role: %w", err)}
				}
			}
			if der && role == "" {
				return &exitError{exitUsage, errors.New("--der writes one list: name its --role")}
			}
			var all []caCRL
			if err := f.ask(cmd, "GET", "/v1/ca/crl", nil, &all); err != nil {
				return err
			}
			lists := []caCRL{}
			for _, l := range all {
				if role != "" && l.Role != role || generation != 0 && l.Generation != generation || der && generation == 0 && !l.Current {
					continue
				}
				lists = append(lists, l)
			}
			if len(lists) == 0 {
				return &exitError{exitNegative, errors.New("no issuer of this role and generation has a revocation list; sallyport ca status shows the issuers")}
			}
			return writeCRLs(cmd, &f, lists, der, out)
		},
	}
	f.add(cmd)
	s := cmd.Flags()
	s.StringVar(&role, "role", "", "only the lists of this `role`")
	s.IntVar(&generation, "generation", 0, "only that of the issuer of this `number` (default: all; with --der the current one)")
	s.BoolVar(&der, "der", false, "write DER instead of PEM")
	s.StringVar(&out, "out", "", "write to this `file`, which is replaced (default: stdout)")
	complete(cmd, "role", roleNames()...)
	return cmd
}

func writeCRLs(cmd *cobra.Command, f *caFlags, lists []caCRL, der bool, out string) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), lists)
	}
	var b strings.Builder
	for _, l := range lists {
		if der {
			b.Write(l.DER)
			continue
		}
		fmt.Fprintf(&b, "# %s issuer, generation %d: %d revoked, list %s, good until %s\n%s", l.Role, l.Generation, l.Revoked, l.Number,
			l.Until.Format(time.RFC3339), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.DER}))
	}
	if out == "" {
		_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
		return err
	}
	files := &bundle{force: true} // the newest list takes the place of the one before
	defer files.discard()
	files.add(out, []byte(b.String()), 0o644)
	if err := files.publish(); err != nil {
		return &exitError{exitFailed, err}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, the newest is good until %s\n", out, count(len(lists), "revocation list", "revocation lists"), lists[len(lists)-1].Until.Local().Format(time.DateTime))
	return err
}
