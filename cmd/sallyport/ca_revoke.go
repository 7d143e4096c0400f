// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

func caRevokeCommand() *cobra.Command {
	var f caFlags
	var reason string
	var names []string
	for _, r := range reasons {
		names = append(names, r.name)
	}
	cmd := &cobra.Command{
		Use:   "revoke SERIAL|FILE",
		Short: "Declare a certificate void",
		Long: `Declare a certificate void, by its serial number in hexadecimal or by its file.
A running gateway refuses it from the next handshake on; others learn of it by
CRL and OCSP. It cannot be taken back. Exit code 5: the CA has not issued it, or
it is revoked already. Reasons: ` + strings.Join(names, ", ") + `.`,
		Example: `  sallyport ca revoke alice.crt --reason keyCompromise
  sallyport ca revoke 0f3a5c...`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseReason(reason)
			if err != nil {
				return err
			}
			serial, err := serialOf(args[0])
			if err != nil {
				return err
			}
			var out caIssued
			if err := f.ask(cmd, "POST", "/v1/ca/revoke", caRevoke{serial, n}, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "revoked %s of %s, issued %s: %s\n", out.Serial, visible(cmp.Or(out.Subject, strings.Join(out.Names, ", "))), out.Issued.Local().Format(time.DateTime), out.Reason)
			fmt.Fprintf(w, "next: whoever does not ask the gateway needs the new list: sallyport ca crl%s\n", f.shown())
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return f.serials(cmd, word), cobra.ShellCompDirectiveDefault // files as well
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "unspecified", "`why`")
	complete(cmd, "reason", names...)
	return cmd
}

// serials completes the serial number of a certificate that is valid.
func (f *caFlags) serials(cmd *cobra.Command, word string) []string {
	var all []caIssued
	if f.ask(cmd, "GET", "/v1/ca/records?prefix="+url.QueryEscape(word), nil, &all) != nil {
		return nil
	}
	var out []string
	for _, r := range all {
		out = append(out, r.Serial+"\t"+visible(cmp.Or(r.Subject, strings.Join(r.Names, ", "))))
	}
	return out
}

// serialOf is the serial number that an argument means: of the certificate in
// the file of that name, or else itself.
func serialOf(arg string) (string, error) {
	f, err := os.Open(arg)
	if errors.Is(err, fs.ErrNotExist) {
		n, err := pki.ParseSerial(arg)
		if err != nil {
			return "", &exitError{exitUsage, fmt.Errorf("%w, or the file of a certificate", err)}
		}
		return pki.SerialText(n), nil
	}
	if err != nil {
		return "", &exitError{exitFailed, err}
	}
	defer f.Close()
	b, err := readSmall(f)
	if err != nil {
		return "", &exitError{exitFailed, fmt.Errorf("reading %s: %w", arg, err)}
	}
	if chain, err := parseChain(b); err == nil && len(chain) > 0 {
		return pki.SerialText(chain[0].SerialNumber), nil
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		return "", &exitError{exitFailed, fmt.Errorf("%s has no certificate, neither in PEM nor in DER", arg)}
	}
	return pki.SerialText(c.SerialNumber), nil
}
