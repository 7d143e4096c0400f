// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"log"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyLSPCommand() *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "lsp",
		Short: "Serve editors of policy files: what is wrong, names, completion, hits",
		Long: `Serve editors of policy files by the Language Server Protocol 3.17, on stdin and
stdout; an editor starts it. It tells while one types what policy check tells,
explains keys and names, finds and renames them, completes, and shows how often
each rule decided and what its tests say. Logs go to stderr. It ends when the
editor says so, or with stdin.`,
		Example: `  sallyport policy lsp
  sallyport policy lsp --state /var/lib/sallyport`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := &lspServer{
				In: bufio.NewReaderSize(os.Stdin, maxHeaderLine), Out: os.Stdout, Log: log.New(os.Stderr, "sallyport: ", 0),
				State: state, Pause: 150 * time.Millisecond, Read: policy.ReadDraft, Version: version(),
			}
			if !s.Serve() {
				return &exitError{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&state, "state", defaultState(), "state directory of the gateway that counts hits")
	return cmd
}
