// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

// The rules of the command line:
//
//   - Results go to stdout, everything else to stderr.
//   - An error is one line that begins with "sallyport: ", is lower case, and
//     names the next step. Diagnostics of a policy come in their own form
//     before it.
//   - Nothing is printed when nothing is wrong and nothing was asked for.
//   - Colour only on a terminal, and never with NO_COLOR set.
//   - Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the policy does not load, 5
//     the answer is no, 6 something expires sooner than asked for.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
)

const (
	exitFailed   = 1
	exitUsage    = 2
	exitPolicy   = 3
	exitNegative = 5 // done, and the answer is no
	exitExpiring = 6 // within the time asked for
)

// An exitError ends the program with code. A nil err means that what there is
// to say was said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// isTerminal reports whether f is one, and not a file or pipe.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// colour reports whether f takes colours.
func colour(f *os.File) bool { return isTerminal(f) && os.Getenv("NO_COLOR") == "" }

// printable is s without what a terminal would obey: what comes from clients,
// or from a log, is shown and not done.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
