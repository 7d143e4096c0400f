// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

func roleNames() []string {
	var names []string
	for _, r := range pki.Roles {
		names = append(names, r.String())
	}
	return names
}

func caRotateIssuerCommand() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "rotate-issuer ROLE",
		Short: "Give an issuer a successor",
		Long: `Make the next generation of an issuer: server, intercept, client or delegated. It
signs from then on. What the one before has signed stays good, and its CRL and
OCSP are still answered until it expires. Nobody else has to do anything: its
certificate travels with those it signs.`,
		Example:           `  sallyport ca rotate-issuer client`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: firstArgument(roleNames()...),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out []caIssuer
			if err := f.ask(cmd, "POST", "/v1/ca/rotate-issuer", caRotateIssuer{args[0]}, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return printCurrent(cmd.OutOrStdout(), out, "signs from now on")
		},
	}
	f.add(cmd)
	return cmd
}

func printCurrent(w io.Writer, all []caIssuer, does string) error {
	for _, i := range all {
		if i.Current {
			fmt.Fprintf(w, "the %s issuer of generation %d %s, good until %s: %s\n", i.Role, i.Generation, does, i.NotAfter.Format(time.DateOnly), visible(i.Subject))
		}
	}
	for _, i := range all {
		if !i.Current {
			fmt.Fprintf(w, "generation %d stays good for what it has signed, until %s\n", i.Generation, i.NotAfter.Format(time.DateOnly))
		}
	}
	return nil
}

// firstArgument completes the first argument by one of words.
func firstArgument(words ...string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

func caRotateRootCommand() *cobra.Command {
	var f caFlags
	in := caRotateRoot{}
	cmd := &cobra.Command{
		Use:   "rotate-root DOMAIN prepare|switch|retire",
		Short: "Replace a root, in three steps",
		Long: `Replace the root edge or identity without anybody who trusts only the old or only
the new one meeting a certificate that is not trusted:

  prepare  makes the new root and publishes it beside the old one. Give it to
           everybody who trusts the old one; there is no haste.
  switch   signs under the new root from then on, with new issuers. A certificate
           that the old root has for the new one travels along, so that both
           who trust the old and who trust the new one verify.
  retire   takes the old root away, and its key. It is refused while the new root
           is public for less than 30 days, or certificates under the old one are
           still good, unless --force is given.

A step that was done already does nothing.`,
		Example: `  sallyport ca rotate-root edge prepare
  sallyport ca root --domain edge > roots.pem     # both, for whoever trusts
  sallyport ca rotate-root edge switch
  sallyport ca rotate-root edge retire`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			words := [][]string{{"edge", "identity"}, {"prepare", "switch", "retire"}}
			if len(args) >= len(words) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return words[len(args)], cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Domain, in.Step = args[0], args[1]
			var out []caCert
			if err := f.ask(cmd, "POST", "/v1/ca/rotate-root", in, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			return printRotation(cmd.OutOrStdout(), in, out, f.shown())
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&in.Force, "force", false, "retire the old root even if somebody may still need it")
	return cmd
}

// printRotation says what a step has done, and what is next.
func printRotation(w io.Writer, in caRotateRoot, roots []caCert, state string) error {
	for _, r := range roots {
		fmt.Fprintf(w, "%s root, %s: %s, good until %s, SHA-256 %s\n", r.Domain, r.Stage, visible(r.Subject), r.NotAfter.Format(time.DateOnly), r.SHA256)
	}
	who := "clients of the gateway"
	if in.Domain == pki.Identity.String() {
		who = "origins and services that ask for certificates of users and devices"
	}
	next := map[string]string{
		"prepare": fmt.Sprintf("nothing is signed under the new root yet. next: give both to %s, sallyport ca root --domain %s%s prints them; then sallyport ca rotate-root %s switch%s", who, in.Domain, state, in.Domain, state),
		"switch":  fmt.Sprintf("certificates are signed under the new root now, and verify for whoever trusts either. next: wait until all %s have the new root and what was signed under the old one has expired or was issued anew; then sallyport ca rotate-root %s retire%s", who, in.Domain, state),
		"retire":  fmt.Sprintf("the old root is no longer trusted here, and its key is gone. next: take it from %s, and keep a backup: sallyport ca backup%s --out FILE", who, state),
	}[strings.ToLower(in.Step)]
	_, err := fmt.Fprintln(w, next)
	return err
}
