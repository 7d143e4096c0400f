// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

func caCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "The gateway's own CA: make it, issue, revoke, rotate, back up",
		Long: `The gateway's own certification authority. It has two roots: edge, which clients
of the gateway trust, for certificates of servers; and identity, which the
gateway and origins trust, for certificates of users and devices.

All of these commands ask the gateway that runs on the state directory or, when
none does, work on the directory themselves. Exit codes: 0 done, 1 failed, 2
wrong usage, 5 the answer is no (there is no CA, no such certificate), 6
something expires sooner than --within.`,
		Example: `  sallyport ca init --name 'Example Corp'
  sallyport ca root > roots.pem
  sallyport ca issue --user alice --out alice
  sallyport ca revoke alice.crt --reason keyCompromise
  sallyport ca status --within 30d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stderr)
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(
		caBackupCommand(),
		caCRLCommand(),
		caEABCommand(),
		caImportCommand(),
		caInitCommand(),
		caInstallCommand(),
		caIssueCommand(),
		caRestoreCommand(),
		caRevokeCommand(),
		caRootCommand(),
		caRotateIssuerCommand(),
		caRotateRootCommand(),
		caSignCommand(),
		caStatusCommand(),
		caUninstallCommand(),
	)
	return cmd
}

// caFlags are those of every command about the CA.
type caFlags struct {
	state, passphraseFile string
	json                  bool
}

func (f *caFlags) add(cmd *cobra.Command) {
	stateFlag(cmd, &f.state)
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", os.Getenv(envName("passphrase-file")), "`file` with the CA's passphrase, when no gateway runs (default: a systemd credential, or STATE/ca/passphrase)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
}

// open asks the gateway, or works on the state directory. Close the client.
func (f *caFlags) open(cmd *cobra.Command) (*adminClient, error) {
	return openAdmin(f.state, func() (*admin, func(), error) {
		slot := &caSlot{state: f.state, passphraseFile: f.passphraseFile, wait: 10 * time.Second, log: func(format string, a ...any) {
			fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: "+format+"\n", a...)
		}}
		return newAdmin(slot), func() {
			if err := slot.close(); err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: closing the CA: %v\n", err)
			}
		}, nil
	})
}

// ask is one question and its answer.
func (f *caFlags) ask(cmd *cobra.Command, method, path string, in, out any) error {
	c, err := f.open(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	return c.call(commandContext(cmd), method, path, in, out)
}

// commandContext is cmd's, or one that never ends.
func commandContext(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func caInitCommand() *cobra.Command {
	var f caFlags
	var in caInit
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make a CA: two roots and their issuers, sealed",
		Long: `Make a CA in the state directory: the roots edge and identity, and the issuers
server, intercept, client and delegated. Their keys are sealed with a passphrase:
of --passphrase-file, or of the systemd credential sallyport-passphrase, or one
that is made and kept in STATE/ca/passphrase. A gateway with --tls-name makes a
CA by itself.`,
		Example: `  sallyport ca init
  sallyport ca init --name 'Example Corp' --trust-domain corp.test --permit corp.test
  sallyport ca init --url http://gw.corp.test:3128 --passphrase-file /etc/sallyport/passphrase`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.Passphrase = f.passphraseFile
			var out caStatus
			if err := f.ask(cmd, "POST", "/v1/ca/init", in, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "made a CA for %s in %s, trust domain %s\n", visible(out.Name), visible(out.Directory), out.TrustDomain)
			printPassphrase(w, &out)
			fmt.Fprintf(w, "next: sallyport ca root%s > roots.pem gives the roots to trust; sallyport ca issue%s --user NAME makes a certificate; sallyport ca backup%s --out FILE keeps it\n", f.shown(), f.shown(), f.shown())
			return nil
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&in.Name, "name", "", "`organisation` that certificates name (default sallyport)")
	flags.StringVar(&in.TrustDomain, "trust-domain", "", "SPIFFE trust `domain` of users and devices (default sallyport.internal)")
	flags.StringVar(&in.URL, "url", "", "`http://host:port` where certificates say that CRLs and OCSP are (default: the gateway's, once it serves TLS)")
	flags.StringSliceVar(&in.Permit, "permit", nil, "DNS `zone` that server certificates are for; repeat for several (default: any name)")
	return cmd
}

// shown is the --state that a next command needs, as one types it; "" when it
// is the default.
func (f *caFlags) shown() string {
	if f.state == defaultState() || f.state == os.Getenv(envName("state")) {
		return ""
	}
	return " --state " + shellWord(f.state)
}

// shellWord is s as a shell reads one word.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func printPassphrase(w io.Writer, s *caStatus) {
	if !s.Beside {
		fmt.Fprintf(w, "its keys are sealed with the passphrase in %s, which no backup has: keep it apart from them\n", visible(s.Passphrase))
		return
	}
	fmt.Fprintf(w, `its keys are sealed with the passphrase in %s. That lies beside what it seals:
it protects backups, which do not have it, and not a stolen disk. To move it: give the file
to another place, 0600, and to the gateway as --passphrase-file, or as the systemd credential sallyport-passphrase.
`, visible(s.Passphrase))
}

