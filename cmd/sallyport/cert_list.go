// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// certGather is where a list of certificates is taken from.
type certGather struct {
	caFlags
	policy    string
	clientCAs []string
	within    string
	issued    bool
	user      string
	revoked   bool
	kinds     []string
}

func (g *certGather) flags(cmd *cobra.Command) {
	g.add(cmd)
	f := cmd.Flags()
	f.StringVar(&g.policy, "policy", "", "policy `file` (default: the one in force on the state directory)")
	f.StringArrayVar(&g.clientCAs, "client-ca", nil, "`file` with a CA of clients, where no gateway runs that has it; repeat for several")
	f.StringVar(&g.within, "within", "", "tell of what expires in that time, by exit code 6, as `30d`")
	f.BoolVar(&g.issued, "issued", false, "certificates that the CA has issued, too")
	f.StringVar(&g.user, "user", "", "of those issued only the ones of this `user`")
	f.BoolVar(&g.revoked, "revoked", false, "of those issued only the revoked ones")
	f.StringSliceVar(&g.kinds, "kind", nil, "only these `kinds`: "+strings.Join(certKinds, ", "))
}

var certKinds = []string{kindListener, kindRoot, kindIssuer, kindIssued, kindClientCA, kindMet, kindOrigin, kindOriginRoot, kindPin}

func certListCommand() *cobra.Command {
	var g certGather
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List every certificate there is, and when it expires",
		Long: `List the certificates of a gateway, the first to expire first: those of its
listener, its CA's roots and issuers, the CAs of its clients, those that origins
have shown it and that end soon, the client certificates and roots of origin
profiles, and pins with the certificates they match, as far as those are known. The gateway that runs on the state directory is
asked; without one it is what the directory and the policy file say.

Exit codes: 0 done, 1 something cannot be read, 6 something expires in the time
that --within gives.`,
		Example: `  sallyport cert list
  sallyport cert list --within 30d
  sallyport cert list --user alice --json
  sallyport cert list --revoked`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.gather(cmd)
			if err != nil {
				return err
			}
			if g.json {
				err = printSafeJSON(cmd.OutOrStdout(), l)
			} else {
				err = l.print(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			for _, w := range l.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: %s\n", line(w))
			}
			return l.exit()
		},
	}
	g.flags(cmd)
	return cmd
}

// A certListing is what cert list prints.
type certListing struct {
	Time         time.Time   `json:"time"`
	Running      bool        `json:"running"`
	Certificates []certEntry `json:"certificates"`
	Expiring     int         `json:"expiring"` // within --within, or expired
	Warnings     []string    `json:"warnings,omitempty"`

	within time.Duration
	files  []string // what it was read from beside the gateway
}

func (g *certGather) gather(cmd *cobra.Command) (*certListing, error) {
	l := &certListing{Time: time.Now().UTC(), Certificates: []certEntry{}}
	if g.within != "" {
		var err error
		if l.within, err = parseAge(g.within); err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("--within %s: write it as 30d or 36h", line(g.within))}
		}
	}
	for _, k := range g.kinds {
		if !slices.Contains(certKinds, k) {
			return nil, &exitError{exitUsage, fmt.Errorf("--kind %s: there are %s", line(k), strings.Join(certKinds, ", "))}
		}
	}
	q := make(url.Values)
	if g.issued || g.user != "" || g.revoked || slices.Contains(g.kinds, kindIssued) {
		q.Set("issued", "1")
		q.Set("user", g.user)
		if g.revoked {
			q.Set("revoked", "1")
		}
	}
	var kept keptEntries
	if err := g.ask(cmd, "GET", "/v1/certs?"+q.Encode(), nil, &kept); err != nil {
		return nil, err
	}
	l.Running, l.Certificates, l.Warnings = kept.Running, kept.Certificates, kept.Warnings
	g.fromFiles(l)
	only := g.kinds
	if g.user != "" || g.revoked {
		only = []string{kindIssued}
	}
	if len(only) > 0 {
		l.Certificates = slices.DeleteFunc(l.Certificates, func(e certEntry) bool { return !slices.Contains(only, e.Kind) })
	}
	l.sort()
	for i := range l.Certificates {
		e := &l.Certificates[i]
		if e.lasting() && e.NotAfter.Sub(l.Time) < l.within {
			l.Expiring++
		}
	}
	return l, nil
}

// sort puts the first to expire first, and what is not known last.
func (l *certListing) sort() {
	slices.SortStableFunc(l.Certificates, func(a, b certEntry) int {
		if a.NotAfter.IsZero() != b.NotAfter.IsZero() {
			if a.NotAfter.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
}

func (l *certListing) exit() error {
	switch {
	case len(l.Warnings) > 0:
		return &exitError{code: exitFailed}
	case l.Expiring > 0:
		return &exitError{exitExpiring, errors.New(count(l.Expiring, "certificate expires", "certificates expire") + " within --within, or is expired")}
	}
	return nil
}

func (l *certListing) print(w io.Writer) error {
	if len(l.Certificates) == 0 {
		_, err := fmt.Fprintln(w, "there are no certificates")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tLEFT\tUNTIL\tSERIAL\tABOUT")
	for i := range l.Certificates {
		e := &l.Certificates[i]
		until, serial := "not known", e.Serial
		if !e.NotAfter.IsZero() {
			until = e.NotAfter.Format(certTime)
		}
		if len(serial) > 12 {
			serial = strings.TrimLeft(serial, "0")
			serial = serial[:min(12, len(serial))]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Kind, short(e.Name), e.left(l.Time), until, cmp.Or(serial, "-"), line(e.about()))
	}
	return t.Flush()
}

// short is a name as it fits into a table.
func short(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return line(s)
}

// left is how long e is good for, in words.
func (e *certEntry) left(now time.Time) string {
	switch {
	case !e.Revoked.IsZero():
		return "REVOKED"
	case e.NotAfter.IsZero():
		return "-"
	case now.After(e.NotAfter):
		return "EXPIRED"
	case now.Before(e.NotBefore):
		return "NOT YET VALID"
	}
	return ageText(e.NotAfter.Sub(now))
}

// about is whatever else there is to say of e.
func (e *certEntry) about() string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if e.Stage != "" {
		say("%s", e.Stage)
	}
	if !e.Revoked.IsZero() {
		say("revoked %s (%s)", e.Revoked.Format(time.DateOnly), e.Reason)
	}
	if e.Kind == kindPin {
		if len(e.Matches) == 0 {
			say("of no certificate that is known here")
		} else {
			say("of %s", strings.Join(e.Matches, "; "))
		}
	}
	if e.Where != "" {
		say("%s", e.Where)
	}
	if len(e.Origins) > 0 {
		say("origin %s", strings.Join(e.Origins, ", "))
	}
	if len(e.Rules) > 0 {
		say("rule %s", strings.Join(e.Rules, ", "))
	}
	if e.By != "" {
		say("by %s", e.By)
	}
	if !e.NextRenew.IsZero() {
		say("renewed %s", e.NextRenew.Format(certTime))
	}
	if e.Error != "" {
		say("FAILING: %s", e.Error)
	}
	return strings.Join(all, ", ")
}
