// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of what is looked at in an answer, and kept of it.
const (
	maxAliases  = 16   // of a CNAME chain
	maxServices = 64   // records
	maxService  = 4096 // bytes of one record
)

// parseService reads the answer of a name server about key.
//
// Only records count that lead to where the connection goes anyhow, whose
// address the policy is asked about: others name another host or port, are
// aliases (RFC 9460 §2.4.2), or demand what is not known here (§8). One that is
// malformed spoils all (§2.2).
func parseService(msg []byte, key inquired) (s Service, err error) {
	var p dnsmessage.Parser
	if _, err := p.Start(msg); err != nil {
		return s, fmt.Errorf("the name server's message: %w", err)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return s, fmt.Errorf("the name server's message: %w", err)
	}
	host := key.host + "."
	own := []string{host} // names of the very host
	var best *dnsmessage.HTTPSResource
	for n := 0; n < maxServices+maxAliases; n++ {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return s, fmt.Errorf("the name server's message: %w", err)
		}
		owner := h.Name.String()
		switch {
		case h.Class == dnsmessage.ClassINET && h.Type == dnsmessage.TypeCNAME:
			c, err := p.CNAMEResource()
			if err != nil {
				return s, fmt.Errorf("the name server's message: %w", err)
			}
			if among(own, owner) && len(own) <= maxAliases { // the addresses are found behind it, too
				own = append(own, c.CNAME.String())
			}
		case h.Class == dnsmessage.ClassINET && h.Type == dnsmessage.TypeHTTPS:
			r, err := p.HTTPSResource()
			if err != nil {
				return s, fmt.Errorf("the HTTPS record: %w", err)
			}
			if r.Priority == 0 { // an alias is alone (RFC 9460 §2.4.1)
				return s, nil
			}
			fits, err := serves(&r.SVCBResource, owner, own, key.port)
			if err != nil {
				return s, fmt.Errorf("the HTTPS record: %w", err)
			}
			if fits && (best == nil || r.Priority < best.Priority) {
				best = &r
			}
		default:
			if err := p.SkipAnswer(); err != nil {
				return s, fmt.Errorf("the name server's message: %w", err)
			}
		}
	}
	if best == nil {
		return s, nil
	}
	if s.ALPN, err = alpnOf(&best.SVCBResource); err != nil {
		return Service{}, fmt.Errorf("the HTTPS record: %w", err)
	}
	if list, ok := best.GetParam(dnsmessage.SVCParamECH); ok {
		if s.BadECH = CheckECH(list); s.BadECH == nil {
			s.ECH = bytes.Clone(list)
		}
	}
	return s, nil
}

func among(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// serves reports whether r is about connections to own's host and port, and
// asks for nothing that is not known.
func serves(r *dnsmessage.SVCBResource, owner string, own []string, port uint16) (bool, error) {
	size := 0
	for _, p := range r.Params {
		size += len(p.Value)
	}
	target := r.Target.String()
	if target == "." {
		target = owner // §2.5.2; that of _8443._https.host is not the host
	}
	fits := size <= maxService && among(own, target)
	if v, ok := r.GetParam(dnsmessage.SVCParamPort); ok {
		if len(v) != 2 {
			return false, errors.New("port is not a number")
		}
		fits = fits && binary.BigEndian.Uint16(v) == port
	}
	v, ok := r.GetParam(dnsmessage.SVCParamMandatory)
	if !ok {
		return fits, nil
	}
	if len(v) == 0 || len(v)%2 != 0 {
		return false, errors.New("mandatory is not a list of keys")
	}
	for i := 0; i < len(v); i += 2 {
		k := dnsmessage.SVCParamKey(binary.BigEndian.Uint16(v[i:]))
		if _, there := r.GetParam(k); !there || k == dnsmessage.SVCParamMandatory {
			return false, errors.New("mandatory names a key that is not there")
		}
		fits = fits && slices.Contains(known, k)
	}
	return fits, nil
}

// known are the keys that are heeded. Hints are heeded by not being needed: the
// addresses are asked for.
var known = []dnsmessage.SVCParamKey{
	dnsmessage.SVCParamALPN, dnsmessage.SVCParamNoDefaultALPN, dnsmessage.SVCParamPort,
	dnsmessage.SVCParamIPv4Hint, dnsmessage.SVCParamIPv6Hint, dnsmessage.SVCParamECH,
}

// alpnOf are the protocols that r names (RFC 9460 §7.1.1).
func alpnOf(r *dnsmessage.SVCBResource) (ids []string, err error) {
	v, ok := r.GetParam(dnsmessage.SVCParamALPN)
	if !ok {
		return nil, nil
	}
	for len(v) > 0 {
		n := int(v[0])
		if n == 0 || n >= len(v) {
			break
		}
		ids = append(ids, string(v[1:1+n]))
		v = v[1+n:]
	}
	if len(v) > 0 || ids == nil {
		return nil, errors.New("alpn is not a list of names")
	}
	return ids, nil
}

// CheckECH reports why crypto/tls cannot use an ECHConfigList (RFC 9849 §4): it is
// malformed, or has nothing in it that is known. It is asked itself, and gets as
// far as saying its ClientHello, or does not.
func CheckECH(list []byte) error {
	if len(list) == 0 { // crypto/tls says no more of one that is not nil
		return errors.New("ech is empty")
	}
	err := tls.Client(unsaid{}, &tls.Config{
		ServerName: "host.invalid", MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: list,
		CurvePreferences: []tls.CurveID{tls.X25519}, // it is said to nobody
	}).Handshake()
	if errors.Is(err, errUnsaid) {
		return nil
	}
	return fmt.Errorf("ech: %s", strings.TrimPrefix(err.Error(), "tls: "))
}

var errUnsaid = errors.New("nobody is there")

// unsaid is a connection to nobody.
type unsaid struct{}

func (unsaid) Read([]byte) (int, error)         { return 0, errUnsaid }
func (unsaid) Write([]byte) (int, error)        { return 0, errUnsaid }
func (unsaid) Close() error                     { return nil }
func (unsaid) LocalAddr() net.Addr              { return nil }
func (unsaid) RemoteAddr() net.Addr             { return nil }
func (unsaid) SetDeadline(time.Time) error      { return nil }
func (unsaid) SetReadDeadline(time.Time) error  { return nil }
func (unsaid) SetWriteDeadline(time.Time) error { return nil }
