// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A parsedCRL is a certificate revocation list that its issuer signed (RFC 5280 §5),
// without what nobody asks it for: a list of a million has 32 MiB in memory.
type parsedCRL struct {
	number      *big.Int // nil: it has none
	from, until time.Time
	size        int // bytes of its text
	revoked     []revocation

	user, ca bool     // it is about certificates of users, or of CAs, alone
	points   []string // not nil: it is about certificates that name one of these places alone
}

type revocation struct {
	serial [20]byte // RFC 5280 §4.1.2.2: at most so many
	at     uint32   // Unix; until 2106
	reason uint8
}

const maxCRL = 32 << 20 // bytes

var (
	oidReason       = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidNumber       = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDelta        = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}

	errCRL      = errors.New("the CRL cannot be read")
	errIndirect = errors.New("the CRL is about certificates of several issuers (indirect), which is not supported")

	// distributionPoint, and fullName in it (RFC 5280 §4.2.1.13)
	nameTag = cbasn1.Tag(0).Constructed().ContextSpecific()
	uriTag  = cbasn1.Tag(6).ContextSpecific()
)

// readCRL reads a CRL in DER that issuer signed. Whether its time is over is
// up to the caller.
//
// The list itself is walked here, because crypto/x509 makes 200 bytes of each
// entry; everything else is read by crypto/x509, from the same CRL with
// nothing in it.
func readCRL(der []byte, issuer *x509.Certificate) (*parsedCRL, error) {
	tbs, without, list, err := splitCRL(der)
	if err != nil {
		return nil, err
	}
	head, err := x509.ParseRevocationList(without)
	if err != nil {
		return nil, fmt.Errorf("the CRL cannot be read: %s", printable(err.Error()))
	}
	switch {
	case !bytes.Equal(head.RawIssuer, issuer.RawSubject):
		return nil, fmt.Errorf("the CRL is of %s, not of the certificate's issuer", quote(head.Issuer.String()))
	case issuer.BasicConstraintsValid && !issuer.IsCA, issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0:
		return nil, fmt.Errorf("the CRL is signed by %s, which may not sign CRLs", quote(issuer.Subject.String()))
	case head.SignatureAlgorithm == x509.SHA1WithRSA, head.SignatureAlgorithm == x509.ECDSAWithSHA1: // CheckSignature lets it pass
		return nil, errors.New("the CRL is signed with SHA-1")
	case issuer.CheckSignature(head.SignatureAlgorithm, tbs, head.Signature) != nil:
		return nil, errors.New("the CRL is not signed by the certificate's issuer")
	case head.NextUpdate.IsZero():
		return nil, errors.New("the CRL does not say until when it holds")
	}
	c := &parsedCRL{number: head.Number, from: head.ThisUpdate, until: head.NextUpdate, size: len(der)}
	for _, e := range head.Extensions {
		if err := c.extension(e); err != nil {
			return nil, err
		}
	}
	return c, c.entries(list)
}

// splitCRL returns the signed part of a CRL, the same CRL with an empty list
// (whose signature no longer fits), and the list's entries.
func splitCRL(der []byte) (tbs, without, list []byte, err error) {
	var outer, inner, signed cryptobyte.String
	var algorithm, signature, version, inAlgorithm, issuer, at, until cryptobyte.String
	in := cryptobyte.String(der)
	if !in.ReadASN1(&outer, cbasn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&signed, cbasn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&signature, cbasn1.BIT_STRING) || !outer.Empty() {
		return nil, nil, nil, errCRL
	}
	tbs = signed
	if !signed.ReadASN1(&inner, cbasn1.SEQUENCE) || !inner.ReadASN1Element(&version, cbasn1.INTEGER) ||
		!inner.ReadASN1Element(&inAlgorithm, cbasn1.SEQUENCE) || !inner.ReadASN1Element(&issuer, cbasn1.SEQUENCE) ||
		!readTime(&inner, &at) {
		return nil, nil, nil, errCRL
	}
	readTime(&inner, &until) // readCRL wants it
	var entries cryptobyte.String
	var there bool
	if !inner.ReadOptionalASN1(&entries, &there, cbasn1.SEQUENCE) {
		return nil, nil, nil, errCRL
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, part := range []cryptobyte.String{version, inAlgorithm, issuer, at, until, inner} {
				b.AddBytes(part)
			}
		})
		b.AddBytes(algorithm)
		b.AddBytes(signature)
	})
	without, err = b.Bytes()
	return tbs, without, entries, err
}

func readTime(from, to *cryptobyte.String) bool {
	for _, tag := range []cbasn1.Tag{cbasn1.UTCTime, cbasn1.GeneralizedTime} {
		if from.PeekASN1Tag(tag) {
			return from.ReadASN1Element(to, tag)
		}
	}
	return false
}

// extension refuses whatever would make the CRL mean something else than a
// complete list of what its issuer revoked (RFC 5280 §5.2).
func (c *parsedCRL) extension(e pkix.Extension) error {
	switch {
	case e.Id.Equal(oidNumber), e.Id.Equal(oidAuthorityKey):
	case e.Id.Equal(oidDelta):
		return errors.New("the CRL holds only what changed (a delta CRL), which is not supported")
	case e.Id.Equal(oidIssuingPoint):
		return c.issuingPoint(e.Value)
	case e.Critical:
		return fmt.Errorf("the CRL has an unknown critical extension (%s)", e.Id)
	}
	return nil
}

