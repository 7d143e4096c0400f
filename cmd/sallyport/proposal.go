// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

// A proposal is a change of a policy file on its way: checked, shown, agreed to,
// put in place.
type proposal struct {
	cmd     *cobra.Command
	archive *archive
	file    *policyFile
	named   string // as the user calls the new content
	yes     bool   // nobody is asked
	in      *bufio.Reader
	change
}

// propose opens the policy file at path to be changed; "" is the one in force.
func propose(cmd *cobra.Command, state, path, source string) (*proposal, error) {
	p := &proposal{cmd: cmd, in: bufio.NewReader(cmd.InOrStdin())}
	p.source = source
	var err error
	if p.archive, err = openArchive(state); err != nil {
		return nil, &exitError{exitFailed, err}
	}
	if path, err = p.archive.policyPath(path); err != nil {
		return nil, err
	}
	if p.file, err = openPolicyFile(path); err != nil {
		return nil, &exitError{exitFailed, err}
	}
	p.named = path
	if p.file.base != nil {
		p.before, p.was, _ = p.file.check(p.file.base)
	}
	return p, nil
}

// policyPath is the absolute path of the policy file that the user calls path,
// by the name that the gateway has for it; for "" the one in force.
func (a *archive) policyPath(path string) (string, error) {
	now, ran, err := a.inForce()
	if err != nil {
		return "", &exitError{exitFailed, err}
	}
	switch {
	case path == "" && !ran:
		return "", &exitError{exitUsage, fmt.Errorf("no gateway has run with the state directory %s; name the policy file, or another directory with --state", filepath.Dir(a.dir))}
	case path == "" && now.Policy == "":
		return "", &exitError{exitUsage, errors.New("the built-in policy is in force, which has no file; name the policy file")}
	case path == "" && a.own.uid > 0:
		// Else whoever the gateway runs as could have root write to any file.
		return "", &exitError{exitUsage, fmt.Errorf("the state directory says that the policy file is %s, and belongs to another user: name the file", now.Policy)}
	case path == "":
		return now.Policy, nil
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return "", &exitError{exitFailed, err}
	}
	mine, err1 := os.Stat(full)
	its, err2 := os.Stat(now.Policy)
	if err1 == nil && err2 == nil && os.SameFile(mine, its) && a.own.uid <= 0 {
		return now.Policy, nil
	}
	return full, nil
}

// matches refuses to replace anything but the revision that the caller knows.
func (p *proposal) matches(rev string) error {
	if rev == "" {
		return nil
	}
	if len(rev) < 8 {
		return &exitError{exitUsage, fmt.Errorf("--if-revision %s: give at least eight digits", rev)}
	}
	now := "unknown"
	if p.before != nil {
		now = p.before.Revision
	} else if a, ok, err := p.archive.inForce(); err == nil && ok && a.Policy == p.file.path {
		now = a.Revision // what it says does not load, and this is enforced
	}
	if !strings.HasPrefix(now, strings.ToLower(rev)) {
		return &exitError{exitFailed, fmt.Errorf("%s is revision %.8s, not %s: nothing was changed", p.file.path, now, rev)}
	}
	return nil
}

// check loads src as if it stood in the file, and tells what is wrong with it.
func (p *proposal) check(src []byte) error {
	after, is, err := p.file.check(src)
	if err == nil {
		if diags := after.Unsupported(); len(diags) > 0 {
			err = &exitError{exitPolicy, notYetSupported(p.named, diags)}
		}
	}
	w := p.cmd.ErrOrStderr()
	var e *policy.Error
	if errors.As(err, &e) {
		printDiagnostics(w, p.renamed(e.Diagnostics))
		return &exitError{code: exitPolicy}
	}
	if err != nil {
		return err
	}
	printDiagnostics(w, p.renamed(after.Warnings()))
	p.src, p.after, p.is = src, after, is
	return nil
}

// renamed has the diagnostics speak of the file the user knows.
func (p *proposal) renamed(diags []policy.Diagnostic) []policy.Diagnostic {
	diags = slices.Clone(diags)
	for i := range diags {
		if diags[i].File == p.file.path {
			diags[i].File = p.named
		}
	}
	return diags
}

