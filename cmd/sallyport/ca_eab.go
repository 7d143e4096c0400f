// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/pki"
)

// A caEAB is an external account key that was made.
type caEAB struct {
	KeyID     string `json:"kid"`
	Key       string `json:"key"` // base64url, as ACME clients want it
	Reference string `json:"reference"`
}

func (a *admin) caEABRoutes() {
	a.handle("POST /v1/ca/eab", func(c *adminCall) (any, error) {
		var in struct {
			Reference string `json:"reference"`
		}
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		ca, err := a.ca.get()
		if err != nil {
			return nil, err
		}
		out := caEAB{Reference: in.Reference}
		err = a.changing(c, auditEntry{Source: "ca eab create", Subject: in.Reference}, func(e *auditEntry) error {
			kid, key, err := ca.NewEAB(c.Context(), in.Reference)
			out.KeyID, out.Key = kid, base64.RawURLEncoding.EncodeToString(key)
			e.Subject += ", key " + kid
			return err
		})
		return out, err
	})
	a.handle("GET /v1/ca/eab", func(c *adminCall) (any, error) {
		ca, err := a.ca.get()
		if err != nil {
			return nil, err
		}
		list, err := ca.EABs(c.Context())
		return append([]pki.EAB{}, list...), err
	})
	a.handle("DELETE /v1/ca/eab/{kid}", func(c *adminCall) (any, error) {
		ca, err := a.ca.get()
		if err != nil {
			return nil, err
		}
		kid := c.PathValue("kid")
		err = a.changing(c, auditEntry{Source: "ca eab remove", Subject: "key " + kid}, func(*auditEntry) error {
			return ca.RemoveEAB(c.Context(), kid)
		})
		if errors.Is(err, pki.ErrNoEAB) {
			err = &exitError{exitNegative, fmt.Errorf("there is no external account key %s; sallyport ca eab list shows them", kid)}
		}
		return struct{}{}, err
	})
}

func caEABCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eab",
		Short: "Keys with which others may make ACME accounts",
		Long: `External account keys (RFC 8555 §7.3.4): each lets whoever has it make one account
at the gateway's ACME server.`,
		Example: `  sallyport ca eab create 'web team'
  sallyport ca eab list
  sallyport ca eab remove KID`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(eabCreateCommand(), eabListCommand(), eabRemoveCommand())
	return cmd
}

func eabCreateCommand() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "create WHO",
		Short:   "Make a key for one ACME account, and show it once",
		Example: `  sallyport ca eab create 'web team'`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out caEAB
			if err := f.ask(cmd, "POST", "/v1/ca/eab", map[string]string{"reference": args[0]}, &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "key id  %s\nkey     %s\nnext: give both to %s, for --eab-kid and --eab-hmac-key of certbot, for example; the key is not shown again\n", out.KeyID, out.Key, visible(out.Reference))
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func eabListCommand() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the keys, used and not",
		Example: `  sallyport ca eab list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []pki.EAB
			if err := f.ask(cmd, "GET", "/v1/ca/eab", nil, &all); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "KEY ID\tFOR\tMADE\tACCOUNT MADE")
			for _, k := range all {
				bound := "not yet"
				if !k.Bound.IsZero() {
					bound = k.Bound.Local().Format(time.DateTime)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", k.KeyID, visible(k.Reference), k.Created.Local().Format(time.DateTime), bound)
			}
			return t.Flush()
		},
	}
	f.add(cmd)
	return cmd
}

func eabRemoveCommand() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "remove KID",
		Short: "Take a key back",
		Long: `Take a key back. Where keys are required, the account that was made with it gets
no more certificates; those it has stay good. Exit code 5: there is no such key.`,
		Example: `  sallyport ca eab remove KID`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.ask(cmd, "DELETE", "/v1/ca/eab/"+url.PathEscape(args[0]), nil, nil); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"removed": args[0]})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", visible(args[0]))
			return err
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var all []pki.EAB
			if len(args) > 0 || f.ask(cmd, "GET", "/v1/ca/eab", nil, &all) != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var out []string
			for _, k := range all {
				out = append(out, k.KeyID+"\t"+visible(k.Reference))
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
	}
	f.add(cmd)
	return cmd
}
