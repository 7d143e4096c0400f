// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"sallyport/gateway"
	"sallyport/policy"
)

// newLogger writes to stderr, in format json or console.
func newLogger(format string) (zerolog.Logger, error) {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	zerolog.DurationFieldUnit = time.Millisecond
	if format == "" {
		format = "json"
		if isTerminal(os.Stderr) {
			format = "console"
		}
	}
	switch format {
	case "json":
		return zerolog.New(os.Stderr).With().Timestamp().Logger(), nil
	case "console":
		w := zerolog.ConsoleWriter{
			Out: os.Stderr, NoColor: !colour(os.Stderr), TimeFormat: time.TimeOnly,
			FieldsOrder: []string{"status", "method", "url", "mode", "rule", "cause", "outcome"},
			// What a person watching can do without; json has it.
			FieldsExclude: []string{"contract", "client_leg", "origin_leg", "hello", "decision", "reason", "proto", "start", "generation", "revision", "kind", "may_ask", "inexact"},
		}
		return zerolog.New(w).With().Timestamp().Logger(), nil
	}
	return zerolog.Logger{}, &exitError{code: exitUsage, err: fmt.Errorf("--log %s: the formats are json and console", format)}
}

// warnings is the log for what speaks to a standard logger.
type warnings struct{ logger *zerolog.Logger }

func (w warnings) Write(line []byte) (int, error) {
	w.logger.Warn().Str("error", string(bytes.TrimSpace(line))).Msg("serving clients")
	return len(line), nil
}

// libraries is the log for what speaks to Go's own logger, which is net/http. Of an
// origin that speaks unasked it would quote what was said, and that may repeat
// a secret or be meant for a client.
type libraries struct{ logger *zerolog.Logger }

func adoptLibraries(logger *zerolog.Logger) {
	log.SetFlags(0)
	log.SetOutput(libraries{logger})
}

func (l libraries) Write(line []byte) (int, error) {
	said := string(bytes.TrimSpace(line))
	switch {
	case strings.HasPrefix(said, "Unsolicited response"):
		said = "an origin spoke unasked on a connection that was kept, which is closed"
	case strings.Contains(said, "UDP-Buffer-Sizes"): // quic-go, once
		size, _, _ := strings.Cut(said, ". See")
		l.logger.Warn().Str("error", size).Msg("HTTP/3 is slower than it could be: the kernel allows its sockets small buffers (net.core.rmem_max, net.core.wmem_max)")
		return len(line), nil
	}
	l.logger.Warn().Str("error", said).Msg("net/http")
	return len(line), nil
}

// logRecord writes the access log's line of one transaction.
func logRecord(logger *zerolog.Logger, r *gateway.Record) {
	d := r.Decision
	if d.Rule != nil && d.Rule.Log == policy.LogNone {
		return
	}
	e := logger.Info().
		Str("id", r.ID).
		Time("start", r.Time).
		Str("client", r.Client.String())
	if r.Connect != "" {
		e.Str("connect", r.Connect)
	}
	if a := r.Identity.Addr; a.IsValid() && a != r.Client.Addr() {
		e.Str("ip", a.String())
	}
	proven(e, r.Identity)
	if r.Mapped != "" {
		e.Str("mapped", r.Mapped)
	}
	e.Str("method", r.Method).Str("url", r.URL).Str("proto", r.Proto)
	if d.Rule != nil {
		e.Str("rule", d.Rule.Name)
	}
	if r.Own {
		e.Str("mode", "own")
	} else {
		e.Str("mode", r.Mode.String())
	}
	if len(r.Revision) >= revisionDigits { // the policy was asked
		e.Str("kind", r.Kind.String())
		if r.MayAsk {
			e.Bool("may_ask", true)
		}
		e.Str("decision", d.Mode.String()).Str("reason", d.Reason.String()).
			Uint64("generation", d.Generation).Str("revision", r.Revision[:revisionDigits])
		if d.Audited != nil {
			e.Str("audited", d.Audited.Name)
		}
	}
	if d.Mode != policy.Deny {
		e.Interface("contract", d.Contract())
	}
	e.Dict("client_leg", leg(r.ClientTLS))
	if r.Origin.Addr.IsValid() {
		e.Dict("origin_leg", originLeg(r))
	}
	if h := r.Hello; h != nil {
		e.Dict("hello", zerolog.Dict().Str("sni", h.ServerName).Strs("alpn", h.ALPN).Bool("ech", h.ECH))
	}
	if r.NoHTTP3 != nil {
		e.Str("http3_failed", r.NoHTTP3.Error())
	}
	if r.Injected != nil {
		e.Strs("injected", r.Injected)
	}
	if r.HSTS {
		e.Bool("hsts", true)
	}
	if r.Reconciled != nil {
		e.Strs("reconciled", r.Reconciled)
	}
	e.Int("status", r.Status).Int64("sent", r.Sent).Int64("received", r.Received)
	if r.Limits != "" {
		l := zerolog.Dict().Str("name", r.Limits)
		if r.Limit != "" {
			l.Str("reached", r.Limit)
		}
		e.Dict("limits", l)
	}
	e.Dict("ms", timings(r))
	if r.Event != "" {
		e.Str("event", r.Event)
	}
	e.Str("outcome", string(r.Outcome))
	if r.Cause != "" {
		e.Str("cause", r.Cause)
	}
	if r.Err != nil {
		e.Str("error", r.Err.Error())
	}
	e.Msg("request")
}

