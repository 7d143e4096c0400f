// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// Options say what is run.
type Options struct {
	Program  string            // the sallyport whose gateway is looked at, a path
	Version  string            // what it calls itself
	Progress func(what string) // told what is being done; nil: nobody is
	Columns  []string          // some of direct, originate, tunnel, intercept and relay; nil: all
	Ways     []Way             // columns behind those
	Notes    []string          // what readers are to be told

	// Costs false leaves out the group cost, which is most of the time.
	Costs bool

	// Rules gives the hosts of a column the rules of another mode, so that a test
	// can see that the cells notice. Nil: each column has its own.
	Rules map[string]string
}

// A Result is a report and what it was computed from.
type Result struct {
	Report    *Report
	Recording *Recording
}

// neededFiles is how many files this process and the gateway each have to be able to
// open: connections are two, and openConns of them are held at once.
const neededFiles = 2*openConns + 400

// longest is how long a run may take, on whatever machine.
const longest = 2 * time.Minute

// Run makes the comparison. It needs loopback and a temporary directory, both of
// which it leaves as they were, also when ctx ends.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Program == "" {
		return nil, errors.New("no program to compare: the gateway is a process of its own")
	}
	if o.Columns == nil {
		o.Columns = allColumns
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if n := openFiles(); n != 0 && n < neededFiles {
		return nil, fmt.Errorf("a process may open %d files here, and the comparison needs %d: raise that with ulimit -n", n, neededFiles)
	}
	ways, err := o.ways()
	if err != nil {
		return nil, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	t := &trial{o: o, ways: ways, fail: fail, rec: newRecording(), started: time.Now(), env: environment()}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it was not done after %s", longest))
	defer cancel()
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w; give another with TMPDIR", err)
	}
	t.dir = dir
	defer os.RemoveAll(dir)
	err = t.run(ctx)
	t.close()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the comparison was ended, with all that it had started: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, err
	}
	return &Result{Report: t.report(), Recording: t.rec}, nil
}

// A trial is one run.
type trial struct {
	o       Options
	ways    []Way
	started time.Time
	fail    func(error)   // ends the run: something of our own does not work
	stopped time.Duration // when the gateway of the exchanges was, on the recording's clock
	dir     string
	env     []string
	canary  string
	rec     *Recording

	roots, stray *authority
	own          *tls.Certificate // the client's
	edge         *x509.CertPool   // by which minted leaves are verified
	trusted      *x509.CertPool   // by clients: origins' roots, and edge

	names      *nameServer
	origin     *origin
	banner     *bannerOrigin
	gateway    *gateway
	atGate     *tap            // between clients and the gateway
	webs, sshs map[string]*tap // in front of the origins: "client" and "origin", as in Flow.Leg

	columns []*column
	closers []func()
}

// A column is what was found of one way.
type column struct {
	id, mode  string // the mode of its rules, whatever the way says
	way       Way
	trial     *trial
	exchanges []*exchange
	cost      *cost // nil: not measured

	gate  *gateway // who is between client and origin; unused by direct
	entry *tap     // between clients and gate
}

func (c *column) exchange(name string) *exchange {
	for _, x := range c.exchanges {
		if x.name == name {
			return x
		}
	}
	return nil
}

func (t *trial) close() {
	for i := len(t.closers) - 1; i >= 0; i-- {
		t.closers[i]()
	}
	t.closers = nil
}

func (t *trial) closeLater(f func()) { t.closers = append(t.closers, f) }

func (t *trial) run(ctx context.Context) error {
	t.o.Progress("making a CA, origins and a policy")
	if err := t.setUp(ctx); err != nil {
		return err
	}
	t.o.Progress("starting the gateway")
	err := ctx.Err()
	if err != nil {
		return err
	}
	if t.gateway, err = t.startGateway(ctx, false); err != nil {
		return err
	}
	t.closeLater(func() { _ = t.gateway.stop() }) // once more, if it was: nothing
	if t.atGate, err = t.tap("client", false, t.gateway.addr); err != nil {
		return err
	}
	for _, w := range t.ways {
		c := &column{id: w.ID, mode: modeOf(w, t.o.Rules), way: w, trial: t, gate: t.gateway, entry: t.atGate}
		t.columns = append(t.columns, c)
		if w.Peer != "" {
			t.o.Progress("starting " + w.Peer)
			if c.gate, err = t.startPeer(ctx, w); err != nil {
				return err
			}
			if c.entry, err = t.tap("client", false, c.gate.addr); err != nil {
				return err
			}
		}
		for _, a := range t.attempts() {
			t.o.Progress(c.id + ": " + a.name)
			if err := c.try(ctx, a); err != nil {
				return err
			}
		}
	}
	// Everything that is open ends, so that all of it is recorded and logged.
	t.stopped = t.rec.now()
	if err := t.stopAll(); err != nil {
		return err
	}
	for _, tap := range []*tap{t.atGate, t.webs["client"], t.webs["origin"], t.sshs["client"], t.sshs["origin"]} {
		tap.close()
	}
	t.sort()
	if !t.o.Costs {
		return nil
	}
	for _, c := range t.columns {
		t.o.Progress(c.id + ": what it costs")
		if c.cost, err = t.measure(ctx, c); err != nil {
			return fmt.Errorf("measuring %s: %w", c.id, err)
		}
	}
	return nil
}

// stopAll ends the gateway, and all peers.
func (t *trial) stopAll() error {
	for _, c := range t.columns {
		if c.way.Peer == "" {
			continue
		}
		if err := c.gate.stop(); err != nil {
			return err
		}
		c.entry.close()
		if err := c.gate.readLog(); err != nil {
			return err
		}
	}
	return t.gateway.stop()
}

// try makes one exchange.
func (c *column) try(ctx context.Context, a attempt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.gate.alive(); err != nil {
		return err
	}
	cl := c.trial.client(c)
	if a.tls && cl.plain() {
		return nil
	}
	x := &exchange{name: a.name, column: c.id, peer: cl.peer, host: hostOf(a.name, c.id)}
	s := cl.session()
	x.began = c.trial.rec.now()
	a.make(ctx, s, x)
	s.end()
	x.ended, x.dialled = c.trial.rec.now(), s.dialled
	c.exchanges = append(c.exchanges, x)
	return nil
}

// client is the one of a column, on the wires that are recorded.
func (t *trial) client(c *column) *client {
	leg := "origin"
	if c.way.Mode == direct {
		leg = "client"
	}
	return &client{
		mode: c.way.Mode, peer: c.way.Peer != "", proxy: c.entry.addr().String(), roots: t.trusted, own: t.own, keys: t.rec,
		https: port(t.webs[leg]), ssh: port(t.sshs[leg]),
	}
}

func port(t *tap) string { return strconv.Itoa(int(t.addr().Port())) }

func (t *trial) startGateway(ctx context.Context, quiet bool) (*gateway, error) {
	return startGateway(ctx, t.o.Program, t.env, quiet,
		"--policy", filepath.Join(t.dir, "policy.yaml"), "--state", filepath.Join(t.dir, "state"),
		"--htpasswd", filepath.Join(t.dir, "users"), "--resolver", t.names.addr())
}

func machine() Machine {
	return Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version()}
}
