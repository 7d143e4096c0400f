// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func certRenewCommand() *cobra.Command {
	var (
		f   caFlags
		all bool
	)
	cmd := &cobra.Command{
		Use:   "renew NAME... | --all",
		Short: "Have the running gateway renew certificates of its listener now",
		Long: `Have the gateway that runs on the state directory renew certificates of its
listener now, or read them again when they come from files, and wait for the
outcome. A name is one that cert list shows for the listener. What is open goes
on; new connections are shown the new certificate.`,
		Example: `  sallyport cert renew gw.corp.test
  sallyport cert renew --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return &exitError{exitUsage, errors.New("name certificates, or say --all; sallyport cert list --kind listener shows them")}
			}
			c, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			if !c.running {
				return &exitError{exitFailed, fmt.Errorf("no gateway runs on %s: one that starts renews what it has to", line(f.state))}
			}
			var done []certRenewal
			if err := c.call(commandContext(cmd), "POST", "/v1/certs/renew", append([]string{}, args...), &done); err != nil {
				return err
			}
			return printRenewals(cmd, f.json, done)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}

func printRenewals(cmd *cobra.Command, asJSON bool, done []certRenewal) error {
	failed := false
	for _, r := range done {
		failed = failed || r.Error != ""
	}
	if asJSON {
		if err := printSafeJSON(cmd.OutOrStdout(), done); err != nil {
			return err
		}
	}
	for _, r := range done {
		switch {
		case r.Error != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: %s\n", line(r.Error))
		case asJSON:
		case r.OldSerial == r.Serial:
			fmt.Fprintf(cmd.OutOrStdout(), "%s: the same as before, serial %s, valid until %s\n", line(r.Name), r.Serial, r.NotAfter.Format(time.RFC3339))
		default:
			before := "there was none"
			if r.OldSerial != "" {
				before = fmt.Sprintf("serial %s, valid until %s", r.OldSerial, r.OldAfter.Format(time.RFC3339))
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: renewed\n  before  %s\n  now     serial %s, valid until %s\n", line(r.Name), before, r.Serial, r.NotAfter.Format(time.RFC3339))
		}
	}
	if failed {
		return &exitError{code: exitFailed}
	}
	return nil
}
