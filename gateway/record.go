// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"net/netip"
	"time"

	"sallyport/policy"
	"sallyport/tunnel"
)

// A Record is everything that is told about one transaction: a request, or a
// CONNECT with its tunnel. It is filled as the transaction goes and handed to
// Server.Observe once, at its end.
type Record struct {
	Time     time.Time // when the request's head had been read
	ID       string    // also in the answer's Proxy-Status
	Connect  string    // ID of the CONNECT whose connection it came in, which the gateway ends; "": none
	Client   netip.AddrPort
	Identity policy.Client

	Method string // "" when the head could not be read
	URL    string // no userinfo; the query only with log: full; authority alone for CONNECT
	Mapped string // the URL that was asked for, which a mapping has made URL of; "": URL itself was
	Proto  string // HTTP/2, HTTP/1.1 or HTTP/1.0; acme-tls/1 of a handshake that was all

	// What the policy was asked is Identity, Time, Method, URL up to its query, and
	// these: enough to ask again.
	Kind   policy.Kind
	MayAsk bool

	Decision policy.Decision
	Revision string      // of the policy that was asked; "" when none was
	Mode     policy.Mode // what was done: Decision.Mode, or Deny when it was refused later

	// Own says that the gateway answered for itself: the policy was not asked, nor
	// who the client is.
	Own bool

	ClientTLS *tls.ConnectionState // nil: plain
	Origin    OriginLeg
	Hello     *tunnel.Hello // of a tunnel's client; nil when none was seen

	NoHTTP3 error // why HTTP/3 was tried and the request went by TCP then; nil: it was not tried, or did

	Injected []string // names of the fields into which the rule put secrets, as the policy writes them

	HSTS bool // it would have been relayed, and was refused because the host has asked for https only

	// Reconciled are the names of the fields, of both directions, that were changed
	// because the client asked by an http URL and the origin was met by https.
	Reconciled []string

	Status   int   // sent to the client; 0 when the client had gone
	Sent     int64 // body or tunnel bytes, client to origin
	Received int64 // body or tunnel bytes, origin to client

	Limits string        // the name of the rule's limits that counted it; "" none
	Limit  string        // which of them it reached: rate, concurrent, bandwidth, request_body, response_body; "" none
	Paced  time.Duration // how long bytes waited for their bandwidth, both directions added up

	FirstByte time.Duration // from Time to the head of the origin's answer; 0: none came
	Total     time.Duration

	// Event names a TLS handshake that failed, and with it the party that has to do
	// something: client_, origin_ or gateway_. EventText says to people what it means
	// and what to do. "": none did.
	Event, EventText string

	Outcome Outcome
	Cause   string // RFC 9209 §2.3, "" for Done
	Err     error  // for the log only
}

// An OriginLeg is how the gateway met the origin.
type OriginLeg struct {
	Addr       netip.AddrPort // connected to; zero when no connection was made
	TLS        *tls.ConnectionState
	ClientCert string // subject of the certificate the gateway showed; "" none asked for or none configured
	CertSerial string // of that one when it was minted for the user, in hex; "" otherwise
	Reused     bool   // from the pool: the durations are 0
	ECH        string // Encrypted Client Hello: ECHAccepted, ECHRefused, ECHUnusable; "": the origin offers none, or its profile is not to look
	ECHNote    string // what was not as it should be, when the connection was made; "": nothing, or Reused
	DNS        time.Duration
	Connect    time.Duration
	Handshake  time.Duration
}

// An Outcome is how a transaction ended.
type Outcome string

const (
	Done    Outcome = "done"    // served as decided
	Denied  Outcome = "denied"  // refused by the policy, the address guard or a check on the payload
	Failed  Outcome = "failed"  // the origin or the network
	Invalid Outcome = "invalid" // the client's message
	Gone    Outcome = "gone"    // the client left before the end
	Closed  Outcome = "closed"  // ended by a limit, a reload or the drain
)
