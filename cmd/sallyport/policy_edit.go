// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyEditCommand() *cobra.Command {
	var (
		state, message string
		yes            bool
	)
	cmd := &cobra.Command{
		Use:   "edit [FILE]",
		Short: "Edit a policy file, and put it in place when it loads and its tests pass",
		Long: `Edit a copy of a policy file, by default the one in force, with the program in
VISUAL or EDITOR, and put it in place of the file when it loads and its tests
pass. Nobody else can edit or apply meanwhile. What is not put in place is kept
beside the file.`,
		Example: `  sallyport policy edit /etc/sallyport/policy.yaml
  VISUAL='code --wait' sallyport policy edit --message 'access for the new office'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			program, err := editor()
			if err != nil {
				return &exitError{exitFailed, err}
			}
			path := strings.Join(args, "")
			p, err := propose(cmd, state, path, "edit")
			if err != nil {
				return err
			}
			defer p.file.unlocker()()
			p.message, p.yes = message, yes
			if path != "" {
				p.named = path
			}
			if p.file.base == nil {
				return &exitError{exitFailed, fmt.Errorf("there is no file %s; sallyport policy starter > %s begins one", path, path)}
			}
			return p.edit(program)
		},
	}
	changeFlags(cmd, &state, &message, &yes)
	return cmd
}

// editor is the command line of the user's editor.
func editor() (string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if v := strings.TrimSpace(os.Getenv(name)); v != "" {
			return v, nil
		}
	}
	for _, name := range []string{"vi", "nano"} {
		if _, err := exec.LookPath(name); err == nil {
			return name, nil
		}
	}
	return "", errors.New("no editor: set VISUAL or EDITOR to one")
}

// edit lets the user change a copy until it is put in place or given up.
func (p *proposal) edit(program string) error {
	prefix := ownFiles + "edit-" + filepath.Base(p.file.real) + "-"
	p.tellLeft(prefix)
	f, err := os.CreateTemp(filepath.Dir(p.file.real), prefix+"*"+filepath.Ext(p.file.real))
	if err != nil {
		return &exitError{exitFailed, err}
	}
	name := f.Name()
	_, err = f.Write(p.file.base)
	if err = errors.Join(err, f.Close()); err != nil {
		return &exitError{exitFailed, errors.Join(err, os.Remove(name))}
	}
	step("copied")
	for {
		err := runEditor(program, name)
		src, _, readErr := policy.ReadFile(name, maxPolicy)
		if readErr != nil {
			return &exitError{exitFailed, fmt.Errorf("%s was not changed: the copy cannot be read: %w", p.file.path, errors.Join(err, readErr))}
		}
		step("edited")
		if bytes.Equal(src, p.file.base) {
			_ = os.Remove(name)
			if err != nil {
				return &exitError{exitFailed, fmt.Errorf("the editor %s: %w", program, err)}
			}
			_, err = fmt.Fprintf(p.cmd.OutOrStdout(), "%s is unchanged\n", visible(p.file.path))
			return err
		}
		if err != nil {
			return p.givenUp(name, exitFailed, fmt.Errorf("the editor %s: %w", program, err))
		}
		err = p.check(src)
		question := "(e)dit again, (q)uit without saving:"
		if err == nil {
			if err := p.show(); err != nil {
				return p.givenUp(name, exitFailed, err)
			}
			if p.yes {
				return p.save(name)
			}
			question = "put this in place? (y)es, (e)dit again, (q)uit without saving:"
		} else if p.yes {
			return p.givenUp(name, exitPolicy, errors.New("the copy does not load"))
		}
		again := false
		for !again {
			answer, askErr := p.ask(question)
			switch {
			case askErr == io.EOF, answer == "q":
				return p.givenUp(name, exitFailed, errors.New("not saved"))
			case askErr != nil:
				return p.givenUp(name, exitFailed, askErr)
			case answer == "e":
				again = true
			case answer == "y" && err == nil:
				return p.save(name)
			}
		}
	}
}

// save puts the copy in place.
func (p *proposal) save(name string) error {
	if err := p.place(); err != nil {
		return p.givenUp(name, exitFailed, err)
	}
	return os.Remove(name)
}

// givenUp leaves the copy where it is.
func (p *proposal) givenUp(name string, code int, err error) error {
	return &exitError{code, fmt.Errorf("%w; what was edited is kept in %s", err, name)}
}

// tellLeft tells of copies that were not put in place, and removes those that
// say nothing new.
func (p *proposal) tellLeft(prefix string) {
	for _, name := range beside(p.file.real, prefix) {
		src, _, err := policy.ReadFile(name, maxPolicy)
		if err == nil && bytes.Equal(src, p.file.base) {
			_ = os.Remove(name)
			continue
		}
		fmt.Fprintf(p.cmd.ErrOrStderr(), "note: %s was edited and not put in place; remove it when it is not needed\n", visible(name))
	}
}

// runEditor runs the editor on a file and waits for it. Signals from the
// keyboard are the editor's; the terminal is left as it was found.
func runEditor(program, name string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(interrupts)
	defer restoreTerminal()()
	cmd := exec.Command("sh", "-c", program+` "$1"`, "sh", name) // as others run it: the variable may have arguments
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	select {
	case s := <-interrupts:
		if s == syscall.SIGTERM || s == syscall.SIGHUP {
			return errors.Join(err, errInterrupted)
		}
	default:
	}
	return err
}

// restoreTerminal returns a function that gives the terminal the modes it has
// now: an editor that is killed leaves it raw.
func restoreTerminal() func() {
	if !isTerminal(os.Stdin) {
		return func() {}
	}
	stty := func(arg string) string {
		cmd := exec.Command("stty", arg)
		cmd.Stdin = os.Stdin
		out, err := cmd.Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	modes := stty("-g")
	return func() {
		if modes != "" {
			stty(modes)
		}
	}
}
