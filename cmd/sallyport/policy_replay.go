// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

// withReplay gives the command that compares policies a second way to do it: by
// the requests of an access log.
func withReplay(diff *cobra.Command) *cobra.Command {
	var log string
	diff.Flags().StringVar(&log, "replay", "", "compare by deciding the requests of `ACCESS.LOG` again, which may be .gz; - is stdin")
	diff.Use += " | diff [OLD] NEW --replay ACCESS.LOG"
	diff.Long = diff.Short + `.

With --replay both policies decide the requests of an access log again; with one
policy it is compared with what was recorded. Requests that were recorded under
one of the policies have to come out as recorded; where they do not, the line is
told. Exit code 1 means that something comes out differently.`
	diff.Example += `
  sallyport policy diff policy.yaml policy-new.yaml --replay access.log
  zcat access.log.*.gz | sallyport policy diff policy-new.yaml --replay -`
	classes, two := diff.RunE, diff.Args
	diff.Args = func(cmd *cobra.Command, args []string) error {
		if log == "" {
			return two(cmd, args)
		}
		return cobra.RangeArgs(1, 2)(cmd, args)
	}
	diff.RunE = func(cmd *cobra.Command, args []string) error {
		if log == "" {
			return classes(cmd, args)
		}
		r, err := loadReplay(args)
		if err != nil {
			return refused(cmd.ErrOrStderr(), err)
		}
		if err := r.file(log, cmd.InOrStdin()); err != nil {
			return &exitError{exitFailed, err}
		}
		out := cmd.OutOrStdout()
		if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
			err = printJSON(out, r)
		} else {
			_, err = io.WriteString(out, printable(r.String()))
		}
		if err == nil && (len(r.Changes) > 0 || r.Unfaithful > 0) {
			return &exitError{code: exitFailed}
		}
		return err
	}
	return diff
}

// loadReplay loads the one or two policies of the command line.
func loadReplay(args []string) (*replay, error) {
	if len(args) == 2 {
		before, after, err := loadBoth(args[0], args[1])
		if err != nil {
			return nil, err
		}
		return newReplay(before, after), nil
	}
	after, err := policy.Load(args[0])
	if err != nil {
		return nil, err
	}
	return newReplay(nil, after), nil
}

// file replays the log at path, and tells on a terminal how far it is.
func (r *replay) file(path string, stdin io.Reader) error {
	in, size := stdin, int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	read := &progress{Reader: in, size: size, next: time.Now().Add(time.Second)}
	if !isTerminal(os.Stderr) {
		read.next = time.Time{}
	}
	err := r.run(read, read.told)
	read.clear()
	if err != nil {
		return fmt.Errorf("reading the log: %s, after line %d: %w", path, r.Lines, err)
	}
	if r.Decisions == 0 && r.NotDecided == 0 {
		return r.nothing(path)
	}
	return nil
}

// nothing says why there was nothing to decide.
func (r *replay) nothing(path string) error {
	switch {
	case r.FirstBad != nil:
		return fmt.Errorf("%s has no request that can be decided again; line %d: %s (the console format leaves out what a decision depends on: run the gateway with --log json)", path, r.FirstBad.Line, r.FirstBad.Why)
	case r.Lines == 0:
		return fmt.Errorf("%s is empty", path)
	}
	return errors.New(path + " has no line about a request: is it an access log?")
}

// progress counts what is read of a log, and tells it once a second.
type progress struct {
	io.Reader
	done, size int64
	next       time.Time // when to tell; zero: never
	shown      bool
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.done += int64(n)
	return n, err
}

func (p *progress) told(line int) {
	if p.next.IsZero() || line%1000 != 0 || time.Now().Before(p.next) {
		return
	}
	p.next, p.shown = time.Now().Add(time.Second), true
	fmt.Fprintf(os.Stderr, "\r%d lines", line)
	if p.size > 0 {
		fmt.Fprintf(os.Stderr, ", %d%%", 100*p.done/p.size)
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
