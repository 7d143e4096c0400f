// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long anything may take that should happen at once.
const patience = 10 * time.Second

// A gateway is a sallyport that runs as a process of its own.
type gateway struct {
	cmd   *exec.Cmd
	addr  string
	ready chan string   // its address, once
	ended chan struct{} // closed when it has ended and its log is complete
	cause error         // of the end

	mu      sync.Mutex
	last    []string // the last lines it wrote
	records []record // of the access log
	quiet   bool     // records are not kept

	// Of a peer: what it is called, what it says when it serves, and where it logs.
	name, says, saysAddr, log string
}

// A record is a line of the access log: what of it is computed with, and the line.
type record struct {
	Kind    string `json:"kind"`
	Method  string `json:"method"`
	URL     string `json:"url"`
	Rule    string `json:"rule"`
	Mode    string `json:"mode"`
	User    string `json:"user"`
	Status  int    `json:"status"`
	Cause   string `json:"cause"`
	Event   string `json:"event"`
	Outcome string `json:"outcome"`
	Error   string `json:"error"`
	Hello   struct {
		SNI string `json:"sni"`
	} `json:"hello"`
	Contract map[string]string `json:"contract"`

	line json.RawMessage
}

// startGateway runs program and waits until it serves.
func startGateway(ctx context.Context, program string, env []string, quiet bool, flags ...string) (*gateway, error) {
	g := &gateway{quiet: quiet, name: "the gateway"}
	g.cmd = exec.Command(program, append([]string{"run", "--listen", "127.0.0.1:0", "--log", "json", "--drain", "1s"}, flags...)...)
	g.cmd.Env = env
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// start starts the process and waits until it serves.
func (g *gateway) start(ctx context.Context) error {
	g.ready, g.ended = make(chan string, 1), make(chan struct{})
	g.cmd.Stdout = io.Discard
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	go g.watch(stderr, started)
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s (%s): %w", g.name, g.cmd.Path, err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case g.addr = <-g.ready:
		if g.says == "" {
			return nil
		}
		if err = g.answers(ctx); err == nil {
			return nil
		}
	case <-g.ended:
		return g.died()
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = fmt.Errorf("%s does not serve after %s; %s", g.name, patience, g.said())
	}
	_ = g.stop() // err says more
	return err
}

// stop ends the gateway, by force when it takes its time, and waits for it. It is
// an error when it had ended before, or not as it should.
func (g *gateway) stop() error {
	if err := g.alive(); err != nil {
		return err
	}
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	var forced atomic.Bool
	late := time.AfterFunc(5*time.Second, func() {
		forced.Store(true)
		_ = g.cmd.Process.Kill()
	})
	defer late.Stop()
	<-g.ended
	if g.cause != nil && !forced.Load() {
		return g.died()
	}
	return nil
}

// died says why the gateway ended before it was told to.
func (g *gateway) died() error {
	what := "without a word why"
	if g.cause != nil {
		what = g.cause.Error()
	}
	return fmt.Errorf("%s ended by itself (%s); %s", g.name, what, g.said())
}

// alive is an error once the gateway has ended.
func (g *gateway) alive() error {
	select {
	case <-g.ended:
		return g.died()
	default:
		return nil
	}
}

func (g *gateway) said() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.last) == 0 {
		return "it had said nothing"
	}
	return "its last lines:\n  " + strings.Join(g.last, "\n  ")
}

// watch starts the process, reads its log to the end and waits for it.
func (g *gateway) watch(stderr io.Reader, started chan<- error) {
	defer tie(g.cmd)()
	err := g.cmd.Start()
	started <- err
	if err != nil {
		close(g.ended)
		return
	}
	r := bufio.NewReaderSize(stderr, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			g.hear(line)
		}
		if err != nil {
			break
		}
	}
	err = g.cmd.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !exit.Success() {
		g.cause = err
	}
	close(g.ended)
}

// lastLines is how many lines are shown of a gateway that ended.
const lastLines = 8

func (g *gateway) hear(line []byte) {
	var m struct {
		Message string   `json:"message"`
		Listen  []string `json:"listen"`
	}
	if g.quiet && bytes.HasSuffix(line, []byte(`"message":"request"}`)) {
		return
	}
	err := json.Unmarshal(line, &m)
	if err == nil && m.Message == "serving" && len(m.Listen) == 1 {
		g.ready <- m.Listen[0]
	}
	if g.says != "" && bytes.Contains(line, []byte(g.says)) {
		select {
		case g.ready <- g.saysAddr:
		default: // it has said so
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil && m.Message == "request" {
		r := record{line: bytes.Clone(line)}
		if json.Unmarshal(line, &r) == nil {
			g.records = append(g.records, r)
		}
		return
	}
	if g.last = append(g.last, string(line)); len(g.last) > lastLines {
		g.last = g.last[1:]
	}
}

// of are the records about a host.
func (g *gateway) of(host string) []record {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []record
	for _, r := range g.records {
		rest := strings.TrimPrefix(strings.TrimPrefix(r.URL, "http://"), "https://")
		if name, _, _ := strings.Cut(rest, ":"); name == host {
			out = append(out, r)
		}
	}
	return out
}

// environment is what a program of ours gets of this one's: none of its own
// settings, which would make it another gateway than the one we describe.
func environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SALLYPORT_") && !strings.HasPrefix(v, "STATE_DIRECTORY=") {
			out = append(out, v)
		}
	}
	return out
}
