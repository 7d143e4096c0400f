// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/certs"
	"sallyport/certs/inspect"
)

// certJudge is what cert verify is asked for.
type certJudge struct {
	look   certLook
	roots  []string
	chain  []string
	crls   []string
	usage  string
	name   string
	at     string
	key    string
	within string
}

func certVerifyCommand() *cobra.Command {
	var (
		j      certJudge
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify FILE | HOST:PORT | listener | store:WHAT",
		Short: "Tell whether a chain holds, and if not, which link and why",
		Long: `Verify the chain of a file, whose first certificate is the leaf, of a host, or of
what the gateway keeps (listener, store:SERIAL, as for cert inspect).
Everything that is wrong is told, with the certificate it is about and what to do.
A host is verified for its name; a private key in the file has to be the leaf's.

Exit codes: 0 it holds, 5 it does not, 6 it holds and something on it expires
within --within, 1 the file or the host cannot be looked at.`,
		Example: `  sallyport cert verify www.example.com:443
  sallyport cert verify server.pem --roots ca.pem --name www.example.com --key server.key
  sallyport cert verify alice.crt --roots identity.pem --for client --crl identity.crl
  sallyport cert verify server.pem --within 30d`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: targetNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := j.judge(commandContext(cmd), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				err = printSafeJSON(cmd.OutOrStdout(), v)
			} else {
				var b strings.Builder
				v.print(&b)
				_, err = io.WriteString(cmd.OutOrStdout(), b.String())
			}
			if err == nil {
				err = v.exit()
			}
			return err
		},
	}
	f := cmd.Flags()
	j.look.flags(cmd)
	f.StringSliceVar(&j.roots, "roots", nil, "what to trust: a PEM `FILE`, edge or identity (the CA's roots), or system, which is the default; repeat for several")
	f.StringSliceVar(&j.chain, "chain", nil, "`FILE` with certificates that lie between; repeat for several")
	f.StringSliceVar(&j.crls, "crl", nil, "`FILE` with a CRL to look into; repeat for several")
	f.StringVar(&j.usage, "for", "server", "what it is to be good for: server or client")
	f.StringVar(&j.name, "name", "", "host or address that it has to be for")
	f.StringVar(&j.at, "at", "", "verify for this `TIME`, as in 2027-01-31 or 2027-01-31T12:00:00Z")
	f.StringVar(&j.key, "key", "", "`FILE` with the private key that it has to belong to")
	f.StringVar(&j.within, "within", "", "exit with 6 when something on the chain expires in that time, as `30d`")
	f.BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}

func (j *certJudge) judge(ctx context.Context, arg string) (*chainVerdict, error) {
	q, within, err := j.question()
	if err != nil {
		return nil, err
	}
	t, err := j.look.look(ctx, arg)
	if err != nil {
		return nil, err
	}
	if err := j.ask(q, t); err != nil {
		return nil, err
	}
	v := certs.ExplainChain(*q)
	r := &chainVerdict{
		Target: arg, Trusted: v.Trusted, For: certs.UsageName(q.Usage), Name: q.Name, At: q.At,
		Path: []inspect.Certificate{}, Root: v.Root, Findings: []chainFinding{}, within: within,
	}
	for _, c := range v.Path {
		d := inspect.Describe(c, q.At)
		r.Path = append(r.Path, d)
		r.Expiring = r.Expiring || within > 0 && c.NotAfter.Sub(q.At) < within
	}
	for _, f := range v.Findings {
		r.add(f)
	}
	for _, f := range disorder(t) {
		r.add(f)
	}
	return r, nil
}

