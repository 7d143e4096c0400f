// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
)

// UnmarshalText reads what MarshalText wrote.
func (m *Mode) UnmarshalText(word []byte) error { return unword(m, word, modeNames[:], "mode") }

// UnmarshalText reads what MarshalText wrote.
func (r *Reason) UnmarshalText(word []byte) error { return unword(r, word, reasonNames[:], "reason") }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(word []byte) error {
	return unword(k, word, []string{Plain.String(), Connect.String(), Inner.String()}, "kind")
}

func unword[T ~uint8](v *T, word []byte, names []string, what string) error {
	i := slices.Index(names, string(word))
	if i < 0 {
		return fmt.Errorf("%q is no %s", word, what)
	}
	*v = T(i)
	return nil
}
