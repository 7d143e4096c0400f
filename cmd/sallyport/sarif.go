// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sallyport/policy"
)

// SARIF 2.1.0, the OASIS standard in which code-scanning services take
// findings: the part of it that a diagnostic fills.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPlace `json:"physicalLocation"`
	}
	sarifPlace struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	// Columns count from 1, the end is exclusive.
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndColumn   int `json:"endColumn"`
	}
)

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

func printSARIF(w io.Writer, ds []policy.Diagnostic) error {
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "sallyport", Version: version()}
	index := make(map[string]int)
	for i, c := range policy.Codes() {
		index[c.Name] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Name, sarifText{c.Text}})
	}
	for _, d := range ds {
		text := d.Msg
		if d.Hint != "" {
			text += "\nhelp: " + d.Hint
		}
		line, col := max(d.Line, 1), max(d.Col, 1)
		run.Results = append(run.Results, sarifResult{
			RuleID: d.Code, RuleIndex: index[d.Code], Level: d.Severity.String(), Message: sarifText{text},
			Locations: []sarifLocation{{sarifPlace{sarifArtifact{sarifURI(d.File)}, sarifRegion{line, col, col + max(d.Len, 1)}}}},
		})
	}
	return printJSON(w, sarifLog{sarifSchema, "2.1.0", []sarifRun{run}})
}

// sarifURI is a file as a URI reference: relative where it lies below the
// working directory, as services want it to find the file in a repository.
func sarifURI(file string) string {
	if filepath.IsAbs(file) {
		wd, err := os.Getwd()
		rel, err2 := filepath.Rel(wd, file)
		if err != nil || err2 != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
			return (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()
		}
		file = rel
	}
	return (&url.URL{Path: filepath.ToSlash(filepath.Clean(file))}).String()
}
