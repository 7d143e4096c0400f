// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"sallyport/certs"
)

// tlsOptions are the flags about the certificates that the gateway shows its
// clients.
type tlsOptions struct {
	names          []string
	certs, keys    []string
	life           time.Duration
	passphraseFile string

	directory, root, contact, kid, keyFile string // of an ACME authority
}

func (o *tlsOptions) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.names, "tls-name", nil, "name by which clients reach the gateway by TLS; repeat for several. Certificates for them come from the gateway's own CA, which is made if there is none, or from --acme-directory")
	f.StringSliceVar(&o.certs, "tls-cert", nil, "PEM file with a certificate to show clients, read again when it changes; repeat for several")
	f.StringSliceVar(&o.keys, "tls-key", nil, "PEM file with the private key of the --tls-cert in the same place (default: in that file)")
	f.DurationVar(&o.life, "tls-life", 0, "how long certificates of the gateway's own CA are good for, from 30s to 2160h (default 720h)")
	f.StringVar(&o.passphraseFile, "passphrase-file", "", "file with the passphrase of the gateway's own CA (default: a systemd credential, or STATE/ca/passphrase)")
	f.StringVar(&o.directory, "acme-directory", "", "directory URL of an ACME authority to obtain the certificates for --tls-name from")
	f.StringVar(&o.root, "acme-root", "", "PEM file with the root that vouches for --acme-directory (default: the system's roots)")
	f.StringVar(&o.contact, "acme-contact", "", "e-mail address that the ACME authority may write to")
	f.StringVar(&o.kid, "acme-eab-kid", "", "key ID of an external account binding, if the ACME authority wants one")
	f.StringVar(&o.keyFile, "acme-eab-key-file", "", "file with its MAC key, in base64url")
}

// wanted is whether clients can speak TLS to the gateway.
func (o *tlsOptions) wanted() bool { return len(o.names)+len(o.certs) > 0 }

// pairs are the files of --tls-cert and --tls-key.
func (o *tlsOptions) pairs() (pairs []certs.Pair) {
	for i, c := range o.certs {
		p := certs.Pair{Cert: c}
		if i < len(o.keys) {
			p.Key = o.keys[i]
		}
		pairs = append(pairs, p)
	}
	return pairs
}

const shortestLife = 30 * time.Second // of a certificate: it is renewed ten seconds before its end

// check finds what does not fit together before anything is started.
func (o *tlsOptions) check(state string) error {
	acme := o.root + o.contact + o.kid + o.keyFile
	u, err := url.Parse(o.directory)
	switch {
	case len(o.keys) > len(o.certs):
		err = fmt.Errorf("--tls-key %s: there is no --tls-cert for it", o.keys[len(o.certs)])
	case o.directory == "" && acme != "":
		err = errors.New("--acme-root, --acme-contact, --acme-eab-kid and --acme-eab-key-file are about an ACME authority: give its --acme-directory")
	case o.directory != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil):
		err = fmt.Errorf("--acme-directory %s: want an https URL", o.directory)
	case o.directory != "" && len(o.names) == 0:
		err = errors.New("--acme-directory: give the names to obtain certificates for with --tls-name")
	case (o.kid == "") != (o.keyFile == ""):
		err = errors.New("--acme-eab-kid and --acme-eab-key-file belong together")
	case strings.ContainsAny(o.contact, " ,<>:") || o.contact != "" && !strings.Contains(o.contact, "@"):
		err = fmt.Errorf("--acme-contact %s: want an e-mail address as in ops@corp.example", o.contact)
	case o.life != 0 && (o.directory != "" || len(o.names) == 0):
		err = errors.New("--tls-life is about certificates of the gateway's own CA, for --tls-name without --acme-directory")
	case o.life != 0 && (o.life < shortestLife || o.life > 90*24*time.Hour):
		err = fmt.Errorf("--tls-life %v: want %v to 2160h", o.life, shortestLife)
	case len(o.names) > 0 && state == "":
		err = errors.New("--tls-name: keys and certificates are kept in the state directory: give one with --state")
	default:
		return nil
	}
	return &exitError{code: exitUsage, err: err}
}
