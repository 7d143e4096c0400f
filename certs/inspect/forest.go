// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"crypto/x509"
)

// maxNamesakes is how many certificates of one name are tried as an issuer:
// checking a signature takes a while, and a file can have twenty thousand.
const maxNamesakes = 8

// Issuers says for each of certs which of them issued it, by name and
// signature; -1: none, or itself.
func Issuers(certs []*x509.Certificate) []int {
	by := make(map[string][]int)
	for i, c := range certs {
		by[string(c.RawSubject)] = append(by[string(c.RawSubject)], i)
	}
	up := make([]int, len(certs))
	for i, c := range certs {
		up[i] = -1
		if bytes.Equal(c.RawSubject, c.RawIssuer) {
			continue
		}
		of := by[string(c.RawIssuer)]
		for _, j := range of[:min(maxNamesakes, len(of))] {
			p := certs[j]
			if p.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
				up[i] = j
				break
			}
		}
	}
	return cut(up)
}

// cut ends circles: two can name each other.
func cut(up []int) []int {
	state := make([]uint8, len(up)) // 1: on the way, 2: leads to an end
	for i := range up {
		var way []int
		for j := i; j >= 0 && state[j] != 2; j = up[j] {
			if state[j] == 1 {
				up[way[len(way)-1]] = -1
				break
			}
			state[j] = 1
			way = append(way, j)
		}
		for _, j := range way {
			state[j] = 2
		}
	}
	return up
}
