// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/certs"
	"sallyport/certs/inspect"
)

func certImportCommand() *cobra.Command {
	var (
		l           certLook
		state, name string
		force       bool
	)
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Put a client certificate for origins where policies find it",
		Long: `Put a certificate that the gateway shows origins, with its key and what lies
between it and its root, into the state directory, where client_cert: {secret:
NAME} finds it. The files are PEM or PKCS #12; together they hold one private key
and its certificate. A gateway whose policy names the secret loads it at once.`,
		Example: `  sallyport cert import bank.p12 --password-file secret
  sallyport cert import client.crt client.key --name bank
  sallyport cert import renewed.pem --name bank --force`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
			}
			if err := secretName(name); err != nil {
				return &exitError{exitUsage, err}
			}
			if state == "" {
				return &exitError{exitUsage, errors.New("there is no state directory; give one with --state")}
			}
			p, err := l.pair(commandContext(cmd), args)
			if err != nil {
				return err
			}
			if err := p.usable(time.Now()); err != nil {
				return &exitError{exitFailed, fmt.Errorf("%s: %w", line(args[0]), err)}
			}
			file, err := p.store(state, name, force)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			d := inspect.Describe(p.chain[0], time.Now())
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, until %s: %s\nin the policy: client_cert: {secret: %s}\n",
				line(file), line(d.Name()), d.NotAfter.Format(certTime), timeLeft(&d, time.Now()), name)
			return err
		},
	}
	stateFlag(cmd, &state)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "name of the secret (default: the first file's)")
	f.StringVar(&l.password, "password-file", "", "file with the password of a PKCS #12 file")
	f.BoolVar(&force, "force", false, "replace the secret of that name")
	l.timeout = 30 * time.Second
	return cmd
}

// secretName refuses what a policy cannot name.
func secretName(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-_.", r)
	}) >= 0
	if name == "" || bad || name[0] == '.' || len(name) > 200 {
		return fmt.Errorf("%s is no name for a secret: letters, digits, - _ and . are, not at the beginning: give one with --name", line(fmt.Sprintf("%q", name)))
	}
	return nil
}

// A certPair is a client certificate, what lies between it and its root, and its key.
type certPair struct {
	chain []*x509.Certificate
	key   inspect.Key
}

// pair reads files that together hold one key and its certificate.
func (l *certLook) pair(ctx context.Context, files []string) (*certPair, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	var all inspect.Contents
	for _, f := range files {
		data, err := readAnyFile(f)
		if err != nil {
			return nil, &exitError{exitFailed, fmt.Errorf("%s %w", line(f), err)}
		}
		c, err := l.read(ctx, f, data)
		clear(data)
		if err != nil {
			return nil, err
		}
		if len(c.Damaged) > 0 {
			return nil, &exitError{exitFailed, fmt.Errorf("%s: %s", line(f), line(c.Damaged[0]))}
		}
		all.Certificates = append(all.Certificates, c.Certificates...)
		all.Keys = append(all.Keys, c.Keys...)
	}
	names := line(strings.Join(files, ", "))
	fail := func(format string, args ...any) error {
		return &exitError{exitFailed, fmt.Errorf(names+": "+format, args...)}
	}
	switch n := len(all.Keys); {
	case n == 0:
		return nil, fail("there is no private key in it: name its file as well")
	case n > 1:
		return nil, fail("there are %d private keys in it: leave the one of the certificate", n)
	case all.Keys[0].Private == nil:
		return nil, fail("the private key is %s: decrypt it with openssl pkey -in FILE -out NEW", all.Keys[0].Kind)
	case len(all.Certificates) == 0:
		return nil, fail("there is no certificate in it")
	}
	i := all.Keys[0].Belongs(all.Certificates)
	if i < 0 {
		return nil, fail("the private key is of none of its certificates")
	}
	return &certPair{issuersOfLeaf(all.Certificates, i), all.Keys[0]}, nil
}

// issuersOfLeaf is the way up from one of certs; others are left out, and so is
// a root, which nobody needs to be shown.
func issuersOfLeaf(all []*x509.Certificate, i int) (chain []*x509.Certificate) {
	up := inspect.Issuers(all)
	for ; i >= 0 && !slices.ContainsFunc(chain, all[i].Equal); i = up[i] {
		if len(chain) > 0 && bytes.Equal(all[i].RawSubject, all[i].RawIssuer) {
			break
		}
		chain = append(chain, all[i])
	}
	return chain
}

// usable refuses a certificate that no origin would take.
func (p *certPair) usable(now time.Time) error {
	c := p.chain[0]
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate expired on %s: renew it", c.NotAfter.UTC().Format(certTime))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is not valid before %s", c.NotBefore.UTC().Format(certTime))
	}
	usages := certs.Usages(c)
	if len(usages) > 0 && !slices.Contains(usages, certs.UsageName(x509.ExtKeyUsageClientAuth)) && !slices.Contains(usages, certs.UsageName(x509.ExtKeyUsageAny)) {
		return fmt.Errorf("the certificate is for %s only, and origins want clientAuth: ask its issuer for one", line(strings.Join(usages, ", ")))
	}
	return nil
}

// store writes the pair as the secret of that name, whole or not at all, for
// the owner of the state directory.
func (p *certPair) store(state, name string, force bool) (string, error) {
	var text bytes.Buffer
	for _, c := range p.chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	der, err := x509.MarshalPKCS8PrivateKey(p.key.Private)
	if err != nil {
		return "", errors.New("the private key is of a kind that cannot be written")
	}
	_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	clear(der)
	defer clear(text.Bytes())
	file := filepath.Join(state, "secrets", name+".pem")
	fail := func(err error) (string, error) { return "", fmt.Errorf("storing %s: %w", line(file), err) }
	if err := os.MkdirAll(state, 0o700); err != nil {
		return fail(err)
	}
	home, err := os.OpenRoot(state) // whoever owns it leads root nowhere
	if err != nil {
		return fail(err)
	}
	defer home.Close()
	own := stamp{0o600, -1, -1}
	if info, err := home.Stat("."); err == nil {
		own.uid, own.gid = owner(info)
	}
	switch err := home.Mkdir("secrets", 0o700); {
	case err == nil && own.uid >= 0 && own.uid != os.Geteuid():
		if err := home.Lchown("secrets", own.uid, own.gid); err != nil {
			return fail(err)
		}
	case err != nil && !errors.Is(err, fs.ErrExist):
		return fail(err)
	}
	dir, err := home.OpenRoot("secrets")
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	info, err := dir.Lstat(name + ".pem")
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fail(errors.New("there is something of that name that is not a file"))
	case err == nil && !force:
		return fail(errors.New("there is one of that name already: --force replaces it, --name gives another name"))
	}
	if err := replaceIn(dir, name+".pem", text.Bytes(), own); err != nil {
		return fail(err)
	}
	return file, nil
}
