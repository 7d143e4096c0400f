// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Package demo runs the same exchanges through each mode of the gateway, and
// through none, records what is on each wire, and says what differs. Nothing in
// a [Report] is known beforehand: each cell is computed from the bytes,
// certificates, log lines and clocks of its own run.
package demo

import (
	"encoding/json"
	"time"
)

// Version is that of the JSON a Report is written as. It changes when something
// that was there is gone or means something else.
const Version = 1

// A Report is what one run of the comparison found.
type Report struct {
	Version   int        `json:"version"`
	Gateway   string     `json:"gateway"` // version of the gateway that was run
	Started   time.Time  `json:"started"`
	Seconds   float64    `json:"seconds"` // how long the run took
	Machine   Machine    `json:"machine"`
	Notes     []string   `json:"notes,omitempty"` // what readers are to be told
	Columns   []Column   `json:"columns"`
	Groups    []Group    `json:"groups"`
	Exchanges []Exchange `json:"exchanges"`
	Samples   []Sample   `json:"samples"`
}

// A Machine is where the run was, because times and memory depend on it.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// A Column is one way from the client to the origin.
type Column struct {
	ID    string   `json:"id"`              // "direct", the name of a mode, or that of a way of its own
	Title string   `json:"title"`           // for a heading
	Mode  string   `json:"mode"`            // "direct" or one of the modes
	Rule  string   `json:"rule"`            // the rule of the policy file that chose it; "": no gateway of ours
	Notes []string `json:"notes,omitempty"` // what readers are to be told of it
}

// A Group is a question with its rows.
type Group struct {
	ID    string `json:"id"` // "wire", "trust", "identity", "control", "session", "cost"
	Title string `json:"title"`
	Rows  []Row  `json:"rows"`
}

// A Row is what was looked at, with a cell for each column, in their order.
type Row struct {
	ID    string `json:"id"` // "wire.client_canary"
	Title string `json:"title"`
	How   string `json:"how"` // how the cells were found, in one sentence
	Cells []Cell `json:"cells"`
}

// A Cell is one finding.
type Cell struct {
	Text     string   `json:"text"`               // for people: "in clear, 2 times"
	Value    any      `json:"value"`              // for programs: a bool, a number or a string; nil: does not apply
	Unit     string   `json:"unit,omitempty"`     // of a number: "ms", "bytes", "bits/byte"
	Verdict  Verdict  `json:"verdict"`            // whether a security engineer likes it
	Evidence []string `json:"evidence,omitempty"` // IDs of the exchanges it was computed from
}

// A Verdict colours a cell. It is "" where neither answer is better.
type Verdict string

// The verdicts.
const (
	Good    Verdict = "good"
	Bad     Verdict = "bad"
	Neutral Verdict = ""
	Missing Verdict = "n/a" // does not apply to the mode; the text says why
)

// An Exchange is one attempt of the client, as it was on the wires.
type Exchange struct {
	ID      string          `json:"id"`     // "originate/login"
	Column  string          `json:"column"` // ID of its column
	Name    string          `json:"name"`   // "login", "expired", "ssh", …: the same in all columns
	Outcome string          `json:"outcome"`
	Steps   []Step          `json:"steps"`
	Wires   []Wire          `json:"wires"`
	Log     json.RawMessage `json:"log,omitempty"` // what the gateway wrote of it, one record or more
}

// The actors of a ladder.
const (
	Client  = "client"
	Gateway = "gateway"
	Origin  = "origin"
)

// A Step is one arrow of an exchange's ladder, read from the recorded bytes.
type Step struct {
	At     float64 `json:"at"` // milliseconds since the exchange began
	From   string  `json:"from"`
	To     string  `json:"to"`
	Text   string  `json:"text"`           // "CONNECT shop.demo.test:443", "TLS ClientHello, SNI shop.demo.test"
	Bytes  int     `json:"bytes"`          // how many it stands for
	Clear  bool    `json:"clear"`          // whoever records the wire can read it
	Number int     `json:"step,omitempty"` // 1 to 5: the step of a CONNECT (HTTP: The Definitive Guide, ch. 8); 0: none
}

// A Wire is what was recorded of one leg: the whole of it is in the pcap, this
// is the account.
type Wire struct {
	Leg      string  `json:"leg"` // "client": between client and gateway (or origin, if direct); "origin": between gateway and origin
	Sent     int     `json:"sent"`
	Received int     `json:"received"` // bytes, as the client of the leg sees them
	Entropy  float64 `json:"entropy"`  // bits per byte of the payload in both directions, 0 to 8; TLS application data where there is TLS
	TLS      bool    `json:"tls"`
	Canaries int     `json:"canaries"` // how often the canary stands in the recorded bytes
	Strip    Strip   `json:"strip"`
}

// A Strip is the part of a wire that a page shows: around the canary if it is
// there, else where the same words would stand.
type Strip struct {
	Offset int    `json:"offset"` // of its first byte in what the client of the leg sent
	Hex    string `json:"hex"`    // at most 128 bytes
	Canary [2]int `json:"canary"` // from and to, in bytes of the strip; equal: not there
}

// A Sample is the latencies of one kind of request in one column.
type Sample struct {
	Column string    `json:"column"`
	Name   string    `json:"name"`   // "new" connections or "kept"
	Millis []float64 `json:"millis"` // each one, in the order they were made
}
