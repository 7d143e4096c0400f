// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Rule is one entry of the policy file's rules. It is immutable once loaded.
type Rule struct {
	Name   string
	Line   int    // in its file, from 1
	File   string // the included file it stands in, as it was named there; "": the policy file itself
	Modes  []Mode
	Origin *Origin // nil: system roots and defaults

	Tunnel        TunnelOptions
	Intercept     InterceptOptions
	Deny          DenyOptions
	Request       HeaderChanges
	Response      HeaderChanges // its values have no secrets
	Rewrite       Rewrite
	Limits        *Limits // nil: none
	RedirectPlain bool    // plain_http: redirect
	ClientTLS     bool    // client_leg: tls; who comes without is refused
	Log           LogLevel
	AllowPrivate  bool
	Audit         bool // counted and logged only; evaluation goes on

	from, fromExcept clientSet
	to, toExcept     hostSet
	within           *within // nil: the rule is the policy's own
	never            *never  // of a rule that intercepts: what it must not; nil: nothing
	urls             bool    // to or to_except has URLs
	ports            portSet // for every mode but relay
	relayPorts       portSet // for relay
	methods          []string
	paths            pathSet
	when             *expression
	schedule         *schedule
	until            time.Time // the first moment at which it no longer applies; zero: never
	visibleOnly      bool
	col              int // of the name
	summary          string
	print            string // hash of the rule and of everything it names, for Diff
	terms            string // hash of what it does with what it decides, see terms

	// what the address guard makes of it, see guard
	named, closed []netip.Prefix
	permitKey     string
}

// TunnelOptions are a rule's tunnel: section. The zero value is the strictest.
type TunnelOptions struct {
	AnySNI      bool          // sni: any; otherwise the SNI must equal the CONNECT host
	HiddenName  bool          // ech: allow; otherwise a ClientHello with ECH has to show the CONNECT host outside, too
	OptionalTLS bool          // tls: optional; otherwise a payload that is not TLS is cut
	ALPN        []string      // empty: any
	Idle        time.Duration // 0: the gateway's default
	MaxDuration time.Duration // 0: none
	MaxBytes    int64         // both directions together; 0: none
}

// InterceptOptions are a rule's intercept: section.
type InterceptOptions struct {
	ALPN     []string      // offered to the client: "h2", "http/1.1"; empty: what the origin speaks
	LeafTTL  time.Duration // how long a minted certificate is good, 10 minutes to 7 days; 0: as long as usual
	BadAlert bool          // bad_origin: alert; otherwise the CONNECT to an origin that is no good is refused with the page that says why
}

// DenyOptions are a rule's deny: section.
type DenyOptions struct {
	Status  int    // 0: 403
	Message string // for the client; "{rule}" stands for the rule's name
}

// A LogLevel is how much of a request the access log keeps.
type LogLevel uint8

const (
	LogMeta LogLevel = iota // the default: no query string
	LogNone
	LogFull // with the query string
)

// An Origin is a trust profile: how a rule's origins are verified and met.
type Origin struct {
	Name       string
	Roots      []string   // PEM files; empty: the system's roots
	Pins       [][32]byte // SHA-256 of SubjectPublicKeyInfo; empty: none
	MinTLS     uint16     // tls.VersionTLS12 (also when 0) or tls.VersionTLS13
	MaxTLS     uint16     // the same; 0: whatever is newest
	ALPN       []string   // "h3", "h2" and "http/1.1", those that are used; empty: http/1.1
	Port       uint16     // 0: as asked
	SNI        string     // sent and verified instead of the host asked for; "": the host
	VerifyName string     // what the certificate has to be for; "": the name sent
	ECH        ECH        // never ECHPrefer where it cannot be
	Revocation Revocation
	AIA        bool // missing intermediate certificates are fetched
	ClientCert *ClientCert

	fetch Rule // what CRLs, OCSP responders and issuers may be reached by, see PermitFetch
}

// An ECH is whether Encrypted Client Hello (RFC 9849) is used with origins that
// offer it in the DNS.
type ECH uint8

const (
	ECHPrefer  ECH = iota // where an origin offers it, and not where it proves to take none
	ECHOff                // nobody asks whether it is offered
	ECHRequire            // an origin is not met without
)

// A Revocation is how much is done to find out whether an origin's
// certificates were revoked.
type Revocation uint8

const (
	RevocationOff     Revocation = iota // what the origin staples is looked at
	RevocationPrefer                    // and what is known of CRLs and OCSP responders
	RevocationRequire                   // and nothing may be unknown
)

// PermitFetch is asked for every address to which a connection is about to be
// made because a certificate of an origin names it: public ones and what
// fetch_private names. No rule's allow_private opens any: whoever issues a
// certificate would choose what in the private network is asked for. A nil
// Origin, which fetches nothing, permits nothing.
func (o *Origin) PermitFetch(a netip.Addr) error {
	if o == nil {
		return errNoRule
	}
	err := o.fetch.permit(a)
	var e *AddressError
	if errors.As(err, &e) {
		return fmt.Errorf("%s is a %s address and fetch_private of origin profile %q does not name it", e.Addr, e.What, o.Name)
	}
	return err
}

// FetchKey is the canonical text of what PermitFetch allows beyond public
// addresses; "" for nothing.
func (o *Origin) FetchKey() string {
	if o == nil {
		return ""
	}
	return o.fetch.permitKey
}

// A ClientCert names the certificate the gateway shows an origin.
type ClientCert struct {
	Cert, Key string // PEM files
	PKCS12    string // or a PKCS #12 file
	Secret    string // or the name of a secret
	Password  string // the name of the secret with the password of PKCS12, or of a Secret that is one; "": none
	Minted    bool   // or minted for the user who asks, who must be proven
	Mint      Mint   // by these templates
}
