// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sallyport/policy"
)

// A mintable is what certificates can be minted for under a policy, and what that
// is beside the revision of its file that a gateway enforces.
type mintable struct {
	policy.Interceptable
	Than     string   `json:"than,omitempty"` // the last revision in force; "": none is known, or it is this one
	Wider    []string `json:"wider,omitempty"`
	Narrower []string `json:"narrower,omitempty"`
}

// mintableBy tells of p, which was read from file. A state directory that has
// nothing to compare with, or cannot be read, is none.
func mintableBy(p *policy.Policy, file, state string) mintable {
	m := mintable{Interceptable: p.Interceptable()}
	before := enforced(file, state)
	if before == nil || before.Revision == p.Revision {
		return m
	}
	c := policy.CompareInterceptable(before, p)
	m.Than, m.Wider, m.Narrower = before.Revision, c.Wider, c.Narrower
	return m
}

// enforced is the policy that the gateway with the state directory has in force,
// or had when it ended, if it was read from file; nil if it is another or cannot be known. Nothing is
// made where there is no state directory.
func enforced(file, state string) *policy.Policy {
	if state == "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(state, "policy", "active.json")); err != nil {
		return nil
	}
	a, err := openArchive(state)
	if err != nil {
		return nil
	}
	defer a.root.Close()
	now, ok, err := a.inForce()
	full, err2 := filepath.Abs(file)
	if !ok || err != nil || err2 != nil || now.Policy != full || len(now.Revision) < 8 {
		return nil
	}
	r, err := a.find(full, now.Revision)
	if err != nil {
		return nil
	}
	p, err := a.load(r)
	if err != nil {
		return nil
	}
	return p
}

// print writes what people should know; nothing where a policy intercepts nothing
// and did not.
func (m mintable) print(w io.Writer) {
	if !m.None() {
		fmt.Fprintf(w, "certificates can be minted for: %s\n", printable(m.String()))
		for _, why := range m.Wide {
			fmt.Fprintf(w, "  %s\n", printable(why))
		}
	}
	for _, n := range m.Wider {
		fmt.Fprintf(w, "  more than in revision %.8s, the last in force: %s\n", m.Than, printable(n))
	}
	for _, n := range m.Narrower {
		fmt.Fprintf(w, "  no more, as in revision %.8s, the last in force: %s\n", m.Than, printable(n))
	}
}
