// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keyLog is the name of the file with the keys of all columns.
const keyLog = "keys.log"

// A CaptureDir is where a recording goes as files: one in pcapng for each column, and
// the key log. They hold the secrets of the run, so nobody else can read them.
type CaptureDir struct {
	path string
	made bool
}

// NewCaptureDir makes a directory, or takes an empty one, which is closed to others.
func NewCaptureDir(path string) (*CaptureDir, error) {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return &CaptureDir{path, true}, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making a directory for packets: %w", err)
	}
	there, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("looking into %s, where packets are to go: %w", path, err)
	}
	if len(there) > 0 {
		return nil, fmt.Errorf("%s is not empty, and packets do not go where other files are: name a new directory", path)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("closing %s to others, because the keys of TLS sessions go there: %w", path, err)
	}
	return &CaptureDir{path: path}, nil
}

// Abandon takes the directory away again if it was made and nothing is in it. Nil has
// none.
func (d *CaptureDir) Abandon() {
	if d != nil && d.made {
		_ = os.Remove(d.path) // fails where somebody has put something into it: it is theirs
	}
}

// Write writes the files and returns the names of those with packets, in the order of
// the columns. Either all are there and whole, or none is.
func (d *CaptureDir) Write(r *Result) (names []string, err error) {
	var done []string
	defer func() {
		if err == nil {
			return
		}
		names, err = nil, fmt.Errorf("%w; no packets were kept", err)
		for _, path := range done {
			err = errors.Join(err, os.Remove(path))
		}
		d.Abandon()
	}()
	write := func(name string, content func(io.Writer) error) error {
		path := filepath.Join(d.path, name)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		done = append(done, path)
		if err := errors.Join(content(f), f.Close()); err != nil {
			return fmt.Errorf("writing packets: %w", err)
		}
		return nil
	}
	var all []byte
	for _, c := range r.Report.Columns {
		flows := r.Recording.of(c.ID)
		keys := keysOf(r.Recording.Keys(), flows)
		all = append(all, keys...)
		name := fileName(c.ID, names)
		names = append(names, name)
		if err := write(name, func(w io.Writer) error { return writeColumn(w, r.Report, c, flows, keys) }); err != nil {
			return nil, err
		}
	}
	return names, write(keyLog, func(w io.Writer) error {
		_, err := w.Write(all)
		return err
	})
}

// fileName is a file for a column, not one of those taken.
func fileName(column string, taken []string) string {
	plain := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, column)
	name := plain + ".pcapng"
	for n := 2; slices.ContainsFunc(taken, func(t string) bool { return strings.EqualFold(t, name) }); n++ {
		name = fmt.Sprintf("%s-%d.pcapng", plain, n)
	}
	return name
}

// of are the flows of a column.
func (r *Recording) of(column string) []*Flow {
	return slices.DeleteFunc(r.Flows(), func(f *Flow) bool { return f.Column != column })
}

// keysOf are the lines of a key log for the sessions on some wires.
func keysOf(log []byte, flows []*Flow) []byte {
	randoms := make(map[string]bool)
	for _, f := range flows {
		up := f.bytes(false)
		if at := tlsStart(up); at >= 0 {
			if r, ok := clientRandom(up[at:]); ok {
				randoms[hex.EncodeToString(r)] = true
			}
		}
	}
	var out []byte
	for line := range bytes.Lines(log) {
		if words := bytes.Fields(line); len(words) == 3 && randoms[string(words[1])] {
			out = append(out, line...)
		}
	}
	return out
}

// clientRandom is by what a key log knows a session: 32 bytes of the ClientHello, the
// same in the second one where there are two (RFC 8446 §4.1.2).
func clientRandom(stream []byte) ([]byte, bool) {
	const at = 5 + 4 + 2 // behind the headers of record and message, and the version
	if len(stream) < at+32 || stream[0] != recordHandshake || stream[5] != messageClientHello {
		return nil, false
	}
	return stream[at : at+32], true
}

// The numbers of the interfaces.
const (
	clientWire = iota
	originWire
)

// writeColumn writes the file of a column.
func writeColumn(w io.Writer, r *Report, c Column, flows []*Flow, keys []byte) error {
	b := appendSection(nil, "sallyport "+r.Gateway, "column "+c.ID+" of sallyport demo. Bytes and times were recorded; "+
		"ports are those on loopback; addresses, acknowledgements and what opens and ends connections stand for what was seen of them.")
	b = appendInterface(b, "client leg", "between the client and who it connects to")
	b = appendInterface(b, "origin leg", "between the gateway and the origin")
	b = appendNames(b, hostName{clientAddr, "client"}, hostName{gatewayAddr, "gateway"}, hostName{outerAddr, "gateway-out"}, hostName{originAddr, "origin"})
	if len(keys) > 0 {
		b = appendSecrets(b, keys)
	}
	for _, p := range packetsOfAll(flows) {
		b = appendPacket(b, p)
		if len(b) >= 64<<10 {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(b)
	return err
}

// packetsOfAll are those of all flows, by time.
func packetsOfAll(flows []*Flow) []packet {
	granted := make(map[string]time.Duration) // by exchange
	for _, f := range flows {
		for _, m := range messages(f) {
			if m.number == 4 {
				granted[f.Exchange] = m.at
			}
		}
	}
	var all []packet
	for _, f := range flows {
		wire, opened, about := uint32(clientWire), f.Opened, f.Exchange
		if f.Leg == "origin" {
			wire = originWire
			if at, ok := granted[f.Exchange]; ok {
				opened = min(opened, at) // see ladder
			}
		}
		if about == "" {
			about = f.Column + ": of no exchange"
		}
		all = append(all, packetsOf(f, opened, wire, about+", "+f.Leg+" leg")...)
	}
	slices.SortStableFunc(all, func(a, b packet) int { return a.at.Compare(b.at) })
	return all
}