// revisionDigits of a policy's revision stand in the access log: 64 bits, which
// no two policies share by accident.
const revisionDigits = 16

// proven writes all that was proven to the policy, which may ask for any of
// it when the request is decided again. No groups and groups that are not known
// are two things to it.
func proven(e *zerolog.Event, c policy.Client) {
	if c.User != "" {
		e.Str("user", c.User)
	}
	exact := utf8.ValidString(c.User)
	for _, x := range []struct {
		name   string
		values []string
	}{{"groups", c.Groups}, {"cert", c.Certs}, {"claims", c.Claims}} {
		if x.values != nil {
			e.Strs(x.name, x.values)
		}
		for _, v := range x.values {
			exact = exact && utf8.ValidString(v)
		}
	}
	if !exact { // JSON cannot hold it
		e.Bool("inexact", true)
	}
}

// plainLeg is what the log says of a leg without TLS.
const plainLeg = "none"

// leg says how one side was protected.
func leg(s *tls.ConnectionState) *zerolog.Event {
	d := zerolog.Dict()
	if s == nil {
		return d.Str("tls", plainLeg)
	}
	d.Str("tls", tls.VersionName(s.Version)).
		Str("cipher", tls.CipherSuiteName(s.CipherSuite)).
		Str("kex", s.CurveID.String()).
		Str("alpn", s.NegotiatedProtocol).
		Bool("resumed", s.DidResume)
	if len(s.PeerCertificates) > 0 {
		leaf := s.PeerCertificates[0]
		sum := sha256.Sum256(leaf.Raw)
		d.Str("subject", leaf.Subject.String()).Str("sha256", hex.EncodeToString(sum[:]))
	}
	return d
}

func originLeg(r *gateway.Record) *zerolog.Event {
	d := leg(r.Origin.TLS)
	if r.Method == "CONNECT" && r.Origin.TLS == nil {
		d = zerolog.Dict().Str("tls", "the client's own")
	}
	d.Str("addr", r.Origin.Addr.String()).Bool("reused", r.Origin.Reused)
	if r.Origin.ECH != "" {
		d.Str("ech", r.Origin.ECH)
	}
	if r.Origin.ECHNote != "" {
		d.Str("ech_note", r.Origin.ECHNote)
	}
	if r.Origin.ClientCert != "" {
		d.Str("client_cert", r.Origin.ClientCert)
	}
	if r.Origin.CertSerial != "" {
		d.Str("client_cert_serial", r.Origin.CertSerial)
	}
	return d
}

func timings(r *gateway.Record) *zerolog.Event {
	d := zerolog.Dict()
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"dns", r.Origin.DNS},
		{"connect", r.Origin.Connect},
		{"tls", r.Origin.Handshake},
		{"first_byte", r.FirstByte},
		{"paced", r.Paced},
		{"total", r.Total},
	} {
		if t.d != 0 {
			d.Float64(t.name, float64(t.d.Microseconds())/1000)
		}
	}
	return d
}
