// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func policyRollbackCommand() *cobra.Command {
	var (
		state, message, to string
		yes                bool
	)
	cmd := &cobra.Command{
		Use:   "rollback [REVISION]",
		Short: "Put an earlier revision of the policy file back in its place",
		Long: `Put an earlier revision back in the place of the policy file: the one before,
or the one named by at least eight digits. Only the policy file is put back; it
has to load, and its tests to pass, with the lists and included files there are
now.`,
		Example: `  sallyport policy rollback
  sallyport policy rollback 1f2e3d4c --message 'the partner complained'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && len(args[0]) < 8 {
				return &exitError{exitUsage, fmt.Errorf("revision %s: give at least eight digits; sallyport policy history shows them", args[0])}
			}
			p, err := propose(cmd, state, to, "rollback")
			if err != nil {
				return err
			}
			defer p.file.unlocker()()
			p.message, p.yes = message, yes
			r, err := p.earlier(args)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			src, err := p.archive.object(r.Files[0].SHA256)
			if err != nil {
				return &exitError{exitFailed, fmt.Errorf("revision %.8s: %w", r.Revision, err)}
			}
			p.named = "revision " + r.Revision[:8]
			if p.file.base != nil && bytes.Equal(src, p.file.base) {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s says that already\n", visible(p.file.path))
				return err
			}
			if err := p.check(src); err != nil {
				return err
			}
			p.tellOthers(r)
			if err := p.show(); err != nil {
				return err
			}
			if err := p.agreed(); err != nil {
				return err
			}
			if err := p.place(); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
	changeFlags(cmd, &state, &message, &yes)
	cmd.Flags().StringVar(&to, "to", "", "policy `file` to put back (default: the one in force)")
	return cmd
}

// earlier is the revision to go back to.
func (p *proposal) earlier(args []string) (*revision, error) {
	if len(args) > 0 {
		return p.archive.find(p.file.path, args[0])
	}
	of, bad := p.archive.of(p.file.path, (*revision).last)
	for _, r := range of {
		if r.Files[0].SHA256 != hashOf(p.file.base) {
			return r, nil
		}
	}
	if bad != nil {
		return nil, bad
	}
	return nil, fmt.Errorf("no earlier revision of %s was kept", p.file.path)
}

// tellOthers says which of the files beside the policy file are not what they
// were in r.
func (p *proposal) tellOthers(r *revision) {
	var differ []string
	for _, f := range r.Files[1:] {
		if p.is.sum(f.Path) != f.SHA256 {
			differ = append(differ, visible(filepath.Base(f.Path)))
		}
	}
	if len(differ) > 0 {
		fmt.Fprintf(p.cmd.ErrOrStderr(), "not as it was in revision %.8s, and not put back: %s\n", r.Revision, strings.Join(differ, ", "))
	}
}
