// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/hex"
	"math"
)

// wires are the accounts of the legs that an exchange had.
func (x *exchange) wires(canary string) []Wire {
	var out []Wire
	for _, leg := range []struct {
		name  string
		flows []*Flow
	}{{"client", x.client}, {"origin", x.origin}} {
		if len(leg.flows) > 0 {
			out = append(out, wireOf(leg.name, leg.flows, []byte(canary)))
		}
	}
	return out
}

func (x *exchange) wire(leg, canary string) (Wire, bool) {
	for _, w := range x.wires(canary) {
		if w.Leg == leg {
			return w, true
		}
	}
	return Wire{}, false
}

func wireOf(leg string, flows []*Flow, canary []byte) Wire {
	w := Wire{Leg: leg}
	var payload, sent []byte
	for _, f := range flows {
		w.Sent += f.Total(false)
		w.Received += f.Total(true)
		for _, down := range []bool{false, true} {
			b := f.bytes(down)
			w.Canaries += bytes.Count(b, canary)
			secret, isTLS := applicationData(b)
			if isTLS {
				w.TLS = true
				payload = append(payload, secret...)
			} else {
				payload = append(payload, b...)
			}
			if !down {
				sent = append(sent, b...)
			}
		}
	}
	w.Entropy = math.Round(entropy(payload)*100) / 100
	w.Strip = stripOf(sent, canary)
	return w
}

// applicationData is the content of the encrypted records of a stream that is
// TLS, from its start or from behind a CONNECT.
func applicationData(stream []byte) (data []byte, isTLS bool) {
	at := tlsStart(stream)
	if at < 0 {
		return nil, false
	}
	for _, r := range records(stream[at:]) {
		if r.kind == recordApplication {
			data = append(data, r.payload...)
		}
	}
	return data, true
}

// tlsStart is where TLS begins in a stream; -1: nowhere.
func tlsStart(stream []byte) int {
	at := 0
	if bytes.HasPrefix(stream, []byte("CONNECT ")) || bytes.HasPrefix(stream, []byte("HTTP/1.1 200 ")) {
		if end := bytes.Index(stream, []byte("\r\n\r\n")); end >= 0 {
			at = end + 4
		}
	}
	if len(stream) < at+2 || !isRecord(stream[at:]) {
		return -1
	}
	return at
}

// A strip is stripLen bytes, with some of what stands before the canary.
const (
	stripLen    = 128
	stripBefore = 32
)

// stripOf cuts out the canary or, where it is not to be seen, the beginning of the
// largest encrypted record, which is the one that the request is in.
func stripOf(sent, canary []byte) Strip {
	at := bytes.Index(sent, canary)
	if at >= 0 {
		from := max(0, at-stripBefore)
		part := sent[from:min(len(sent), from+stripLen)]
		return Strip{Offset: from, Hex: hex.EncodeToString(part), Canary: [2]int{at - from, at - from + len(canary)}}
	}
	start := tlsStart(sent)
	if start < 0 {
		return Strip{Hex: hex.EncodeToString(sent[:min(len(sent), stripLen)])}
	}
	largest := tlsRecord{}
	for _, r := range records(sent[start:]) {
		if r.kind == recordApplication && len(r.payload) > len(largest.payload) {
			largest = r
		}
	}
	from := start + largest.offset
	return Strip{Offset: from, Hex: hex.EncodeToString(sent[from:min(len(sent), from+stripLen)])}
}
