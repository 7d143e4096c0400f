// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
)

// fingerprint makes the key that separates connections of one Trust from
// those of another: everything that could make one of them verify, offer or
// show something else. Where order means nothing it is taken out. The private
// key needs no place in it: the certificate has its public half.
func (p *Profile) fingerprint(roots rootSet, minTLS uint16, alpn []string, sni, verifyName string, client *clientCert) string {
	f := field{sha256.New()}
	f.put([]byte("sallyport trust 2"))

	var sums [][]byte
	for _, c := range roots {
		sum := sha256.Sum256(c.Raw)
		sums = append(sums, sum[:])
	}
	f.putSet(sums)
	sums = nil
	for i := range p.Pins {
		sums = append(sums, p.Pins[i][:])
	}
	f.putSet(sums)
	f.put(binary.BigEndian.AppendUint16(nil, minTLS))
	f.put(binary.BigEndian.AppendUint16(nil, p.MaxTLS))
	f.putCount(int(p.Revocation))
	fetches := p.Revocation != RevocationOff
	if p.AIA {
		fetches = true
		f.putCount(1)
	} else {
		f.putCount(0)
	}
	if fetches {
		f.put([]byte(p.Reach))
	}
	f.put([]byte(verifyName))
	f.putCount(len(alpn))
	for _, a := range alpn {
		f.put([]byte(a))
	}
	f.put([]byte(sni))
	if client == nil {
		f.putCount(0)
	} else {
		f.putCount(len(client.cert.Certificate))
		for _, der := range client.cert.Certificate {
			f.put(der)
		}
	}
	return hex.EncodeToString(f.h.Sum(nil))
}

// A field writes to a hash such that no two lists of values run together.
type field struct{ h hash.Hash }

func (f field) putCount(n int) {
	f.h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (f field) put(b []byte) {
	f.putCount(len(b))
	f.h.Write(b)
}

func (f field) putSet(set [][]byte) {
	slices.SortFunc(set, bytes.Compare)
	set = slices.CompactFunc(set, bytes.Equal)
	f.putCount(len(set))
	for _, b := range set {
		f.put(b)
	}
}
