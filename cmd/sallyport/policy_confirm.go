// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyConfirmCommand() *cobra.Command {
	var state, message string
	cmd := &cobra.Command{
		Use:     "confirm",
		Short:   "Confirm the policy that apply --confirm has put in place, so that it stays",
		Example: `  sallyport policy confirm`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := openArchive(state)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			var w *confirmation
			err = a.locked(func() (err error) {
				w, err = a.confirm(message)
				return err
			})
			if err != nil {
				return &exitError{exitFailed, err}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: revision %.8s is confirmed\n", visible(w.Policy), w.Revision)
			return err
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&message, "message", "", "why, for the audit log")
	return cmd
}

// confirm has what waits stay. The archive has to be locked.
func (a *archive) confirm(message string) (*confirmation, error) {
	w, err := a.waiting()
	switch {
	case err != nil:
		return nil, err
	case w == nil:
		return nil, errors.New("nothing waits to be confirmed")
	case w.over():
		return nil, fmt.Errorf("revision %.8s had to be confirmed by %s: it is too late", w.Revision, w.Deadline.Format("15:04:05"))
	}
	now, _, err := policy.ReadFile(w.Policy, maxPolicy)
	if err != nil {
		return nil, err
	}
	if hashOf(now) != w.Applied {
		return nil, fmt.Errorf("%s is not revision %.8s any more: there is nothing to confirm", w.Policy, w.Revision)
	}
	err = a.log(auditEntry{Source: "confirm", Result: resultDone, Policy: w.Policy, Revision: w.Revision, Previous: w.Previous, Message: message})
	return w, errors.Join(err, a.settled())
}
