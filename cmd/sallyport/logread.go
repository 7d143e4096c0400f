// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sallyport/policy"
)

// A recorded decision is what one line of the access log tells: what the policy
// was asked, and what it answered.
type recorded struct {
	ID       string
	Query    policy.Query
	Mode     policy.Mode // decided
	Reason   policy.Reason
	Rule     string // "" when none decided
	Audited  string
	Revision string // of the policy, its first digits

	Done       policy.Mode // what was done: Mode, or Deny
	Error      string      // why it was not what was decided; for people
	OriginAuth string      // who authenticates to the origin, as the contract has it
	ClientCert string      // the certificate that the origin asked the gateway for and was shown
}

var (
	errOtherLine  = errors.New("a line about something else than a request")
	errNotDecided = errors.New("the request could not be read, or its client not told, so that no policy was asked")
	errOldLine    = errors.New(`it lacks "kind": a version of sallyport wrote it that did not log all that a decision depends on`)
	errInexact    = errors.New("what was proven about the client is no text, and the log could not hold it")
)

// readRecord reads a line of the access log. The errors above say that there is
// no decision in it; any other, that it is no such line.
func readRecord(line []byte) (recorded, error) {
	var l struct {
		Message   string
		ID        string
		Start     time.Time
		Client    netip.AddrPort
		IP        netip.Addr
		User      string
		Groups    []string
		Cert      []string
		Claims    []string
		Inexact   bool
		Kind      string
		MayAsk    bool `json:"may_ask"`
		Method    string
		URL       string
		Rule      string
		Mode      string
		Decision  *policy.Mode
		Reason    policy.Reason
		Audited   string
		Revision  string
		Error     string
		Contract  policy.Contract
		ClientLeg struct{ TLS string } `json:"client_leg"`
		OriginLeg struct {
			ClientCert string `json:"client_cert"`
		} `json:"origin_leg"`
	}
	if err := json.Unmarshal(line, &l); err != nil {
		// A line of the program's own has other things under the same names.
		var other struct{ Message string }
		if json.Unmarshal(line, &other) == nil && other.Message != "request" {
			return recorded{}, errOtherLine
		}
		return recorded{}, err
	}
	switch {
	case l.Message != "request":
		return recorded{}, errOtherLine
	case l.Revision == "":
		return recorded{}, errNotDecided
	case l.Kind == "":
		return recorded{}, errOldLine
	case l.Inexact:
		return recorded{}, errInexact
	case l.Decision == nil || l.Start.IsZero() || !l.Client.IsValid():
		return recorded{}, errors.New(`"decision", "start" or "client" is missing`)
	case *l.Decision != policy.Deny && l.Rule == "":
		return recorded{}, errors.New("no rule allowed it")
	}
	var done policy.Mode
	if err := done.UnmarshalText([]byte(l.Mode)); err != nil {
		return recorded{}, err
	}
	r := recorded{
		ID: l.ID, Mode: *l.Decision, Reason: l.Reason, Rule: l.Rule, Audited: l.Audited, Revision: l.Revision,
		Done: done, Error: l.Error, OriginAuth: l.Contract.OriginAuth, ClientCert: l.OriginLeg.ClientCert,
	}
	q := &r.Query
	q.Client = policy.Client{Addr: l.Client.Addr(), User: l.User, Groups: l.Groups, Certs: l.Cert, Claims: l.Claims}
	if l.IP.IsValid() {
		q.Client.Addr = l.IP
	}
	q.At, q.MayAsk = l.Start, l.MayAsk
	q.ClientTLS = l.ClientLeg.TLS != "" && l.ClientLeg.TLS != plainLeg
	if err := q.Kind.UnmarshalText([]byte(l.Kind)); err != nil {
		return recorded{}, err
	}
	if q.Kind != policy.Connect {
		q.Method = l.Method
	}
	return r, readAsked(q, l.URL)
}

// readAsked reads what was asked for from the log's url: the reverse of what the
// gateway's target makes of it, in which only the query is lost.
func readAsked(q *policy.Query, url string) error {
	authority := url
	if q.Kind != policy.Connect {
		scheme, rest, ok := strings.Cut(url, "://")
		if !ok || scheme != "http" && scheme != "https" {
			return fmt.Errorf("the url %q is neither http nor https", clipped(url, 80))
		}
		q.Scheme, q.Port = scheme, 80
		if scheme == "https" {
			q.Port = 443
		}
		rest, _, _ = strings.Cut(rest, "?")
		i := strings.IndexByte(rest, '/')
		if i < 0 { // a request without a path is one for "/", which the log names
			authority, q.Path = rest, "*"
		} else {
			authority, q.Path = rest[:i], rest[i:]
		}
	}
	name := authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		port, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("the url %q has no port", clipped(url, 80))
		}
		name, q.Port = authority[:i], uint16(port)
	}
	var err error
	if q.Host, err = policy.ParseHost(name); err == nil && q.Port == 0 {
		err = fmt.Errorf("the url %q has no port", clipped(url, 80))
	}
	return err
}

// clipped is the beginning of s, at most n bytes.
func clipped(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// same reports whether d is what was recorded.
func (r recorded) same(d policy.Decision) bool {
	return d.Mode == r.Mode && d.Reason == r.Reason && d.RuleName() == r.Rule && auditedName(d) == r.Audited
}

// auditedName is the rule that would have decided, were it not for audit: true.
func auditedName(d policy.Decision) string { return policy.Decision{Rule: d.Audited}.RuleName() }

// outcome is the answer that was recorded.
func (r recorded) outcome() policy.Outcome {
	return policy.Outcome{Mode: r.Mode, Reason: r.Reason, Rule: r.Rule}
}

// of reports whether p is the policy that decided.
func (r recorded) of(p *policy.Policy) bool {
	return len(r.Revision) >= 8 && strings.HasPrefix(p.Revision, r.Revision)
}

// maxLogLine is beyond any line the gateway writes: a request's head is 64 KiB.
const maxLogLine = 2 << 20

// A logLine is one line of a log.
type logLine struct {
	Number  int    // from 1
	Text    []byte // without its end; not to be kept
	Whole   bool   // false: the log ends within it; it may still be being written
	TooLong bool   // longer than any that the gateway writes; Text is empty
}

// readLog hands each line of r, which may be compressed by gzip, to visit, until
// that returns an error. It holds one line at a time.
func readLog(r io.Reader, visit func(logLine) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := br.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(br)
		if err != nil {
			return err
		}
		defer z.Close()
		br = bufio.NewReaderSize(z, 64<<10)
	}
	var long []byte
	for n := 1; ; n++ {
		l := logLine{Number: n}
		part, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long = long[:0]
			for err == bufio.ErrBufferFull {
				if len(long)+len(part) > maxLogLine {
					l.TooLong = true
				} else {
					long = append(long, part...)
				}
				part, err = br.ReadSlice('\n')
			}
			long = append(long, part...)
			part = long
		}
		end := err == io.EOF || err == io.ErrUnexpectedEOF // the latter: gzip that is still being written
		switch {
		case err != nil && !end:
			return err
		case end && len(part) == 0:
			return nil
		}
		if l.Whole = !end; !l.TooLong {
			l.Text = bytes.TrimRight(part, "\r\n")
		}
		if err := visit(l); err != nil || end {
			return err
		}
	}
}
