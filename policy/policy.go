// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"time"
)

// A Mode is what the gateway does with a request. The zero value denies.
type Mode uint8

const (
	Deny      Mode = iota // nothing leaves
	Originate             // plain HTTP in, verified TLS out
	Tunnel                // CONNECT, bytes passed through unread
	Intercept             // CONNECT, TLS ends at the gateway
	Relay                 // plain HTTP in, plain HTTP out
)

// A Kind says how a request reached the gateway.
type Kind uint8

const (
	Plain   Kind = iota // absolute-form (or reverse-mapped origin-form) request in the clear
	Connect             // CONNECT host:port; to port 80, Originate takes it for the announcement of requests in the clear, of Kind Plain
	Inner               // a request inside an intercepted connection
)

// A Client is what is proven about who asks. Empty fields are unproven, and
// unproven never matches. A Client is not modified after it was made.
type Client struct {
	Addr   netip.Addr // unmapped, without zone
	User   string
	Groups []string
	Certs  []string // URI, email or DNS names of a verified client certificate
	Claims []string // "key=value" of a verified token
}

// A Query is one question to the policy. It holds no pointer into a
// connection; deciding it cannot block.
type Query struct {
	Client Client
	Kind   Kind
	Scheme string // "http" or "https" as the client named it; "" for Connect
	Method string // "" for Connect
	Host   Host
	Port   uint16 // as the client named it, or the scheme's default
	Path   string // the raw path as it stood on the wire, without the query; "" for Connect
	At     time.Time

	// ClientTLS says that the client speaks TLS to the gateway itself. Inside an
	// opened connection it is what its CONNECT came by.
	ClientTLS bool

	// MayAsk says that the client has not said who it is and that there are ways
	// to: a rule that depends on that is answered with NeedIdentity. When
	// false, an identity that is missing is one that does not match.
	MayAsk bool
}

// A Reason says why a Decision came out as it did. Every Reason but ByRule
// with an allowing mode means that the request is refused.
type Reason uint8

const (
	NoPolicy       Reason = iota // there is no policy: nothing is allowed
	ByRule                       // Rule is the first whose conditions hold; Mode is its mode
	NoRule                       // no rule matched: default deny
	WrongKind                    // Rule matched but serves only the other kind of request (policy.md §4.4)
	Blind                        // Rule, a deny, must see the request, and the tunnel that follows would hide it
	ToLookInside                 // Rule needs to see the request, so the connection is opened: by Intercept, or by Originate when it is announced in the clear
	PrivateAddress               // the address literal asked for is private or special, and Rule does not name it
	BadPath                      // the path cannot be brought to one canonical form (answer 400)
	NeedIdentity                 // Rule cannot be judged before the client says who it is (answer 407)
	PlainLeg                     // Rule matched and wants TLS between client and gateway, and there is none
	NeverIntercept               // Rule would intercept, and the policy says that this host never is
	NoUser                       // Rule shows origins a certificate in the user's name, and nothing proves one (answer 407 with Query.MayAsk)
)

// A Decision is the policy's answer. The zero value denies.
type Decision struct {
	Mode       Mode
	Reason     Reason
	Rule       *Rule  // the rule that decided; nil when none did
	Generation uint64 // Policy.Generation of the policy that was asked
	Port       uint16 // port to connect to at the origin; 0 when denied
	Path       string // canonical path, when a rule looked at the path: send this one; else ""
	Hidden     *Rule  // with Blind: the tunnel rule that would hide the request from Rule
	Audited    *Rule  // the first rule with audit: true that would have decided; nil when none

	kind      Kind // of the query, for Detail
	clientTLS bool // as in the query, for Contract
}
