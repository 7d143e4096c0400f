// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"

	"sallyport/tunnel"
)

// sort gives each exchange what was recorded, logged and seen of it.
func (t *trial) sort() {
	flows := t.rec.Flows()
	clients := make(map[*Flow]*exchange)
	for _, f := range flows {
		clients[f] = t.dialler(f)
	}
	for _, c := range t.columns {
		for _, x := range c.exchanges {
			for _, host := range x.hosts() {
				x.visits = append(x.visits, t.origin.seen(host)...)
				x.records = append(x.records, c.gate.of(host)...)
			}
			for _, f := range flows {
				switch {
				case f.Leg == "client" && clients[f] == x:
					x.client = append(x.client, f)
				case f.Leg == "origin" && x.owns(f):
					x.origin = append(x.origin, f)
				default:
					if x.began <= f.Opened && f.Exchange == "" {
						f.Column = c.id
					}
					continue
				}
				f.Column, f.Exchange = c.id, x.id()
			}
		}
	}
}

// dialler is the exchange that a client made a connection for, or nil: the last one
// from that port that had begun. A port is given again when its connection has ended.
func (t *trial) dialler(f *Flow) *exchange {
	var last *exchange
	for _, c := range t.columns {
		for _, x := range c.exchanges {
			if x.began <= f.Opened && slices.Contains(x.dialled, f.From) && (last == nil || x.began >= last.began) {
				last = x
			}
		}
	}
	return last
}

// hosts are the names that belong to an exchange: one, but where a denied host is
// compared with another.
func (x *exchange) hosts() []string {
	if x.name == deniedHost {
		return []string{hostOf(allowedHost, x.column), x.host}
	}
	return []string{x.host}
}

// owns reports whether a connection of the gateway's was made for x: by the name
// that it was recorded with or, where there was none, by the time.
func (x *exchange) owns(f *Flow) bool {
	if name := nameOf(f.bytes(false)); name != "" {
		return slices.Contains(x.hosts(), name)
	}
	return x.began <= f.Opened && f.Opened <= x.ended
}

// nameOf is the host a stream is for: by SNI, or by the first request's Host.
func nameOf(stream []byte) string {
	if h, complete, err := tunnel.ParseHello(stream); err == nil && complete {
		return h.ServerName
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(stream)))
	if err != nil {
		return ""
	}
	host, _, _ := strings.Cut(req.Host, ":")
	return host
}
