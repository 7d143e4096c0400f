// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

func (c *caInstaller) uninstall(cmd *cobra.Command) error {
	if err := c.begin(cmd); err != nil {
		return err
	}
	var places []trustEntry
	for _, e := range slices.Backward(c.record.Entries) {
		known := func(p trustEntry) bool { return p.Kind == e.Kind && p.Where == e.Where }
		if slices.Contains(c.kinds, e.Kind) && !slices.ContainsFunc(places, known) {
			places = append(places, e)
		}
	}
	if len(places) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: nothing is installed from %s\n", line(filepath.Dir(c.record.dir)))
		return nil
	}
	for _, p := range places {
		c.distrust(commandContext(cmd), p.Kind, p.Where)
	}
	return c.end("uninstall")
}

// distrust takes out of one store what the record says was put there.
func (c *caInstaller) distrust(ctx context.Context, kind, where string) {
	entries := slices.DeleteFunc(slices.Clone(c.record.Entries), func(e trustEntry) bool { return e.Kind != kind || e.Where != where })
	s, err := openStore(kind, where)
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.cmd.OutOrStdout(), "# %s %s is gone itself\n", kind, line(where))
		c.forget(entries)
		return
	}
	if err != nil {
		c.fail(fmt.Sprintf("%s: %v", kind, err))
		return
	}
	run, changed := c.privileged(s), false
	for _, e := range entries {
		r := trustedRoot{sum: e.SHA256}
		has, err := s.has(ctx, r)
		if c.failed(s, err) {
			return
		}
		if !has {
			fmt.Fprintf(c.cmd.OutOrStdout(), "# %s: %s is not there any more, or is another: left alone\n", s, line(e.Subject))
			continue
		}
		fmt.Fprintf(c.cmd.OutOrStdout(), "# %s: %s, SHA-256 %s\n", s, line(e.Subject), line(e.SHA256))
		changed = true
		if c.failed(s, run.run(ctx, s.del(r))) {
			return
		}
	}
	if changed && c.failed(s, run.run(ctx, s.deleted)) {
		return
	}
	if changed && kind == "system" {
		c.forgottenByHook(ctx, run, entries)
	}
	switch {
	case run.sudo && changed:
		c.byRoot++
	case !c.dry:
		c.forget(c.gone(ctx, s, entries))
	}
}

// gone are the entries whose roots are in the store no more.
func (c *caInstaller) gone(ctx context.Context, s *trustStore, entries []trustEntry) (gone []trustEntry) {
	for _, e := range entries {
		if has, err := s.has(ctx, trustedRoot{sum: e.SHA256}); err != nil || has {
			c.fail(fmt.Sprintf("%s: the commands ran, and %s is still there", s, line(e.Subject)))
			continue
		}
		gone = append(gone, e)
	}
	return gone
}

// forgottenByHook takes out of Debian's keystore for Java what the system's hook
// has put there. It is told of what has come and not of what has gone.
func (c *caInstaller) forgottenByHook(ctx context.Context, run commandRunner, entries []trustEntry) {
	s := javaStore(debianJava)
	if findJava() == nil {
		return
	}
	for _, e := range entries {
		r := trustedRoot{sum: e.SHA256}
		if has, err := s.has(ctx, r); err == nil && has {
			c.failed(s, run.run(ctx, s.del(r)))
		}
	}
}

func (c *caInstaller) forget(entries []trustEntry) {
	if c.dry {
		return
	}
	for _, e := range slices.Clone(entries) {
		if err := c.record.drop(e); err != nil {
			c.fail(fmt.Sprintf("%s: %v", c.record.path(), err))
		}
	}
}