// question is what the flags ask, before there is anything to ask it of.
func (j *certJudge) question() (*certs.Question, time.Duration, error) {
	q := &certs.Question{Name: j.name, At: time.Now()}
	switch j.usage {
	case "server":
		q.Usage = x509.ExtKeyUsageServerAuth
	case "client":
		q.Usage = x509.ExtKeyUsageClientAuth
	default:
		return nil, 0, &exitError{exitUsage, fmt.Errorf("--for %s: it is server or client", line(j.usage))}
	}
	if j.at != "" {
		var err error
		if q.At, err = parseWhen(j.at); err != nil {
			return nil, 0, &exitError{exitUsage, fmt.Errorf("--at %s: %w", line(j.at), err)}
		}
	}
	var within time.Duration
	if j.within != "" {
		var err error
		if within, err = parseAge(j.within); err != nil {
			return nil, 0, &exitError{exitUsage, fmt.Errorf("--within %s: write it as 30d or 36h", line(j.within))}
		}
	}
	if err := j.trust(q); err != nil {
		return nil, 0, err
	}
	for _, f := range j.crls {
		c, err := j.look.fileOf(f)
		if err != nil {
			return nil, 0, err
		}
		if len(c.Lists) == 0 {
			return nil, 0, &exitError{exitFailed, fmt.Errorf("%s: there is no CRL in it", line(f))}
		}
		q.CRLs = append(q.CRLs, c.Lists...)
	}
	var err error
	if j.key != "" {
		q.Key, err = j.keyOf()
	}
	return q, within, err
}

// trust puts the roots that are to be trusted into q.
func (j *certJudge) trust(q *certs.Question) error {
	for _, f := range j.roots {
		switch f {
		case "system":
			if len(j.roots) > 1 {
				return &exitError{exitUsage, errors.New("--roots system: it goes with no others")}
			}
			return nil
		case "edge", "identity":
			text, err := j.look.stored("store:" + f)
			if err != nil {
				return err
			}
			q.Roots = append(q.Roots, parsePEM(string(text))...)
		default:
			cs, err := j.look.certificates(f)
			if err != nil {
				return err
			}
			q.Roots = append(q.Roots, cs...)
		}
	}
	if len(j.roots) > 0 && q.Roots == nil {
		q.Roots = []*x509.Certificate{}
	}
	return nil
}

// parseWhen reads a day, which begins at midnight UTC, or a time.
func parseWhen(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("write it as 2027-01-31 or 2027-01-31T12:00:00Z")
}

// fileOf reads a file without a password.
func (l *certLook) fileOf(file string) (*inspect.Contents, error) {
	data, err := readAnyFile(file)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s %w", line(file), err)}
	}
	c, err := inspect.Read(context.Background(), data, nil)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s: %s", line(file), line(err.Error()))}
	}
	return c, nil
}

func (j *certJudge) keyOf() (crypto.PublicKey, error) {
	c, err := j.look.fileOf(j.key)
	if err != nil {
		return nil, err
	}
	if len(c.Keys) != 1 {
		return nil, &exitError{exitFailed, fmt.Errorf("--key %s has %s in it: name a file with one", line(j.key), count(len(c.Keys), "private key", "private keys"))}
	}
	if c.Keys[0].Public() == nil {
		return nil, &exitError{exitFailed, fmt.Errorf("--key %s cannot be read: the key is %s", line(j.key), c.Keys[0].Kind)}
	}
	return c.Keys[0].Public(), nil
}

// ask puts to q what was found at the target.
func (j *certJudge) ask(q *certs.Question, t *certTarget) error {
	q.Chain = t.chain()
	if len(q.Chain) == 0 {
		return &exitError{exitFailed, fmt.Errorf("%s: there is no certificate in it to verify", line(t.Name))}
	}
	q.Chain = q.Chain[:len(q.Chain):len(q.Chain)]
	for _, f := range j.chain {
		cs, err := j.look.certificates(f)
		if err != nil {
			return err
		}
		q.Chain = append(q.Chain, cs...)
	}
	if h := t.Hello; h != nil {
		q.Handshake, q.Staple = true, h.Staple
		if q.Name == "" {
			q.Name = h.ServerName
		}
		return nil
	}
	if q.Key == nil && len(t.File.Keys) == 1 {
		q.Key = t.File.Keys[0].Public()
	}
	q.CRLs = append(q.CRLs, t.File.Lists...)
	if len(t.File.Damaged) > 0 {
		return &exitError{exitFailed, fmt.Errorf("%s: %s", line(t.Name), line(t.File.Damaged[0]))}
	}
	return nil
}
