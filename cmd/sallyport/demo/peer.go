// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A peer is another proxy that can be compared, if it is installed.
type peer struct {
	debian string                                // the package that has it
	modes  func(program string) (modes []string) // those that the installed program has
	lacks  string                                // told when it has not all of them
	events map[string]string                     // words of its errors, and what the gateway calls that

	// configure writes what it needs into dir and returns how it is run, to listen at
	// addr, and what it says when it does.
	configure func(t *trial, w Way, dir, program, addr string) (args []string, ready string, err error)
}

// peers are those that are known.
var peers = map[string]peer{"squid": squid}

// allPeerModes are what a peer can be compared in.
var allPeerModes = []string{relay, tunnelled, intercept}

// PeerWays are the columns of a peer, and what is to be told of it. It is an error
// when it is not installed.
func PeerWays(name string) (ways []Way, notes []string, err error) {
	p, ok := peers[name]
	if !ok {
		return nil, nil, fmt.Errorf("%q is no peer that can be compared: there is squid", name)
	}
	program, err := peerProgram(name)
	if err != nil {
		return nil, nil, err
	}
	modes := p.modes(program)
	for _, mode := range modes {
		ways = append(ways, Way{ID: name + "-" + mode, Title: name + " " + mode, Mode: mode, Peer: name})
	}
	if len(modes) < len(allPeerModes) {
		notes = append(notes, p.lacks)
	}
	return ways, notes, nil
}

// peerProgram finds a peer, also where only root's PATH leads to.
func peerProgram(name string) (string, error) {
	for _, place := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: apt-get install %s", name, peers[name].debian)
}

// startPeer runs the peer of a way until it is stopped, as nobody if we are root. Its
// directory is removed with the trial.
func (t *trial) startPeer(ctx context.Context, w Way) (*gateway, error) {
	program, err := peerProgram(w.Peer)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sallyport-demo-"+w.Peer+"-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory for %s: %w; give another with TMPDIR", w.Peer, err)
	}
	t.closeLater(func() { os.RemoveAll(dir) })
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	args, ready, err := peers[w.Peer].configure(t, w, dir, program, addr)
	if err != nil {
		return nil, fmt.Errorf("configuring %s: %w", w.Peer, err)
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Dir = t.env, dir
	if err := asNobody(cmd, dir); err != nil {
		return nil, fmt.Errorf("giving %s its files: %w", w.Peer, err)
	}
	g := &gateway{cmd: cmd, name: w.Peer, says: ready, saysAddr: addr, log: filepath.Join(dir, accessLog)}
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	t.closeLater(func() { _ = g.stop() }) // once more, if it was: nothing
	return g, nil
}

// answers waits until the peer accepts connections: what it says of them can come
// first.
func (g *gateway) answers(ctx context.Context) error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", g.addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-again.C:
		case <-g.ended:
			return g.died()
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("%s does not serve after %s: %w; %s", g.name, patience, err, g.said())
		}
	}
}

// freeAddr is an address of loopback for a program that has to be told one.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// accessLog is where a peer writes its own, a line of JSON with the keys of a record
// for each request.
const accessLog = "access.log"

// readLog takes the records of a peer that has ended.
func (g *gateway) readLog() error {
	if g.log == "" {
		return nil
	}
	content, err := os.ReadFile(g.log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was asked for nothing
	}
	if err != nil {
		return fmt.Errorf("reading the access log of %s: %w", g.name, err)
	}
	for line := range bytes.Lines(content) {
		r := record{line: bytes.TrimSpace(line)}
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("reading the access log of %s: %w: %.200s", g.name, err, line)
		}
		for _, field := range []*string{&r.Error, &r.Hello.SNI} {
			if *field == "-" { // as logs say that there is none
				*field = ""
			}
		}
		for word, event := range peers[g.name].events {
			if strings.Contains(r.Error, word) {
				r.Event = event
			}
		}
		g.records = append(g.records, r)
	}
	return nil
}
