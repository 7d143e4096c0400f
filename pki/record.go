// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A Record is of one certificate that was issued.
type Record struct {
	Serial     string // 32 hexadecimal digits: see SerialText
	Role       Role
	Generation int    // of the issuer
	Issuer     string // its subject key identifier, in hexadecimal
	Subject    string // common name; may be ""
	Names      []string
	NotBefore  time.Time
	NotAfter   time.Time
	Issued     time.Time
	By         string    `json:",omitempty"` // who asked for it
	Revoked    time.Time `json:",omitzero"`  // zero: it is not
	Reason     int       `json:",omitempty"` // RFC 5280 §5.3.1
	RevokedBy  string    `json:",omitempty"`
}

type issuedRow struct {
	Record
	Cert []byte
}

// SerialText writes a serial number as records and openssl do: hexadecimal,
// with as many digits as 128 bits have.
func SerialText(n *big.Int) string { return fmt.Sprintf("%032x", n) }

// ParseSerial reads a serial number in hexadecimal, with or without colons and
// leading zeros, in either case.
func ParseSerial(s string) (*big.Int, error) {
	digits := strings.ReplaceAll(s, ":", "")
	n, ok := new(big.Int).SetString(digits, 16)
	if !ok || strings.ContainsAny(digits, "+-_") || n.Sign() <= 0 || n.BitLen() > 160 {
		return nil, fmt.Errorf("%q is no serial number: want hexadecimal digits", s)
	}
	return n, nil
}

// Records calls f for each certificate on record, in the order of serial
// numbers, until it returns false. f sees one moment, and must not call the
// authority.
func (ca *CA) Records(ctx context.Context, f func(Record) bool) error {
	err := ca.store.View(func(t tx) error {
		return eachIssued(t, func(row issuedRow) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !f(row.Record) {
				return errEnough
			}
			return nil
		})
	})
	if err != nil && err != errEnough {
		return fmt.Errorf("reading the records: %w", err)
	}
	return nil
}

var errEnough = errors.New("enough")

// eachIssued calls f for each row until it returns an error, which it returns.
func eachIssued(t tx, f func(issuedRow) error) error {
	var ended error
	err := t.Each(bucketIssued, "", func(key string, value []byte) bool {
		var row issuedRow
		if ended = json.Unmarshal(value, &row); ended == nil {
			ended = f(row)
		}
		return ended == nil
	})
	if err == nil {
		err = ended
	}
	return err
}

// Find returns the record of a serial number in hexadecimal, and the
// certificate; or ErrUnknownSerial.
func (ca *CA) Find(serial string) (Record, *x509.Certificate, error) {
	n, err := ParseSerial(serial)
	if err != nil {
		return Record{}, nil, err
	}
	return ca.find(n)
}

func (ca *CA) find(n *big.Int) (r Record, c *x509.Certificate, err error) {
	err = ca.store.View(func(t tx) error {
		row, err := issued(t, n)
		if err != nil {
			return err
		}
		r = row.Record
		c, err = x509.ParseCertificate(row.Cert)
		return err
	})
	return r, c, err
}

// findDecimal is find for smallstep, which writes serial numbers in decimal.
func (ca *CA) findDecimal(serial string) (Record, *x509.Certificate, error) {
	n, ok := new(big.Int).SetString(serial, 10)
	if !ok {
		return Record{}, nil, fmt.Errorf("%q: %w", serial, ErrUnknownSerial)
	}
	return ca.find(n)
}

func issued(t tx, n *big.Int) (row issuedRow, err error) {
	b, err := t.Get(bucketIssued, SerialText(n))
	if err != nil {
		return row, err
	}
	if b == nil {
		return row, fmt.Errorf("%s: %w", SerialText(n), ErrUnknownSerial)
	}
	return row, json.Unmarshal(b, &row)
}

// namesOf are the subject's alternative names, as people write them.
func namesOf(c *x509.Certificate) []string {
	out := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return append(out, c.EmailAddresses...)
}
