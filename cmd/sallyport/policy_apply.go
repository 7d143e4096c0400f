// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func policyApplyCommand() *cobra.Command {
	var (
		state, message, to, ifRevision string
		confirm                        time.Duration
		yes                            bool
	)
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Put a policy in place of the one in force, when it loads and its tests pass",
		Long: `Put the text of FILE in place of the policy file that the gateway with this
state directory has loaded, when it loads there and its tests pass. Files it
names are looked for beside the file that is replaced. A running gateway takes
it over by itself. With --confirm it is taken back, by the gateway or by this
command, unless sallyport policy confirm is run in time.`,
		Example: `  sallyport policy apply new.yaml --message 'partners may use the API'
  sallyport policy apply new.yaml --confirm 5m
  sallyport policy apply new.yaml --to /etc/sallyport/policy.yaml --if-revision 1f2e3d4c --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if confirm < 0 {
				return &exitError{exitUsage, errors.New("--confirm: the time to confirm in is positive")}
			}
			src, err := readNew(args[0])
			if err != nil {
				return &exitError{exitPolicy, err}
			}
			p, err := propose(cmd, state, to, "apply")
			if err != nil {
				return err
			}
			unlock := p.file.unlocker()
			defer unlock()
			p.named, p.message, p.yes, p.confirm = args[0], message, yes, confirm
			if err := p.matches(ifRevision); err != nil {
				return err
			}
			if confirm > 0 && p.file.base == nil {
				return &exitError{exitUsage, fmt.Errorf("--confirm: there is nothing at %s that could be gone back to", p.file.path)}
			}
			if err := p.check(src); err != nil {
				return err
			}
			if p.file.base != nil && bytes.Equal(src, p.file.base) {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s says that already: revision %.8s\n", visible(p.file.path), p.after.Revision)
				return err
			}
			if err := p.show(); err != nil {
				return err
			}
			if err := p.agreed(); err != nil {
				return err
			}
			if err := p.place(); err != nil {
				return &exitError{exitFailed, err}
			}
			if confirm == 0 {
				return nil
			}
			unlock() // others may change it while this waits
			return p.awaitConfirmation()
		},
	}
	f := cmd.Flags()
	changeFlags(cmd, &state, &message, &yes)
	f.StringVar(&to, "to", "", "policy `file` to replace (default: the one in force)")
	f.StringVar(&ifRevision, "if-revision", "", "replace only this `revision`, by at least eight digits")
	f.DurationVar(&confirm, "confirm", 0, "take it back unless it is confirmed within this `time`, as 5m")
	return cmd
}

// readNew reads the text of a policy from a file or pipe.
func readNew(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxPolicy+1))
	if err == nil && len(src) > maxPolicy {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxPolicy>>20)
	}
	return src, err
}
