// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import "errors"

// A Policy is a policy file with its lists, read, checked and tested. It is
// immutable once published; the nil Policy denies everything.
type Policy struct {
	Generation uint64 // set by whoever publishes it, before first use
	Revision   string // SHA-256 over the policy file and its lists, in hex
	Path       string // as it was named to Load
	Rules      []*Rule
	Origins    []*Origin // by name; inline origins are named after their rule
}

// Load reads the policy file at path and the lists it names.
func Load(path string) (*Policy, error) { return nil, errors.New("policy: not loaded") }

// Parse reads a policy from memory; name stands for the file in messages and
// dir is where the files it names are looked for.
func Parse(name string, src []byte, dir string) (*Policy, error) {
	return nil, errors.New("policy: not loaded")
}

// Starter is the policy built into the program.
func Starter() *Policy { return nil }

// StarterSource is the text of Starter.
func StarterSource() []byte { return nil }

// Files are the files p was read from, absolute.
func (p *Policy) Files() []string { return nil }

// Warnings are what is worth telling about p although it loads.
func (p *Policy) Warnings() []Diagnostic { return nil }

// Unsupported are the parts of p that the gateway does not enforce yet.
func (p *Policy) Unsupported() []Diagnostic { return nil }

