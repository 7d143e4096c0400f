// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A Policy is a policy file with its lists, read, checked and tested. It is
// immutable once published; the nil Policy denies everything.
type Policy struct {
	Generation uint64 // set by whoever publishes it, before first use
	Revision   string // SHA-256 over the policy file and its lists, in hex
	Path       string // as it was named to Load
	Rules      []*Rule
	Origins    []*Origin // by name; one written into a rule is named "rule/" and the rule
	Pages      Pages

	mappings  mappingSet
	index     *index // of Rules; nil: each is asked
	groups    []namedClients
	lists     []*hostSet
	tests     []testCase
	testCount int
	files     []string
	warnings  []Diagnostic
	needs     []Need
	pending   []Diagnostic
	sources   map[string]*reporter // by Rule.File, for Lint
	remarks   []Diagnostic         // of Lint, about words of the file
}

// Load reads the policy file at path and the lists it names, relative to its
// directory, and runs its tests. When anything is wrong the policy is nil and
// the error an *Error with everything that is.
func Load(path string) (*Policy, error) {
	src, err := readPolicy(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	p, err := Parse(path, src, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		full = path
	}
	p.files = append([]string{full}, p.files...)
	return p, nil
}

// readPolicy reads a little more than a policy may have, so that Parse can say
// so without reading whatever the path leads to.
func readPolicy(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func unreadable(path string, err error) error {
	return &Error{[]Diagnostic{{File: path, Line: 1, Col: 1, Len: 1, Code: "P005", Msg: fmt.Sprintf("the policy cannot be read: %v", bare(err))}}}
}

// bare is what is wrong with a file, without its path, which is told anyway.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// Parse reads a policy from memory; name stands for the file in messages and
// dir is where the files it names are looked for.
func Parse(name string, src []byte, dir string) (*Policy, error) {
	p, _, err := load(name, src, dir, ReadFile)
	return p, err
}

func load(name string, src []byte, dir string, read Reader) (*Policy, []TestResult, error) {
	return Loader{Read: read}.load(name, src, dir)
}

func (l Loader) load(name string, src []byte, dir string) (*Policy, []TestResult, error) {
	text := bytes.TrimPrefix(src, []byte("\ufeff")) // which some editors write
	c := &compiler{reporter: newReporter(name, text), dir: dir, read: l.Read, listCache: l.ListCache}
	root := c.parseYAML(text)
	if root == nil {
		return nil, nil, c.failure()
	}
	c.shape(root, value{form: mapping, section: policySection}, "the file")
	p := c.compile(root)
	if c.failed() {
		return nil, nil, c.failure()
	}
	p.index = newIndex(p.Rules, c.listSets())
	results := p.runTests()
	p.sources = make(map[string]*reporter)
	for _, f := range c.files() {
		p.sources[f.name] = &reporter{file: f.reporter.file, lines: f.lines}
		p.remarks = append(p.remarks, f.remarks()...)
	}
	if judgeTests(results); c.failed() {
		if l.untested != nil {
			l.untested(p)
		}
		return nil, results, c.failure()
	}
	p.Path, p.Revision = name, c.revision(src)
	for _, f := range c.files() {
		p.pending = append(p.pending, byPlace(f.pending)...)
	}
	p.warnings = c.diagnostics()
	p.needs = firstNeeds(c.files())
	for _, in := range c.included {
		p.files = append(p.files, in.path)
	}
	for _, name := range slices.Sorted(maps.Keys(c.lists)) {
		p.files = append(p.files, c.lists[name].path)
	}
	return p, results, nil
}

// failure is what was found, warnings too: they may explain an error.
func (c *compiler) failure() error {
	for _, f := range c.files() {
		f.pending = nil
	}
	return &Error{c.diagnostics()}
}

// files are the policy file and those it includes.
func (c *compiler) files() []*compiler { return append([]*compiler{c}, c.included...) }

func (c *compiler) failed() bool {
	return slices.ContainsFunc(c.files(), func(f *compiler) bool { return f.reporter.failed() })
}

// diagnostics are all there is to say, file by file.
func (c *compiler) diagnostics() []Diagnostic {
	var all, notes []Diagnostic
	for _, f := range c.files() {
		all = append(all, byPlace(slices.Concat(f.found, f.pending))...)
		notes = append(notes, f.notes...)
	}
	return append(all, notes...)
}

// revision names the exact content of the policy file and, by the names the
// policy has for them and in the order of these, its lists.
func (c *compiler) revision(src []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "policy %d\n", len(src))
	h.Write(src)
	for _, in := range c.included {
		fmt.Fprintf(h, "include %d %s %d\n", len(in.name), in.name, len(in.src))
		h.Write(in.src)
	}
	for _, name := range slices.Sorted(maps.Keys(c.lists)) {
		fmt.Fprintf(h, "list %d %s %x\n", len(name), name, c.lists[name].sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Files are the files p was read from, absolute: the policy file, if there was
// one, and its lists.
func (p *Policy) Files() []string { return slices.Clone(p.files) }

// Warnings are what is worth telling about p although it loads, including
// what Unsupported lists.
func (p *Policy) Warnings() []Diagnostic {
	return slices.Clone(p.warnings)
}

// Unsupported are the parts of p that the gateway does not enforce yet. A
// policy that has any can be checked and explained, and must not be run.
func (p *Policy) Unsupported() []Diagnostic { return slices.Clone(p.pending) }

// Tests counts the tests that passed when p was loaded, and the requests in
// them.
func (p *Policy) Tests() (tests, requests int) { return p.testCount, len(p.tests) }

//go:embed starter.yaml
var starter []byte

// StarterSource is the text of the policy built into the program.
func StarterSource() []byte { return slices.Clone(starter) }

// Starter is the policy built into the program: for this machine only, and
// only over verified TLS.
func Starter() *Policy {
	p, err := Parse("starter.yaml", starter, ".")
	if err != nil {
		panic("policy: the built-in policy does not load:\n" + err.Error())
	}
	return p
}
