// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
)

// RotateIssuer makes the next generation of a role's issuer, which signs from
// then on. The one before stays for its CRL until it expires, and what it has
// signed stays good. An imported issuer is not rotated: its successor is
// imported.
func (ca *CA) RotateIssuer(ctx context.Context, r Role) error {
	err := ctx.Err()
	if err == nil {
		err = ca.alter(func(t tx, s *state) error {
			old := s.issuer(r)
			if old == nil {
				return fmt.Errorf("there is none of role %v", r)
			}
			if old.imported != nil {
				return refuse("it was imported: import its successor")
			}
			by := s.root(r.Domain(), stageCurrent)
			key, err := ca.kek.key(t, by.name(), by.generation)
			if err != nil {
				return err
			}
			return ca.succeed(t, s, old, by, key)
		})
	}
	if err != nil {
		return fmt.Errorf("rotating the %s issuer: %w", r, err)
	}
	return nil
}

// succeed puts a new issuer, certified by a root, in the place of an old one.
func (ca *CA) succeed(t tx, s *state, old *issuer, by *root, key crypto.Signer) error {
	i, err := s.settings.makeIssuer(old.role, s.nextGeneration(old.role), by, key, ca.now())
	if err != nil {
		return err
	}
	if by.cross != nil { // whoever trusts the root before only is led there
		i.chain = append(i.chain, by.cross)
	}
	return ca.replaceIssuer(t, old, i)
}

func (ca *CA) replaceIssuer(t tx, old, i *issuer) error {
	retired := *old
	retired.current = false
	return errors.Join(retired.put(t), i.put(t), ca.kek.putKey(t, i.name(), i.generation, i.key))
}

func (s *state) nextGeneration(r Role) int {
	n := 0
	for _, i := range s.issuers {
		if i.role == r {
			n = max(n, i.generation)
		}
	}
	return n + 1
}

// A Step is one of three in which a root is replaced without anybody who
// trusts one of the two only ever meeting a chain that ends elsewhere.
type Step uint8

const (
	Prepare Step = iota + 1 // make the next root and publish it beside the present one
	Switch                  // sign under the next root, led to from the present one as well
	Retire                  // trust the next root only, and forget the key of the one before
)

func (s Step) String() string {
	switch s {
	case Prepare:
		return "prepare"
	case Switch:
		return "switch"
	case Retire:
		return "retire"
	}
	return "none"
}

// ParseStep reads what String writes.
func ParseStep(s string) (Step, error) {
	for _, p := range []Step{Prepare, Switch, Retire} {
		if s == p.String() {
			return p, nil
		}
	}
	return 0, fmt.Errorf("no step is named %q: there are prepare, switch and retire", s)
}

// RotateRoot does one step. A step that was done already does nothing; one
// whose turn it is not is ErrOrder. Imported issuers are left as they are.
//
// Between Prepare and Switch all clients have to learn of the new root;
// between Switch and Retire everything that is signed under the old one should
// expire or be replaced, for Retire makes it void. How much that is is logged.
func (ca *CA) RotateRoot(ctx context.Context, d Domain, step Step) error {
	steps := map[Step]func(tx, *state, Domain) error{Prepare: ca.prepare, Switch: ca.switchRoot, Retire: ca.retire}
	err := ctx.Err()
	if do := steps[step]; err == nil && do != nil && (d == Edge || d == Identity) {
		err = ca.alter(func(t tx, s *state) error { return do(t, s, d) })
	} else if err == nil {
		err = fmt.Errorf("there is no such step, or no such root")
	}
	if err != nil {
		return fmt.Errorf("rotating the %s root, step %s: %w", d, step, err)
	}
	return nil
}

// prepare makes the next root, and certifies its key by the present one.
func (ca *CA) prepare(t tx, s *state, d Domain) error {
	if s.root(d, stageNext) != nil {
		return nil
	}
	if s.root(d, stagePrevious) != nil {
		return fmt.Errorf("%w: the root of the rotation before is still trusted: retire it first", ErrOrder)
	}
	now := s.root(d, stageCurrent)
	nowKey, err := ca.kek.key(t, now.name(), now.generation)
	if err != nil {
		return err
	}
	next, key, err := s.settings.makeRoot(d, now.generation+1, ca.now())
	if err != nil {
		return err
	}
	next.stage = stageNext
	next.cross, err = certify(&x509.Certificate{
		SerialNumber:          newSerial(),
		RawSubject:            next.cert.RawSubject,
		SubjectKeyId:          next.cert.SubjectKeyId,
		NotBefore:             next.cert.NotBefore,
		NotAfter:              next.cert.NotAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            -1,
		KeyUsage:              next.cert.KeyUsage,
	}, now.cert, key.Public(), nowKey)
	if err != nil {
		return err
	}
	return errors.Join(next.put(t), ca.kek.putKey(t, next.name(), next.generation, key))
}

// switchRoot makes the next root the present one, with new issuers under it.
// They are certified by it alone and led to from the root before by the
// certificate that root has for it: an issuer with a certificate from either
// root is one that OpenSSL finds one chain for only.
func (ca *CA) switchRoot(t tx, s *state, d Domain) error {
	next, now := s.root(d, stageNext), s.root(d, stageCurrent)
	if next == nil {
		if s.root(d, stagePrevious) != nil {
			return nil
		}
		return fmt.Errorf("%w: prepare it first", ErrOrder)
	}
	key, err := ca.kek.key(t, next.name(), next.generation)
	if err != nil {
		return err
	}
	up, down := *next, *now
	up.stage, down.stage = stageCurrent, stagePrevious
	if err := errors.Join(up.put(t), down.put(t)); err != nil {
		return err
	}
	for _, r := range Roles {
		if old := s.issuer(r); r.Domain() == d && old.imported == nil {
			if err := ca.succeed(t, s, old, &up, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// retire forgets the root before, its key, and what led from it to the present
// one.
func (ca *CA) retire(t tx, s *state, d Domain) error {
	old, now := s.root(d, stagePrevious), s.root(d, stageCurrent)
	if old == nil {
		if s.root(d, stageNext) != nil {
			return fmt.Errorf("%w: switch to the next root first", ErrOrder)
		}
		if now.generation == 1 {
			return fmt.Errorf("%w: prepare it first", ErrOrder)
		}
		return nil
	}
	if n, err := ca.signedUnder(t, s, old); err != nil {
		return err
	} else if n > 0 {
		ca.log("the %s root %d is retired: %d certificates that are still good were signed under it, and nobody is to trust them any more", d, old.generation, n)
	}
	alone := *now
	alone.cross = nil
	err := errors.Join(
		alone.put(t),
		t.Delete(bucketRoots, numbered(d.String(), old.generation)),
		t.Delete(bucketKeys, numbered(old.name(), old.generation)),
	)
	for _, i := range s.issuers {
		if last := len(i.chain) - 1; err == nil && now.cross != nil && i.chain[last].Equal(now.cross) {
			short := *i
			short.chain = i.chain[:last]
			err = short.put(t)
		}
	}
	return err
}

// signedUnder counts the certificates that are void when a root is.
func (ca *CA) signedUnder(t tx, s *state, r *root) (n int, err error) {
	now := ca.now()
	under := map[string]bool{}
	for _, i := range s.issuers {
		under[i.skid] = i.cert().CheckSignatureFrom(r.cert) == nil
	}
	err = eachIssued(t, func(row issuedRow) error {
		if under[row.Issuer] && row.Revoked.IsZero() && now.Before(row.NotAfter) {
			n++
		}
		return nil
	})
	return n, err
}
