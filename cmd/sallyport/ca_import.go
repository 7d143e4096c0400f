// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

func caImportCommand() *cobra.Command {
	var f caFlags
	var role, cert, root, key, passphrase string
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Use a company's own subordinate CA as an issuer",
		Long: `Put a company's own subordinate CA in the place of an issuer that was made here,
so that clients that trust the company's root trust what it signs. --cert has
its certificate, those above it in order, and the root at the end, which can
also be given as --root. --key is PEM, also encrypted, with the passphrase in
--key-passphrase-file. It is sealed like all keys of the CA: destroy the file
afterwards.`,
		Example: `  sallyport ca import --role intercept --cert intercept-ca.pem --key intercept-ca.key
  sallyport ca import --role client --cert issuing.pem --root corp-root.pem --key issuing.key --key-passphrase-file pass`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in := caImport{Role: role}
			for _, name := range []string{cert, root} {
				if name == "" {
					continue
				}
				b, err := readInput(cmd, name)
				if err != nil {
					return &exitError{exitFailed, err}
				}
				if chain, err := parseChain(b); err != nil || len(chain) == 0 {
					return &exitError{exitFailed, fmt.Errorf("%s has no certificates in PEM that can be read", name)}
				}
				in.Chain += string(b) + "\n"
			}
			var err error
			if in.Key, err = readKey(key, passphrase); err != nil {
				return &exitError{exitFailed, err}
			}
			defer clear(in.Key)
			var out []caIssuer
			if err := f.ask(cmd, "POST", "/v1/ca/import", in, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			w := cmd.OutOrStdout()
			if err := printCurrent(w, out, "was imported and signs from now on"); err != nil {
				return err
			}
			_, err = fmt.Fprintf(w, "next: destroy %s, the key is sealed in the CA; sallyport ca root%s has the company's root too\n", shellWord(key), f.shown())
			return err
		},
	}
	f.add(cmd)
	s := cmd.Flags()
	s.StringVar(&role, "role", "", "`role` of the issuer: "+strings.Join(roleNames(), ", "))
	s.StringVar(&cert, "cert", "", "`file` with its certificate and those above it")
	s.StringVar(&root, "root", "", "`file` with the root, unless it is in --cert")
	s.StringVar(&key, "key", "", "`file` with its private key")
	s.StringVar(&passphrase, "key-passphrase-file", "", "`file` with the passphrase of the key")
	for _, name := range []string{"role", "cert", "key"} {
		_ = cmd.MarkFlagRequired(name)
	}
	complete(cmd, "role", roleNames()...)
	return cmd
}

// readKey reads a private key as PKCS#8.
func readKey(path, passphraseFile string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	var passphrase []byte
	if passphraseFile != "" {
		b, err := os.ReadFile(passphraseFile)
		if err != nil {
			return nil, err
		}
		defer clear(b)
		passphrase = []byte(strings.TrimRight(string(b), "\r\n"))
	}
	key, err := pki.ParseKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}
