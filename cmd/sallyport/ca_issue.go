// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"software.sslmate.com/src/go-pkcs12"
)

// An issueFlags is what a certificate is to say.
type issueFlags struct {
	caFlags
	user, device, server, email string
	dns, ips                    []string
	life, out                   string
	force, p12                  bool
	p12Password                 string
}

func (f *issueFlags) add(cmd *cobra.Command) {
	f.caFlags.add(cmd)
	s := cmd.Flags()
	s.StringVar(&f.user, "user", "", "certificate of the user of this `name`")
	s.StringVar(&f.device, "device", "", "certificate of the device of this `name`")
	s.StringVar(&f.server, "server", "", "certificate of the server of this `name`, a DNS name or an address")
	s.StringSliceVar(&f.dns, "dns", nil, "with --server: one more DNS `name`; repeat for several")
	s.StringSliceVar(&f.ips, "ip", nil, "with --server: one more `address`; repeat for several")
	s.StringVar(&f.email, "email", "", "with --user: its email `address`")
	s.StringVar(&f.life, "life", "", "how long it is good for, as `90d` or 36h (default 90d)")
	s.BoolVar(&f.force, "force", false, "replace files that are there")
	cmd.MarkFlagsOneRequired("user", "device", "server")
	cmd.MarkFlagsMutuallyExclusive("user", "device", "server")
}

// request is what the CA is asked for, but for the signing request.
func (f *issueFlags) request(source string) (caIssue, error) {
	in := caIssue{Source: source, User: f.user, Device: f.device, Email: f.email}
	usage := func(format string, a ...any) (caIssue, error) {
		return caIssue{}, &exitError{exitUsage, fmt.Errorf(format, a...)}
	}
	if f.server == "" && len(f.dns)+len(f.ips) > 0 {
		return usage("--dns and --ip go with --server: certificates of users and devices name no host")
	}
	if f.user == "" && f.email != "" {
		return usage("--email goes with --user")
	}
	if f.server != "" {
		if ip, err := netip.ParseAddr(f.server); err == nil {
			in.IP = append(in.IP, ip)
		} else {
			in.DNS = append(in.DNS, strings.ToLower(f.server))
		}
	}
	for _, n := range f.dns {
		in.DNS = append(in.DNS, strings.ToLower(n))
	}
	for _, s := range f.ips {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return usage("--ip %s: %w", s, err)
		}
		in.IP = append(in.IP, ip)
	}
	if f.life != "" {
		d, err := parseAge(f.life)
		if err != nil {
			return usage("--life %s: write it as 90d or 36h", f.life)
		}
		in.Life = d.String()
	}
	return in, nil
}

func caIssueCommand() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Make a key and a certificate of a user, a device or a server",
		Long: `Make a key and a certificate: NAME.crt with what leads to its root, and NAME.key,
which only its owner can read, both as PEM. The key is made here and stays here;
the CA sees a signing request. With --p12 there is NAME.p12 too, for browsers and
mail programs, under the password of --p12-password-file or a new one in
NAME.p12.password. No file is replaced without --force.`,
		Example: `  sallyport ca issue --user alice --out alice
  sallyport ca issue --user alice --email alice@corp.test --p12
  sallyport ca issue --device laptop-7 --life 30d
  sallyport ca issue --server db.corp.test --dns db1.corp.test --ip 10.1.2.3 --out db`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.issue(cmd) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.out, "out", "", "write `NAME`.crt and NAME.key (default: the name of the user, device or server)")
	cmd.Flags().BoolVar(&f.p12, "p12", false, "write NAME.p12 as well")
	cmd.Flags().StringVar(&f.p12Password, "p12-password-file", "", "`file` with the password of NAME.p12")
	return cmd
}

// issued is what ca issue and ca sign print with --json: the certificate, and
// the files that were written.
type issued struct {
	caIssued
	Files map[string]string `json:"files,omitempty"` // cert, key, p12, p12_password
}

