// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How much is measured. It has to fit into a few seconds for five columns.
const (
	openConns = 200
	keptTimes = 600
	newTimes  = 100
	bulkBytes = 96 << 20
	bulkTime  = time.Second // less is sent where that is not enough
)

// A cost is what was measured of a column, without taps.
type cost struct {
	kept, fresh []float64 // ms
	bytes       int64
	seconds     float64 // for so many bytes
	seen        bool    // the gateway's use of the machine could be looked at
	cpuKept     time.Duration
	cpuBytes    time.Duration
	memory      int64 // by which it grew for openConns
}

func (c *cost) samples(column string) []Sample {
	return []Sample{{column, "new", c.fresh}, {column, "kept", c.kept}}
}

// measure looks at one column with a gateway that has done nothing else.
func (t *trial) measure(ctx context.Context, c *column) (out *cost, err error) {
	out = &cost{}
	cl := t.client(c.way)
	_, cl.https, _ = strings.Cut(t.origin.l.Addr().String(), ":")
	cl.keys = nil // a line for each of some thousand sessions
	pid := 0
	if c.id != direct {
		g, err := t.startGateway(ctx, true)
		if err != nil {
			return nil, err
		}
		defer func() {
			if died := g.stop(); died != nil {
				out, err = nil, died
			}
		}()
		cl.proxy, pid = g.addr, g.cmd.Process.Pid
	}
	if err := quick(ctx, cl.session(), hostOf(costHost, c.id)); err != nil {
		if errors.Is(err, errNoPage) {
			return out, nil // the rules do not serve the client: there is nothing to measure
		}
		return nil, err
	}
	used := func() (time.Duration, int64) {
		cpu, resident, ok := usage(pid)
		out.seen = ok
		return cpu, resident
	}
	_, before := used()
	if err := t.hold(ctx, cl, c); err != nil {
		return nil, err
	}
	_, after := used()
	out.memory = max(0, after-before)
	for _, m := range []struct {
		into  *[]float64
		n     int
		fresh bool
	}{{&out.kept, keptTimes, false}, {&out.fresh, newTimes, true}} {
		start, _ := used()
		if *m.into, err = t.times(ctx, cl, c, m.n, m.fresh); err != nil {
			return nil, err
		}
		if end, _ := used(); !m.fresh {
			out.cpuKept = end - start
		}
	}
	start, _ := used()
	err = out.download(ctx, cl, hostOf(costHost, c.id))
	end, _ := used()
	out.cpuBytes = end - start
	return out, err
}

var errNoPage = errors.New("no page came")

// quick asks for the smallest of pages.
func quick(ctx context.Context, s *session, host string) error {
	a := s.do(ctx, http.MethodGet, s.url(host, "/quick"), "")
	if a.status != http.StatusOK || a.byProxy {
		return fmt.Errorf("%w: %s", errNoPage, a.outcome())
	}
	return a.err
}

// hold opens many connections, each with a request, so that their memory can be
// seen; they are closed when it was.
func (t *trial) hold(ctx context.Context, cl *client, c *column) error {
	open := make([]*session, openConns)
	for i := range open {
		open[i] = cl.session()
		defer open[i].end()
		if err := quick(ctx, open[i], hostOf(costHost, c.id)); err != nil {
			return err
		}
	}
	return nil
}

// times makes n requests one after the other, each on a connection of its own or
// all on one.
func (t *trial) times(ctx context.Context, cl *client, c *column, n int, fresh bool) ([]float64, error) {
	out := make([]float64, 0, n)
	s := cl.session()
	defer func() { s.end() }()
	if !fresh { // the first opens the connection
		if err := quick(ctx, s, hostOf(costHost, c.id)); err != nil {
			return nil, err
		}
	}
	for range n {
		if fresh {
			s.end()
			s = cl.session()
		}
		start := time.Now()
		if err := quick(ctx, s, hostOf(costHost, c.id)); err != nil {
			return nil, err
		}
		out = append(out, float64(time.Since(start).Microseconds())/1000)
	}
	return out, nil
}

// download takes many bytes on one connection.
func (c *cost) download(ctx context.Context, cl *client, host string) error {
	s := cl.session()
	defer s.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(host, fmt.Sprintf("/bytes?n=%d", bulkBytes)), nil)
	if err != nil {
		return err
	}
	res, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	buf := make([]byte, 256<<10)
	start := time.Now()
	for time.Since(start) < bulkTime {
		n, err := res.Body.Read(buf)
		c.bytes += int64(n)
		if err != nil {
			if errors.Is(err, io.EOF) {
				break
			}
			return err
		}
	}
	c.seconds = time.Since(start).Seconds()
	return nil
}

// quantile is the value below which a share of the list lies.
func quantile(list []float64, share float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(list), cmp.Compare)
	return sorted[min(len(sorted)-1, int(math.Ceil(share*float64(len(sorted))))-1)]
}
