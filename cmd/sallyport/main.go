// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Sallyport is an outbound HTTPS security gateway: internal clients speak
// plain HTTP to it or tunnel through it, and a policy file decides which.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func main() { os.Exit(realMain()) }

func realMain() int {
	cmd, err := rootCommand().ExecuteC()
	if err == nil {
		return 0
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		// cobra's own: flags and arguments
		exit = &exitError{code: exitUsage, err: fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	if exit.err != nil {
		fmt.Fprintf(os.Stderr, "sallyport: %v\n", exit.err)
	}
	return exit.code
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "An outbound HTTPS security gateway",
		Long: `Sallyport is an outbound HTTPS security gateway. Internal clients speak plain
HTTP to it and it re-issues their requests over verified TLS (originate), or
they tunnel through it with CONNECT (tunnel). A policy file decides which.`,
		Example: `  sallyport run                                    # start with the built-in policy
  sallyport run --policy /etc/sallyport/policy.yaml
  sallyport policy check policy.yaml
  sallyport policy explain policy.yaml GET http://example.com/
  sallyport cert verify www.example.com:443
  sallyport demo                                   # what each mode means, on recorded wires`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("sallyport {{.Version}}\n")
	root.AddCommand(runCommand(), policyCommand(), caCommand(), certCommand(), demoCommand())
	return root
}

// version is the module's, or the commit the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := strings.TrimPrefix(info.Main.Version, "v")
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				v = "devel-" + s.Value[:12]
			}
		}
	}
	return v + " (" + info.GoVersion + ")"
}
