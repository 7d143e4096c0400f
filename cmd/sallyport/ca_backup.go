// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

func caBackupCommand() *cobra.Command {
	var f caFlags
	var out string
	var force bool
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Write everything the CA has to one file, while it goes on",
		Long: `Write everything the CA has to one file: keys, which stay sealed, certificates,
revocations, ACME accounts and settings, as they are at one moment. The
passphrase is not in it: keep it elsewhere. Whoever restores needs both.`,
		Example: `  sallyport ca backup --out ca-$(date +%F).backup
  sallyport ca backup --out - | ssh backup.corp.test 'cat > ca.backup'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			if out == "-" {
				return c.receive(commandContext(cmd), "/v1/ca/backup", cmd.OutOrStdout())
			}
			n, err := backupTo(cmd, c, out, force)
			if err != nil {
				return &exitError{exitFailed, err}
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]any{"file": out, "bytes": n})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes, sealed with the CA's passphrase, which is not in it\nnext: keep it on another machine, and the passphrase in a third place; sallyport ca restore %s --state NEWDIR reads it\n", out, n, shellWord(out))
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write, or - for stdout")
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// backupTo writes the whole backup to a file, or none.
func backupTo(cmd *cobra.Command, c *adminClient, out string, force bool) (int64, error) {
	files := &bundle{force: force}
	defer files.discard()
	if files.expect(out); files.err != nil {
		return 0, files.err
	}
	f, err := files.create(out, 0o600)
	if err != nil {
		return 0, err
	}
	told := &toldWriter{w: f, next: time.Now().Add(time.Second), quiet: !isTerminal(os.Stderr)}
	err = c.receive(commandContext(cmd), "/v1/ca/backup", told)
	told.clear()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("writing %s: %w", out, err)
	}
	return told.n, files.publish()
}

// A toldWriter tells on a terminal how much it has written.
type toldWriter struct {
	w     io.Writer
	n     int64
	next  time.Time
	quiet bool
	shown bool
}

func (t *toldWriter) Write(b []byte) (int, error) {
	n, err := t.w.Write(b)
	t.n += int64(n)
	if !t.quiet && time.Now().After(t.next) {
		t.next, t.shown = time.Now().Add(time.Second), true
		fmt.Fprintf(os.Stderr, "\r%d MiB", t.n>>20)
	}
	return n, err
}

func (t *toldWriter) clear() {
	if t.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}

func caRestoreCommand() *cobra.Command {
	var f caFlags
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the CA of a backup, on a new machine",
		Long: `Make the CA of a backup in a state directory that has none. It needs the
passphrase that the CA had, by --passphrase-file, as the systemd credential
sallyport-passphrase, or as STATE/ca/passphrase (0600, in a directory 0700). The
whole file is verified before anything is there. Serial numbers, revocations and
ACME accounts are those of the backup; what was issued after it is not known to
the CA it makes, and stays good.`,
		Example: `  sallyport ca restore ca.backup --state /var/lib/sallyport --passphrase-file passphrase
  ssh backup.corp.test 'cat ca.backup' | sallyport ca restore - --passphrase-file passphrase`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return &exitError{exitFailed, err}
				}
				defer file.Close()
				in = file
			}
			c, err := f.open(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			var out caStatus
			if err := c.send(commandContext(cmd), "POST", "/v1/ca/restore", io.NopCloser(in), &out); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), out)
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "restored the CA of %s in %s: %s issued, %d revoked\n", visible(out.Name), visible(out.Directory), count(out.Issued, "certificate", "certificates"), out.Revoked)
			if !out.Beside {
				fmt.Fprintf(w, "it is sealed with the passphrase in %s: give that to the gateway too, as --passphrase-file, a systemd credential, or %s (0600)\n", visible(out.Passphrase), filepath.Join(out.Directory, "passphrase"))
			}
			_, err = fmt.Fprintf(w, "next: sallyport ca status%s; end the gateway that has the old one, so that no two sign as the same CA\n", f.shown())
			return err
		},
	}
	f.add(cmd)
	return cmd
}