func caStatusCommand() *cobra.Command {
	var f caFlags
	var within string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the CA: roots, issuers, how long they are good for",
		Long: `Show the roots and issuers of the CA, how long they are good for, how many
certificates it has issued, and where its passphrase is. With --within the exit
code is 6 when a root or an issuer that is in use expires sooner.`,
		Example: `  sallyport ca status
  sallyport ca status --within 60d --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var limit time.Duration
			if within != "" {
				var err error
				if limit, err = parseAge(within); err != nil {
					return &exitError{exitUsage, fmt.Errorf("--within %s: write it as 30d or 36h", within)}
				}
			}
			var out caStatus
			if err := f.ask(cmd, "GET", "/v1/ca", nil, &out); err != nil {
				return err
			}
			if f.json {
				if err := printJSON(cmd.OutOrStdout(), out); err != nil {
					return err
				}
			} else if err := out.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			return out.expiring(limit, time.Now())
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&within, "within", "", "exit with 6 when something expires within this `time`, as 30d")
	return cmd
}

func (s *caStatus) print(w io.Writer) error {
	now := time.Now()
	fmt.Fprintf(w, "CA of %s in %s, trust domain %s\n", visible(s.Name), visible(s.Directory), s.TrustDomain)
	printPassphrase(w, s)
	switch s.URL {
	case "":
		fmt.Fprintln(w, "certificates do not say where CRLs and OCSP are: no gateway has served TLS with this CA yet")
	default:
		fmt.Fprintf(w, "certificates say that CRLs and OCSP are at %s\n", s.URL)
	}
	if len(s.Permit) > 0 {
		fmt.Fprintf(w, "server certificates are for names in %s only\n", strings.Join(s.Permit, ", "))
	}
	s.Mints.print(w)
	fmt.Fprintf(w, "%s issued, %d valid, %d revoked\n\n", count(s.Issued, "certificate", "certificates"), s.Valid, s.Revoked)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tGENERATION\tGOOD UNTIL\tLEFT\tSTATE\tSUBJECT\tSHA-256")
	for _, r := range s.Roots {
		state := map[string]string{
			rootNext: "next: sallyport ca rotate-root " + r.Domain + " switch", rootPrevious: "previous, still trusted: sallyport ca rotate-root " + r.Domain + " retire",
		}[r.Stage]
		if state == "" {
			state = r.Stage
		}
		fmt.Fprintf(t, "%s root\t-\t%s\t%s\t%s\t%s\t%s\n", r.Domain, r.NotAfter.Format(time.DateOnly), left(r.NotAfter, now), state, visible(r.Subject), r.SHA256[:16])
	}
	for _, i := range s.Issuers {
		state := "current"
		if !i.Current {
			state = "retired, revocation still answered"
		} else if now.After(i.RotateBy) {
			state = "current, to be rotated: sallyport ca rotate-issuer " + i.Role
		}
		if i.Imported {
			state += ", imported"
		}
		fmt.Fprintf(t, "%s issuer\t%d\t%s\t%s\t%s\t%s\t%s\n", i.Role, i.Generation, i.NotAfter.Format(time.DateOnly), left(i.NotAfter, now), state, visible(i.Subject), i.SHA256[:16])
	}
	if m := s.Mints; m != nil && m.Constrained {
		i := m.Issuer
		fmt.Fprintf(t, "%s issuer\t%d\t%s\t%s\t%s\t%s\t%s\n", i.Role, i.Generation, i.NotAfter.Format(time.DateOnly), left(i.NotAfter, now), "mints, in memory, renewed by itself", visible(i.Subject), i.SHA256[:16])
	}
	return t.Flush()
}

func left(until, now time.Time) string {
	if !now.Before(until) {
		return "EXPIRED"
	}
	return ageText(until.Sub(now))
}

// expiring is the error of exit code 6 when something that is in use expires
// within limit; 0 is no limit.
func (s *caStatus) expiring(limit time.Duration, now time.Time) error {
	if limit == 0 {
		return nil
	}
	var soon []string
	note := func(what string, until time.Time) {
		if until.Sub(now) < limit {
			soon = append(soon, fmt.Sprintf("the %s on %s", what, until.Format(time.DateOnly)))
		}
	}
	for _, r := range s.Roots {
		if r.Stage == rootCurrent || r.Stage == rootImported {
			note(r.Domain+" root", r.NotAfter)
		}
	}
	for _, i := range s.Issuers {
		if i.Current {
			note(i.Role+" issuer", i.NotAfter)
		}
	}
	if len(soon) == 0 {
		return nil
	}
	return &exitError{exitExpiring, fmt.Errorf("within %s expires %s; sallyport ca rotate-issuer and rotate-root make new ones", ageText(limit), strings.Join(soon, ", "))}
}

func caRootCommand() *cobra.Command {
	var f caFlags
	var domain string
	cmd := &cobra.Command{
		Use:   "root",
		Short: "Print the roots as PEM",
		Long: `Print the roots of the CA as PEM: edge, which clients trust so that they accept
the gateway's own certificate, and identity, which gateway and origins trust for
the certificates of users and devices. While a root is rotated there are two of
a kind; trust both.`,
		Example: `  sallyport ca root > roots.pem
  sallyport ca root --domain edge > /usr/local/share/ca-certificates/sallyport.crt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if domain != "" {
				if _, err := pki.ParseDomain(domain); err != nil {
					return &exitError{exitUsage, fmt.Errorf("--domain: %w", err)}
				}
			}
			var roots []caCert
			if err := f.ask(cmd, "GET", "/v1/ca/roots", nil, &roots); err != nil {
				return err
			}
			shown := []caCert{}
			for _, r := range roots {
				if domain == "" || domain == r.Domain {
					shown = append(shown, r)
				}
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), shown)
			}
			var b strings.Builder
			for _, r := range shown {
				fmt.Fprintf(&b, "# %s root (%s): %s, good until %s\n# SHA-256 %s\n%s", r.Domain, r.Stage, visible(r.Subject), r.NotAfter.Format(time.DateOnly), r.SHA256, r.PEM)
			}
			_, err := io.WriteString(cmd.OutOrStdout(), b.String())
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&domain, "domain", "", "print only the roots of `edge` or identity")
	complete(cmd, "domain", "edge", "identity")
	return cmd
}

// complete offers words as values of a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // errs for flags that are not there
}
