// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the generated files anew")

const root = "../.."

// TestGeneratedManPages keeps docs/man what the commands say of themselves;
// go test ./cmd/sallyport -run TestGenerated -update writes it.
func TestGeneratedManPages(t *testing.T) {
	dir := t.TempDir()
	cmd := rootCommand()
	cmd.DisableAutoGenTag = true
	hideState(cmd)
	date := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	if err := doc.GenManTree(cmd, &doc.GenManHeader{Title: "SALLYPORT", Section: "1", Date: &date, Source: "sallyport"}, dir); err != nil {
		t.Fatal(err)
	}
	want, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(want) < 4 {
		t.Fatalf("generated %d pages, %v", len(want), err)
	}
	committed := filepath.Join(root, "docs", "man")
	if *update {
		if err := os.RemoveAll(committed); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(committed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	have, _ := filepath.Glob(filepath.Join(committed, "*.1"))
	if len(have) != len(want) {
		t.Errorf("docs/man has %d pages, the commands make %d: run go test ./cmd/sallyport -run TestGenerated -update", len(have), len(want))
	}
	for _, page := range want {
		fresh, _ := os.ReadFile(page)
		kept, _ := os.ReadFile(filepath.Join(committed, filepath.Base(page)))
		if !bytes.Equal(fresh, kept) {
			t.Errorf("docs/man/%s is not what the command says: run go test ./cmd/sallyport -run TestGenerated -update", filepath.Base(page))
		}
	}
}

// hideState replaces the default that depends on whose home this is.
func hideState(cmd *cobra.Command) {
	for _, c := range append(cmd.Commands(), cmd) {
		c.DisableAutoGenTag = true
		if f := c.Flags().Lookup("state"); f != nil {
			f.DefValue = "~/.local/state/sallyport"
		}
		if c != cmd {
			hideState(c)
		}
	}
}

// TestDocsNameEveryFlag holds docs/operating.md to the flags of run.
func TestDocsNameEveryFlag(t *testing.T) {
	text := readDoc(t, "docs/operating.md")
	n := 0
	runCommand().Flags().VisitAll(func(f *pflag.Flag) {
		n++
		if !strings.Contains(text, "| `--"+f.Name+" ") || !strings.Contains(text, "`"+envName(f.Name)+"`") {
			t.Errorf("docs/operating.md does not have --%s and %s", f.Name, envName(f.Name))
		}
	})
	if n < 5 {
		t.Fatalf("run has %d flags only", n)
	}
}

// TestReadmeNamesWhatExists: the map leads somewhere, and the two commands are
// targets of the Makefile.
func TestReadmeNamesWhatExists(t *testing.T) {
	readme := readDoc(t, "README.md")
	_, places, ok := strings.Cut(readme, "## Where is…")
	if !ok {
		t.Fatal("README.md has no map")
	}
	paths := regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_.]+)+)`").FindAllStringSubmatch(places, -1)
	if len(paths) < 10 {
		t.Fatalf("the map names %d places only", len(paths))
	}
	for _, m := range paths {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("README.md names %s: %v", m[1], err)
		}
	}
	makefile := readDoc(t, "Makefile")
	for _, target := range []string{"run", "test"} {
		if !strings.Contains(readme, "make "+target) || !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("make %s is not both in README.md and a target", target)
		}
	}
}

func readDoc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