// issuingPoint reads what the list is about (RFC 5280 §5.2.5).
func (c *parsedCRL) issuingPoint(der []byte) error {
	in, idp := cryptobyte.String(der), cryptobyte.String(nil)
	if !in.ReadASN1(&idp, cbasn1.SEQUENCE) || !in.Empty() {
		return errCRL
	}
	for !idp.Empty() {
		var part cryptobyte.String
		var tag cbasn1.Tag
		if !idp.ReadAnyASN1(&part, &tag) {
			return errCRL
		}
		set := len(part) == 1 && part[0] != 0
		switch tag {
		case nameTag:
			if !c.point(part) {
				return errCRL
			}
		case cbasn1.Tag(1).ContextSpecific():
			c.user = set
		case cbasn1.Tag(2).ContextSpecific():
			c.ca = set
		case cbasn1.Tag(3).ContextSpecific():
			return errors.New("the CRL holds certificates revoked for some reasons only, which is not supported")
		case cbasn1.Tag(4).ContextSpecific():
			if set {
				return errIndirect
			}
		case cbasn1.Tag(5).ContextSpecific():
			if set {
				return errors.New("the CRL is about attribute certificates")
			}
		default:
			return errCRL
		}
	}
	return nil
}

func (c *parsedCRL) point(name cryptobyte.String) bool {
	c.points = []string{}
	var full cryptobyte.String
	if !name.ReadASN1(&full, nameTag) {
		return true // relative to the issuer's name: no place that a certificate could be found to name
	}
	for !full.Empty() {
		var one cryptobyte.String
		var tag cbasn1.Tag
		if !full.ReadAnyASN1(&one, &tag) {
			return false
		}
		if tag == uriTag {
			c.points = append(c.points, string(one))
		}
	}
	return true
}

// entries reads the list.
func (c *parsedCRL) entries(list cryptobyte.String) error {
	for !list.Empty() {
		var one, serial, ext cryptobyte.String
		var r revocation
		var when time.Time
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1(&serial, cbasn1.INTEGER) ||
			!one.ReadASN1UTCTime(&when) && !one.ReadASN1GeneralizedTime(&when) {
			return errCRL
		}
		if !setSerial(&r, serial) {
			return errors.New("the CRL has a serial number of more than 20 bytes")
		}
		r.at = uint32(max(0, when.Unix()))
		if one.ReadASN1(&ext, cbasn1.SEQUENCE) {
			if err := entryExtensions(&r, ext); err != nil {
				return err
			}
		}
		c.revoked = append(c.revoked, r)
	}
	c.revoked = slices.Clip(c.revoked)
	slices.SortFunc(c.revoked, func(a, b revocation) int {
		return cmp.Or(bytes.Compare(a.serial[:], b.serial[:]), cmp.Compare(a.at, b.at))
	})
	return nil
}

func entryExtensions(r *revocation, list cryptobyte.String) error {
	for !list.Empty() {
		var ext, value cryptobyte.String
		var id asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&id) ||
			ext.PeekASN1Tag(cbasn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) {
			return errCRL
		}
		var reason int
		switch {
		case id.Equal(oidReason):
			if value.ReadASN1Enum(&reason) && reason >= 0 && reason < 256 {
				r.reason = uint8(reason)
			}
		case critical: // certificateIssuer, of an indirect CRL, is
			return errIndirect
		}
	}
	return nil
}

// setSerial puts the bytes of a DER INTEGER behind zeros. A negative one, which
// no RFC allows, is as good as the positive one with its bytes: certificates
// have none.
func setSerial(r *revocation, b []byte) bool {
	if len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > len(r.serial) {
		return false
	}
	copy(r.serial[len(r.serial)-len(b):], b)
	return true
}

// about is nil when the list speaks of c, which names points as its places.
func (l *parsedCRL) about(c *x509.Certificate) error {
	switch {
	case l.user && c.IsCA, l.ca && !c.IsCA:
		return errors.New("the CRL is not about certificates of this kind")
	case l.points != nil && !slices.ContainsFunc(l.points, func(p string) bool { return slices.Contains(c.CRLDistributionPoints, p) }):
		return errors.New("the CRL is another part of what its issuer revoked")
	}
	return nil
}

// find returns what the list says of c, which it is about.
func (l *parsedCRL) find(c *x509.Certificate) (*answer, error) {
	if err := l.about(c); err != nil {
		return nil, err
	}
	a := &answer{from: l.from, until: l.until}
	if r := l.entry(c.SerialNumber); r != nil {
		a.revoked, a.at, a.reason = true, time.Unix(int64(r.at), 0), int(r.reason)
	}
	return a, nil
}

// entry returns the entry of a serial number, nil when there is none. One that
// is too long for a certificate is on no list that was read.
func (l *parsedCRL) entry(serial *big.Int) *revocation {
	var want revocation
	if !setSerial(&want, serial.Bytes()) {
		return nil
	}
	i := sort.Search(len(l.revoked), func(i int) bool { return bytes.Compare(l.revoked[i].serial[:], want.serial[:]) >= 0 })
	if i < len(l.revoked) && l.revoked[i].serial == want.serial {
		return &l.revoked[i]
	}
	return nil
}

// older reports whether l was issued before m: somebody replays it.
func (l *parsedCRL) older(m *parsedCRL) bool {
	if l.number != nil && m.number != nil {
		return l.number.Cmp(m.number) < 0
	}
	return l.from.Before(m.from)
}