// show prints what the change comes to.
func (p *proposal) show() error {
	w := p.cmd.OutOrStdout()
	_, requests := p.after.Tests()
	fmt.Fprintf(w, "%s: %s, %s, revision %.8s\n", visible(p.named),
		count(len(p.after.Rules), "rule", "rules"), count(requests, "test passes", "tests pass"), p.after.Revision)
	switch {
	case p.file.base == nil:
		fmt.Fprintf(w, "%s is new\n", visible(p.file.path))
	case p.before == nil:
		fmt.Fprintf(w, "%s says something now that does not load\n", visible(p.file.path))
	default:
		c := policy.Compare(p.before, p.after, time.Now())
		if c.Rules.None() {
			_, err := fmt.Fprintln(w, "no rule is different")
			return err
		}
		return c.Text(w)
	}
	return nil
}

// place puts the change in force, or fails having changed nothing.
func (p *proposal) place() error {
	err := p.file.place(p.archive, p.change)
	if err != nil {
		return fmt.Errorf("%s was not written: %w", p.file.path, err)
	}
	was := "what there was"
	if p.before != nil {
		was = p.before.Revision[:8]
	}
	if p.file.base == nil {
		was = "nothing"
	}
	_, err = fmt.Fprintf(p.cmd.OutOrStdout(), "%s: revision %.8s in place of %s\n", visible(p.file.path), p.after.Revision, was)
	return err
}

// errInterrupted: a signal came while a question stood.
var errInterrupted = errors.New("interrupted")

// ask puts a question and returns the first letter of the answer, lower-case,
// or io.EOF when there is none to come.
func (p *proposal) ask(question string) (string, error) {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupts)
	fmt.Fprint(p.cmd.ErrOrStderr(), question+" ")
	type reply struct {
		line string
		err  error
	}
	answered := make(chan reply, 1)
	go func() {
		line, err := p.in.ReadString('\n')
		answered <- reply{line, err}
	}()
	select {
	case <-interrupts:
		fmt.Fprintln(p.cmd.ErrOrStderr())
		return "", errInterrupted
	case r := <-answered:
		if r.err != nil && (r.err != io.EOF || r.line == "") {
			fmt.Fprintln(p.cmd.ErrOrStderr())
			return "", r.err
		}
		word := strings.ToLower(strings.TrimSpace(r.line))
		return word[:min(1, len(word))], nil
	}
}

// agreed asks whether the change is to be put in place.
func (p *proposal) agreed() error {
	if p.yes {
		return nil
	}
	answer, err := p.ask("put this in place? (y)es, (n)o:")
	if err == io.EOF || err == nil && answer != "y" {
		err = errors.New("not agreed to")
	}
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("%s was not changed: %w", p.file.path, err)}
	}
	return nil
}

// changeFlags are those of every command that changes a policy file.
func changeFlags(cmd *cobra.Command, state, message *string, yes *bool) {
	stateFlag(cmd, state)
	cmd.Flags().StringVar(message, "message", "", "why, for the audit log")
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
}

// awaitConfirmation waits until the change is confirmed or taken back.
func (p *proposal) awaitConfirmation() error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupts)
	end := time.Now().Add(p.confirm)
	fmt.Fprintf(p.cmd.ErrOrStderr(), "it is taken back at %s unless it is confirmed: sallyport policy confirm\n", end.Format(time.TimeOnly))
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := p.archive.expire(p.file.path); err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s was not confirmed, and what it was before cannot be put back: %w", p.file.path, err)}
		}
		w, err := p.archive.waiting()
		if err != nil {
			return &exitError{exitFailed, err}
		}
		if w == nil || w.Applied != hashOf(p.src) {
			break
		}
		select {
		case <-interrupts:
			return &exitError{exitFailed, errors.New("interrupted; the gateway takes it back unless it is confirmed")}
		case <-look.C:
		}
	}
	now, _, err := p.file.now()
	if err != nil {
		return &exitError{exitFailed, err}
	}
	if hashOf(now) != hashOf(p.src) {
		return &exitError{exitFailed, fmt.Errorf("%s was not confirmed: it says again what it said before", p.file.path)}
	}
	_, err = fmt.Fprintf(p.cmd.OutOrStdout(), "%s: revision %.8s is confirmed\n", visible(p.file.path), p.after.Revision)
	return err
}
