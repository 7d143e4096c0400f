// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// String is the word for the mode in policy files, logs and explanations.
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return fmt.Sprintf("mode %d", uint8(m))
	}
	return modeNames[m]
}

var modeNames = [...]string{Deny: "deny", Originate: "originate", Tunnel: "tunnel", Intercept: "intercept", Relay: "relay"}

// MarshalText makes a Mode a word in JSON.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (k Kind) String() string {
	switch k {
	case Plain:
		return "plain"
	case Connect:
		return "connect"
	case Inner:
		return "inner"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MarshalText makes a Kind a word in JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

var reasonNames = [...]string{
	NoPolicy: "no-policy", ByRule: "rule", NoRule: "no-rule", WrongKind: "wrong-kind", Blind: "blind",
	ToLookInside: "look-inside", PrivateAddress: "private-address", BadPath: "bad-path", NeedIdentity: "need-identity",
	PlainLeg: "plain-leg", NeverIntercept: "never-intercept", NoUser: "no-user",
}

// String is the word for the reason in logs.
func (r Reason) String() string {
	if int(r) >= len(reasonNames) {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return reasonNames[r]
}

// MarshalText makes a Reason a word in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (l LogLevel) String() string {
	switch l {
	case LogMeta:
		return "meta"
	case LogNone:
		return "none"
	case LogFull:
		return "full"
	}
	return fmt.Sprintf("log level %d", uint8(l))
}

// MarshalText makes a LogLevel a word in JSON.
func (l LogLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// RuleName is the name of the rule that decided, "" when none did.
func (d Decision) RuleName() string {
	if d.Rule == nil {
		return ""
	}
	return d.Rule.Name
}

// Detail is one line that says why, and what to do instead where there is
// something. It is fit for the client: it tells nothing about other rules'
// conditions.
func (d Decision) Detail() string {
	name := d.RuleName()
	switch d.Reason {
	case NoPolicy:
		return "no policy is loaded: nothing is allowed"
	case NoRule:
		return "no rule matched"
	case WrongKind:
		return fmt.Sprintf("rule %q %s", name, d.remedy())
	case Blind:
		return fmt.Sprintf("rule %q denies some requests to this host and must see them, and the tunnel of rule %q would hide them", name, hiddenName(d))
	case ToLookInside:
		return fmt.Sprintf("rule %q needs to see the request; every request inside is decided on its own", name)
	case PrivateAddress:
		return fmt.Sprintf("rule %q does not reach private and special addresses: name the address or its range in to:, or give the rule allow_private", name)
	case BadPath:
		return fmt.Sprintf("the path can be read in more than one way, and rule %q depends on it: send it in its plain form", name)
	case PlainLeg:
		return fmt.Sprintf("rule %q wants TLS between you and the gateway: use it as an https:// proxy, as in curl --proxy https://GATEWAY", name)
	case NeverIntercept:
		return fmt.Sprintf("rule %q intercepts, and connections to this host are never to be opened (never_intercept): it needs a rule before that one which tunnels them", name)
	case NoUser:
		return fmt.Sprintf("rule %q shows the origin a certificate in the user's name, and nothing proves who you are", name)
	case NeedIdentity:
		return fmt.Sprintf("rule %q depends on who you are: authenticate to the proxy", name)
	}
	if d.Mode != Deny {
		return fmt.Sprintf("%s by rule %q", d.Mode, name)
	}
	if d.Rule != nil && d.Rule.Deny.Message != "" {
		return strings.ReplaceAll(d.Rule.Deny.Message, "{rule}", name)
	}
	return fmt.Sprintf("denied by rule %q", name)
}

func hiddenName(d Decision) string { return Decision{Rule: d.Hidden}.RuleName() }

// remedy says what a rule serves, to a client that came the wrong way.
func (d Decision) remedy() string {
	r := d.Rule
	switch {
	case d.kind == Plain && r.has(Tunnel):
		return "serves only CONNECT (tunnel): use an https:// URL through the proxy"
	case d.kind == Plain && r.has(Intercept):
		return "serves only CONNECT (intercept): use an https:// URL through the proxy"
	case d.kind == Plain:
		return "serves only plain HTTP (relay): what was asked for as https never leaves in the clear"
	case d.kind == Inner && r.has(Tunnel):
		return "passes connections through unread (tunnel), and this one had to be opened for a rule before it"
	case r.has(Originate):
		return "serves only plain HTTP (originate): send http://… to the proxy, which speaks TLS to the origin itself; do not use CONNECT"
	}
	return "serves only plain HTTP (relay): send http://… to the proxy; do not use CONNECT"
}
