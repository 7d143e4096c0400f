// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fromEnv gives every flag that was not set on the command line the value of
// its environment variable: --drain reads SALLYPORT_DRAIN. Lists are separated
// by commas. The flag wins.
func fromEnv(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		v, ok := os.LookupEnv(envName(f.Name))
		if !ok || f.Changed || err != nil {
			return
		}
		if e := f.Value.Set(v); e != nil {
			err = &exitError{code: exitUsage, err: fmt.Errorf("%s=%s: %w", envName(f.Name), v, e)}
		}
	})
	return err
}

func envName(flag string) string {
	return "SALLYPORT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
