// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// wrong tells what must not be, whatever anybody else does: each request that
// the origin was sent is one that the client sent, whole, in its turn, and each
// that was passed on has come there. The first answers are scripted, those
// behind them tell the target they are the answer to.
func (s *seen) wrong(said string, scripted int) (what []string) {
	defer func() {
		for i := range what {
			what[i] = "wrong: " + what[i]
		}
	}()
	what = append(what, s.faults...)
	meant := readSaid(said)
	k := 0 // of the origin's requests
	for i, r := range s.records {
		if !r.Origin.Addr.IsValid() {
			continue
		}
		if i >= len(meant) && r.Outcome != Done {
			continue // the head was, and the body was not what it has to be
		}
		if i >= len(meant) {
			return append(what, fmt.Sprintf("passage %d was sent to the origin, and net/http finds only %d requests in what the client said", i, len(meant)))
		}
		if k < len(s.requests) {
			if d := meant[i].unlike(s.requests[k]); d == "" {
				if i < len(s.answers) && !s.answers[i].refused && k >= scripted && r.Method != http.MethodHead && s.answers[i].body != s.requests[k].target {
					what = append(what, fmt.Sprintf("the answer to %q is %q", s.requests[k].target, s.answers[i].body))
				}
				k++
				continue
			} else if r.Outcome == Done {
				what = append(what, d)
			}
		}
		if r.Outcome == Done {
			what = append(what, fmt.Sprintf("passage %d did not come to the origin as it was: %v", i, s.requests))
		}
	}
	if k < len(s.requests) {
		what = append(what, fmt.Sprintf("the origin got %q, which nobody has sent", s.requests[k].raw))
	}
	return what
}

// unlike tells what h, as it was meant, and o, as it came, do not have in common.
func (h told) unlike(o told) string {
	_, rest, _ := strings.Cut(h.target, "://")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, path := strings.ToLower(rest[:end]), rest[end:]
	name, port, _ := strings.Cut(authority, ":")
	if authority = strings.TrimSuffix(name, "."); port != "" && port != "80" { // RFC 3986 §6.2.3; the DNS root
		authority += ":" + port
	}
	switch {
	case path == "" && h.method == http.MethodOptions:
		path = "*"
	case !strings.HasPrefix(path, "/"):
		path = "/" + path
	}
	switch {
	case o.method != h.method, o.target != path, o.host != authority, o.body != h.body:
		return fmt.Sprintf("%s %s, Host %s, %q has come instead of %s %s, Host %s, %q", o.method, o.target, o.host, o.body, h.method, path, authority, h.body)
	}
	return ""
}

// readSaid reads what a client said as net/http does, which is no stricter than
// the gateway.
func readSaid(said string) (all []told) {
	br := bufio.NewReaderSize(strings.NewReader(said), len(said))
	for {
		for {
			if b, err := br.Peek(2); err != nil || !bytes.Equal(b, []byte("\r\n")) {
				break
			}
			_, _ = br.Discard(2)
		}
		h, _, err := readTold(br, func() {})
		if err != nil {
			return all
		}
		all = append(all, h)
	}
}
