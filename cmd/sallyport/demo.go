// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sallyport/cmd/sallyport/demo"
)

func demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Compare the modes by what is on the wires",
		Long: `Compare the modes: what each shows on the wires, who checks the origin, whose
certificate reaches it, what a policy can act on, what goes on working and what it
costs. Origins, a gateway with a CA of its own, recorders on both sides of it and a
client are started on this machine, make the same exchanges in each mode and
directly, and are taken away again. Every cell is computed from what was recorded in
this run. It takes some ten seconds and needs no network, no root and no set-up.`,
		Example: `  sallyport demo
  sallyport demo --serve
  sallyport demo --html report.html
  sallyport demo --json > report.json
  sallyport demo --pcap wires && wireshark wires/intercept.pcapng
  sallyport demo --policy policy.yaml
  sallyport demo --peer squid`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(commandContext(cmd), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			err := compareModes(ctx, cmd, o)
			if told := (*exitError)(nil); err == nil || errors.As(err, &told) {
				return err
			}
			return &exitError{exitFailed, err}
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print the report as JSON")
	cmd.Flags().StringVar(&o.packets, "pcap", "", "write the wires to a new `directory`, as packets with the keys to read them by")
	cmd.Flags().StringVar(&o.policy, "policy", "", "compare the modes and settings of the rules of a policy `file`, instead of the bare modes")
	cmd.Flags().StringSliceVar(&o.peers, "peer", nil, "compare another proxy that is installed, too, by `name`: squid")
	o.page.flags(cmd)
	return cmd
}

type demoOptions struct {
	json    bool
	packets string // a directory; "": nowhere
	policy  string // a file; "": the modes as they are
	peers   []string
	page    demoPage
}

// compareModes runs the comparison and tells what was found, in all the ways asked
// for. Where one of them cannot be written to it says so before anything is tried.
func compareModes(ctx context.Context, cmd *cobra.Command, o demoOptions) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, to run it as the gateway: %w", err)
	}
	run := demo.Options{Program: program, Version: version(), Costs: true}
	if o.policy != "" {
		run.Columns = []string{"direct"}
		if run.Ways, run.Notes, err = demoWays(cmd.ErrOrStderr(), o.policy); err != nil {
			return err
		}
	}
	for _, name := range o.peers {
		ways, notes, err := demo.PeerWays(name)
		if err != nil {
			return err
		}
		run.Ways, run.Notes = append(run.Ways, ways...), append(run.Notes, notes...)
	}
	if err := o.page.check(); err != nil {
		return err
	}
	var dir *demo.CaptureDir
	if o.packets != "" {
		if dir, err = demo.NewCaptureDir(o.packets); err != nil {
			return err
		}
	}
	var done func()
	run.Progress, done = statusLine(cmd.ErrOrStderr())
	result, err := demo.Run(ctx, run)
	done()
	if err != nil {
		dir.Abandon()
		return err
	}
	if dir != nil {
		if _, err := dir.Write(result); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if o.json {
		err = printJSON(out, result.Report)
	} else {
		err = demo.WriteText(out, result.Report, terminalWidth(os.Stdout), colour(os.Stdout))
	}
	if err != nil {
		return err
	}
	return o.page.finish(ctx, out, result.Report)
}

// statusLine is one line on a terminal that says what is being done, and nothing
// elsewhere. done takes it away.
func statusLine(w io.Writer) (say func(string), done func()) {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(f) {
		return func(string) {}, func() {}
	}
	say = func(what string) { fmt.Fprintf(f, "\r\x1b[K%s …", what) }
	return say, func() { fmt.Fprint(f, "\r\x1b[K") }
}

// terminalWidth is how many columns f has; 0: it is no terminal, or does not say.
func terminalWidth(f *os.File) int {
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}
