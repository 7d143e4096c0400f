// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"sallyport/certs/inspect"
)

func certCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Look at certificates, and keep them",
		Example: `  sallyport cert inspect server.pem
  sallyport cert inspect www.example.com:443
  sallyport cert verify www.example.com:443`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stderr)
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(
		certImportCommand(),
		certInspectCommand(),
		certListCommand(),
		certRenewCommand(),
		certVerifyCommand(),
		certWatchCommand(),
	)
	return cmd
}

// line is s as a certificate or a server chose it, as it can stand in a line
// on a terminal: what would move the cursor, colour the text or turn its
// direction is shown and not done.
func line(s string) string { return strings.ReplaceAll(printable(s), "\n", `\n`) }

// printSafeJSON is printJSON with every character escaped that a terminal
// could obey: encoding/json leaves those above ASCII as they are.
func printSafeJSON(w io.Writer, v any) error {
	var b strings.Builder
	if err := printJSON(&b, v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeJSON(b.String()))
	return err
}

func escapeJSON(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			safe.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&safe, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	return safe.String()
}

// timeLeft is how long a certificate is still good for, in words.
func timeLeft(c *inspect.Certificate, now time.Time) string {
	switch c.State {
	case inspect.Expired:
		return "EXPIRED " + ageText(now.Sub(c.NotAfter)) + " ago"
	case inspect.NotYetValid:
		return "NOT VALID for another " + ageText(c.NotBefore.Sub(now))
	}
	return ageText(c.NotAfter.Sub(now)) + " left"
}

const certTime = "2006-01-02 15:04 UTC"
