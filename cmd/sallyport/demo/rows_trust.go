// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"crypto/x509"
	"strings"
)

func trustRows() group {
	names := make([]string, len(badKinds))
	for i, k := range badKinds {
		names[i] = string(k)
	}
	rows := []row{{
		"checked_by", "Who checks the origin",
		"Origins with four bad certificates are asked for a page. Who refuses is seen from the client's error, the gateway's 502, and whether the request arrived.",
		names, checkedBy,
	}}
	for _, k := range badKinds {
		rows = append(rows, row{
			strings.ReplaceAll(string(k), "-", "_"), badTitle[k],
			"The client asks an origin whose certificate is " + badText[k] + " for a page, with a secret.",
			[]string{string(k)},
			func(c *column) Cell { return badCell(c, k) },
		})
	}
	rows = append(rows, row{
		"certificate", "Certificate the client sees",
		"The certificate of the client's TLS session, compared with the origin's own, and verified by the roots of the gateway's CA.",
		[]string{loginHost},
		certificateCell,
	}, row{
		"end_to_end", "One TLS session end to end",
		"Client and origin each export keying material of their TLS session (RFC 8446 §7.5): it is the same only if there is one session.",
		[]string{loginHost},
		endToEnd,
	})
	return group{"trust", "Who the client talks to", rows}
}

var badText = map[leafKind]string{
	expired: "expired", wrongName: "for another name", selfSigned: "self-signed", untrusted: "of an unknown authority",
}

var badTitle = map[leafKind]string{
	expired: "Expired certificate", wrongName: "Wrong name", selfSigned: "Self-signed", untrusted: "Unknown authority",
}

func checkedBy(c *column) Cell {
	who := ""
	for _, k := range badKinds {
		by := c.exchange(string(k)).refusedBy()
		if who != "" && by != who {
			return Cell{Text: "not the same for all", Value: "mixed", Verdict: Bad}
		}
		who = by
	}
	switch who {
	case byNobody:
		return Cell{Text: "nobody", Value: who, Verdict: Bad}
	case byPolicy:
		return Cell{Text: "not asked: refused before", Value: who}
	}
	return Cell{Text: "the " + who, Value: who, Verdict: Good}
}

func badCell(c *column, k leafKind) Cell {
	x := c.exchange(string(k))
	switch by := x.refusedBy(); by {
	case byNobody:
		text := "the request was sent"
		if x.visits[0].canary {
			text = "the secret was sent"
		}
		return Cell{Text: text, Value: "sent", Verdict: Bad}
	case byPolicy:
		return Cell{Text: "not asked: refused before", Value: by}
	default:
		text := "the " + by
		if why := x.why(); why != "" {
			text = by + ": " + why
		}
		return Cell{Text: text, Value: "refused by the " + by, Verdict: Good}
	}
}

func certificateCell(c *column) Cell {
	x := c.exchange(loginHost)
	a := x.answers[0]
	switch {
	case a.leaf == nil && a.status == 0:
		return Cell{Text: "none: " + a.outcome(), Value: "none"}
	case a.leaf == nil:
		return Cell{Text: "none", Value: "none", Verdict: judge(false)}
	}
	if own := c.trial.origin.certificate(x.host); own != nil && own.Equal(a.leaf) {
		return Cell{Text: "the origin's, by " + a.leaf.Issuer.CommonName, Value: "origin", Verdict: Good}
	}
	between := x509.NewCertPool()
	for _, cert := range a.chain[1:] {
		between.AddCert(cert)
	}
	if _, err := a.leaf.Verify(x509.VerifyOptions{Roots: c.trial.edge, Intermediates: between, DNSName: x.host}); err == nil {
		return Cell{Text: "minted, by " + a.leaf.Issuer.CommonName, Value: "minted"}
	}
	return Cell{Text: "a stranger's, by " + a.leaf.Issuer.CommonName, Value: "stranger", Verdict: Bad}
}

func endToEnd(c *column) Cell {
	x := c.exchange(loginHost)
	if len(x.visits) == 0 {
		return Cell{Text: "nothing arrived", Value: "nothing"}
	}
	one := x.answers[0].exported != "" && x.answers[0].exported == x.visits[0].exported
	switch {
	case one:
		return Cell{Text: "yes", Value: true, Verdict: Good}
	case x.answers[0].exported != "":
		return Cell{Text: "no: two sessions", Value: false, Verdict: Bad}
	case x.visits[0].tls:
		return Cell{Text: "no: TLS to the origin only", Value: false, Verdict: Bad}
	}
	return Cell{Text: "no TLS", Value: false, Verdict: Bad}
}