func (f *issueFlags) issue(cmd *cobra.Command) error {
	in, err := f.request("ca issue")
	if err != nil {
		return err
	}
	name := f.out
	if name == "" {
		if name = f.user + f.device + f.server; strings.ContainsAny(name, `/\:*`) || strings.HasPrefix(name, ".") {
			return &exitError{exitUsage, fmt.Errorf("%s is no name for files: give one with --out", name)}
		}
	}
	password, ownPassword, err := f.password()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	in.CSR = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))

	files := &bundle{force: f.force}
	defer files.discard()
	files.expect(name+".crt", name+".key")
	if f.p12 {
		files.expect(name + ".p12")
	}
	if ownPassword {
		files.expect(name + ".p12.password")
	}
	// The key is on the disk before the CA is asked: what it issues is of use.
	files.add(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if files.err != nil {
		return &exitError{exitFailed, files.err}
	}
	out := issued{Files: map[string]string{"cert": name + ".crt", "key": name + ".key"}}
	if err := f.ask(cmd, "POST", "/v1/ca/issue", in, &out.caIssued); err != nil {
		return err
	}
	files.add(name+".crt", []byte(out.Chain), 0o644)
	if f.p12 {
		p12, err := encodeP12(key, out.Chain, out.Root, password)
		if err != nil {
			files.err = err
		}
		out.Files["p12"] = name + ".p12"
		files.add(name+".p12", p12, 0o600)
	}
	if ownPassword {
		out.Files["p12_password"] = name + ".p12.password"
		files.add(name+".p12.password", []byte(password+"\n"), 0o600)
	}
	if err := files.publish(); err != nil {
		return &exitError{exitFailed, fmt.Errorf("the certificate was issued and its files were not written: %w; when you do not try again with --force: sallyport ca revoke%s %s", err, f.shown(), out.Serial)}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: certificate of %s, serial %s, good until %s\n", out.Files["cert"], in.about(), out.Serial, out.NotAfter.Local().Format(time.DateTime))
	fmt.Fprintf(w, "%s: its private key, which only you can read\n", out.Files["key"])
	if f.p12 {
		fmt.Fprintf(w, "%s: both, for browsers and mail programs; the password is in %s\n", out.Files["p12"], orElse(out.Files["p12_password"], f.p12Password))
	}
	if f.server == "" {
		fmt.Fprintf(w, "next: curl --proxy https://GATEWAY:3128 --proxy-cert %s --proxy-key %s ...\n", out.Files["cert"], out.Files["key"])
	} else {
		fmt.Fprintf(w, "next: clients of this server trust the edge root: sallyport ca root --domain edge%s\n", f.shown())
	}
	return nil
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// password is what the PKCS#12 file is encrypted with. own: it is a new one.
func (f *issueFlags) password() (password string, own bool, err error) {
	switch {
	case f.p12Password != "":
		f.p12 = true
		b, err := os.ReadFile(f.p12Password)
		if err != nil {
			return "", false, &exitError{exitFailed, fmt.Errorf("reading the password: %w", err)}
		}
		password = strings.TrimRight(string(b), "\r\n")
		if password == "" || len(b) > 1024 {
			return "", false, &exitError{exitFailed, fmt.Errorf("%s: a password has 1 to 1024 bytes", f.p12Password)}
		}
		return password, false, nil
	case f.p12:
		return rand.Text(), true, nil
	}
	return "", false, nil
}

func encodeP12(key *ecdsa.PrivateKey, chain, root, password string) ([]byte, error) {
	certs, err := parseChain([]byte(chain + root))
	if err != nil {
		return nil, err
	}
	if len(certs) == 0 {
		return nil, errors.New("the CA has answered with no certificate")
	}
	return pkcs12.Modern2023.Encode(key, certs[0], certs[1:], password)
}

func caSignCommand() *cobra.Command {
	var f issueFlags
	cmd := &cobra.Command{
		Use:   "sign CSR.pem",
		Short: "Sign a request whose key is somebody else's",
		Long: `Sign a signing request for the user, device or server that is named here. Of the
request only its key counts: names in it are not taken over. Without --out the
certificate, with what leads to its root, is printed.`,
		Example: `  sallyport ca sign bob.csr --user bob --out bob.crt
  sallyport ca sign - --server db.corp.test < db.csr > db.crt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := f.request("ca sign")
			if err != nil {
				return err
			}
			b, err := readInput(cmd, args[0])
			if err != nil {
				return &exitError{exitFailed, fmt.Errorf("reading the signing request: %w", err)}
			}
			in.CSR = string(b)
			files := &bundle{force: f.force}
			defer files.discard()
			if f.out != "" {
				if files.expect(f.out); files.err != nil {
					return &exitError{exitFailed, files.err}
				}
			}
			var out issued
			if err := f.ask(cmd, "POST", "/v1/ca/issue", in, &out.caIssued); err != nil {
				return err
			}
			if f.out != "" {
				files.add(f.out, []byte(out.Chain), 0o644)
				if err := files.publish(); err != nil {
					return &exitError{exitFailed, fmt.Errorf("the certificate was issued and not written: %w; sallyport ca revoke%s %s", err, f.shown(), out.Serial)}
				}
				out.Files = map[string]string{"cert": f.out}
			}
			switch {
			case f.json:
				return printJSON(cmd.OutOrStdout(), out)
			case f.out == "":
				_, err = fmt.Fprint(cmd.OutOrStdout(), out.Chain)
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: certificate of %s, serial %s, good until %s\n", f.out, in.about(), out.Serial, out.NotAfter.Local().Format(time.DateTime))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.out, "out", "", "write the certificate to this `file` (default: print it)")
	return cmd
}

// readInput reads a small file, or stdin when it is -.
func readInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return readSmall(cmd.InOrStdin())
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readSmall(f)
}
