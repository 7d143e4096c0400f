// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"sallyport/policy"
)

// What a secret may be in bytes. An answer is searched for what went with its
// request, which a short one would be found in everywhere.
const (
	shortestSecret = 8
	longestSecret  = 8 << 10
)

// A secretError says which file a policy's secret could not be read from.
type secretError struct {
	file string
	err  error
}

func (e *secretError) Error() string { return e.err.Error() }

// secrets reads those that the rules of p put into requests, from the files
// STATE/secrets/NAME, which are returned.
func (a *active) secrets(p *policy.Policy) (values map[string]string, files []string, err error) {
	values = make(map[string]string)
	for _, r := range p.Rules {
		for _, v := range r.Request.Set {
			for _, name := range v.Secrets() {
				if values[name] != "" {
					continue
				}
				if a.state == "" {
					return nil, nil, fmt.Errorf("rule %q: secret %q: no state directory to find it in; give one with --state", r.Name, name)
				}
				file := filepath.Join(a.state, "secrets", name)
				if values[name], err = readSecret(file); err != nil {
					return nil, nil, &secretError{file, fmt.Errorf("rule %q: secret %s: %w", r.Name, file, err)}
				}
				files = append(files, file)
			}
		}
	}
	return values, files, nil
}

// absentSecrets are warnings about those that the rules of p name and that are not
// in the state directory. A policy may be checked where its secrets are not.
func absentSecrets(path, state string, p *policy.Policy) (warnings []policy.Diagnostic) {
	told := make(map[string]bool)
	for _, r := range p.Rules {
		for _, v := range r.Request.Set {
			for _, name := range v.Secrets() {
				file := filepath.Join(state, "secrets", name)
				if _, err := os.Stat(file); err == nil || told[name] {
					continue
				}
				told[name] = true
				warnings = append(warnings, policy.Diagnostic{
					File: path, Line: r.Line, Col: 1, Len: 1, Code: "L012", Severity: policy.SeverityWarning,
					Msg: fmt.Sprintf("rule %q: secret %q: %s is not here: the gateway will need it", r.Name, name, file),
				})
			}
		}
	}
	return warnings
}

// readSecret reads the one line of a file that nobody else can read. No error has
// any of it.
func readSecret(file string) (string, error) {
	// O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", errors.New("there is none: write its one line to that file, with mode 0600")
		}
		return "", pathless(err)
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return "", pathless(err)
	case !st.Mode().IsRegular():
		return "", errors.New("it is not a regular file")
	// Windows keeps its permissions elsewhere and shows 0666 for all files.
	case st.Mode()&0o077 != 0 && runtime.GOOS != "windows":
		return "", fmt.Errorf("others than its owner can use it (mode %04o): chmod 600 %s", st.Mode().Perm(), shellWord(file))
	}
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+3))
	if err != nil {
		return "", pathless(err)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case line == "":
		return "", errors.New("it is empty")
	case len(line) > longestSecret:
		return "", fmt.Errorf("it has more than %d bytes", longestSecret)
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }):
		return "", errors.New("it has a character that no field can have: it must be one line of visible US-ASCII characters and spaces")
	case strings.TrimSpace(line) != line:
		return "", errors.New("it begins or ends with a space, which would be lost")
	case len(line) < shortestSecret:
		return "", fmt.Errorf("it has fewer than %d characters, which can be guessed", shortestSecret)
	}
	return line, nil
}

// pathless is err without the file's name, which the message has.
func pathless(err error) error {
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
