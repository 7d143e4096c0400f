// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Check, test and explain policy files",
		Example: `  sallyport policy check policy.yaml
  sallyport policy test policy.yaml
  sallyport policy explain policy.yaml GET http://example.com/ --as ip:10.1.1.1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(os.Stderr)
			cmd.Usage()
			return &exitError{code: exitUsage}
		},
	}
	cmd.AddCommand(policyCheckCommand(), policyTestCommand(), policyExplainCommand(), policyStarterCommand())
	return cmd
}

func policyStarterCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "starter",
		Short:   "Print the built-in policy, to begin your own with",
		Example: `  sallyport policy starter > policy.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.StarterSource())
			return err
		},
	}
}

func policyCheckCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Read a policy with its lists, run its tests, and tell everything that is wrong",
		Example: `  sallyport policy check policy.yaml
  sallyport policy check policy.yaml --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := policy.Load(args[0])
			if asJSON {
				return printCheck(cmd.OutOrStdout(), args[0], p, err)
			}
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			printDiagnostics(cmd.ErrOrStderr(), p.Warnings())
			_, requests := p.Tests()
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, %s, revision %.8s\n",
				args[0], count(len(p.Rules), "rule", "rules"), count(requests, "test passes", "tests pass"), p.Revision)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func policyTestCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "test FILE",
		Short:   "Run the tests of a policy and show each request with what becomes of it",
		Example: `  sallyport policy test policy.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := policy.Test(args[0])
			if asJSON {
				return printTests(cmd.OutOrStdout(), args[0], results, err)
			}
			for _, r := range results {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), r); err != nil {
					return err
				}
			}
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	return cmd
}

func policyExplainCommand() *cobra.Command {
	var (
		as     []string
		at     string
		plain  bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain FILE [METHOD] URL | explain FILE CONNECT HOST:PORT",
		Short: "Show how a policy decides a request, rule by rule",
		Example: `  sallyport policy explain policy.yaml GET http://example.com/
  sallyport policy explain policy.yaml CONNECT github.com:22 --as ip:10.20.9.9,group:engineering
  sallyport policy explain policy.yaml POST https://www.dropbox.com/s/abc --as ip:10.1.1.1,user:eva --at 2026-11-24T22:00:00+01:00`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := question(args[1:], as, at, plain)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			p, err := policy.Load(args[0])
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			e := p.Explain(q)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), e)
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&as, "as", nil, "who asks: `ip:10.1.1.1,user:eva,group:staff,cert:…,claim:k=v`; without ip, 127.0.0.1")
	f.StringVar(&at, "at", "", "when, as `2026-11-24T22:00:00+01:00`; default now")
	f.BoolVar(&plain, "plain", false, "the https URL is sent to the gateway in plaintext, not through CONNECT")
	f.BoolVar(&asJSON, "json", false, "print the explanation as JSON")
	return cmd
}

// question makes a query of the command line.
func question(request, as []string, at string, plain bool) (policy.Query, error) {
	q, err := policy.ParseRequest(strings.Join(request, " "))
	if err != nil {
		return q, err
	}
	if plain {
		if q.Kind != policy.Inner {
			return q, errors.New("--plain goes with an https:// URL")
		}
		q.Kind = policy.Plain
	}
	q.At = time.Now()
	if at != "" {
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return q, fmt.Errorf("--at %q is no time: write it as 2026-11-24T22:00:00+01:00", at)
		}
	}
	q.Client = policy.Client{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	for _, list := range as {
		for _, item := range strings.Split(list, ",") {
			if err := prove(&q.Client, item); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// prove adds one item of --as to what is proven about the client.
func prove(c *policy.Client, item string) error {
	kind, value, _ := strings.Cut(item, ":")
	if value == "" {
		return fmt.Errorf("--as %q: write ip:, user:, group:, cert: or claim: and a value", item)
	}
	switch kind {
	case "ip":
		a, err := netip.ParseAddr(value)
		if err != nil {
			return fmt.Errorf("--as %q: %q is not an address", item, value)
		}
		c.Addr = a.Unmap().WithZone("")
	case "user":
		c.User = value
	case "group":
		c.Groups = append(c.Groups, value)
	case "cert":
		c.Certs = append(c.Certs, value)
	case "claim":
		c.Claims = append(c.Claims, value)
	default:
		return fmt.Errorf("--as %q: %q is not one of ip, user, group, cert and claim", item, kind)
	}
	return nil
}

// refused prints why a policy does not load, and ends with exit code 3.
func refused(w io.Writer, err error) error {
	var e *policy.Error
	if !errors.As(err, &e) {
		return &exitError{exitPolicy, err}
	}
	printDiagnostics(w, e.Diagnostics)
	return &exitError{code: exitPolicy}
}

// printDiagnostics prints what there is to say about a policy, in colour on a
// terminal.
func printDiagnostics(w io.Writer, ds []policy.Diagnostic) {
	f, ok := w.(*os.File)
	coloured := ok && colour(f)
	for _, d := range ds {
		s := d.String()
		if coloured {
			paint := "\x1b[1;31m"
			if d.Severity != policy.SeverityError {
				paint = "\x1b[1;33m"
			}
			label := fmt.Sprintf("%s[%s]", d.Severity, d.Code)
			s = strings.Replace(s, label, paint+label+"\x1b[0m", 1)
		}
		fmt.Fprintln(w, s)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// printCheck prints the result of check as JSON.
func printCheck(w io.Writer, file string, p *policy.Policy, err error) error {
	out := struct {
		File        string              `json:"file"`
		OK          bool                `json:"ok"`
		Rules       int                 `json:"rules"`
		Tests       int                 `json:"tests"`
		Revision    string              `json:"revision,omitempty"`
		Diagnostics []policy.Diagnostic `json:"diagnostics"`
	}{File: file, OK: err == nil, Diagnostics: diagnostics(p, err)}
	if err == nil {
		out.Rules, out.Revision = len(p.Rules), p.Revision
		_, out.Tests = p.Tests()
	}
	return printResult(w, out, err)
}

// printTests prints the results of test as JSON.
func printTests(w io.Writer, file string, results []policy.TestResult, err error) error {
	return printResult(w, struct {
		File        string              `json:"file"`
		OK          bool                `json:"ok"`
		Results     []policy.TestResult `json:"results"`
		Diagnostics []policy.Diagnostic `json:"diagnostics"`
	}{file, err == nil, append([]policy.TestResult{}, results...), diagnostics(nil, err)}, err)
}

func diagnostics(p *policy.Policy, err error) []policy.Diagnostic {
	var e *policy.Error
	switch {
	case errors.As(err, &e):
		return e.Diagnostics
	case p != nil:
		return append([]policy.Diagnostic{}, p.Warnings()...)
	}
	return []policy.Diagnostic{}
}

func printResult(w io.Writer, v any, err error) error {
	if err := printJSON(w, v); err != nil {
		return err
	}
	if err != nil {
		return &exitError{code: exitPolicy}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
