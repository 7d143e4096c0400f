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

// How much is measured. It has to fit into a few seconds for five columns, so on a
// slow machine it is what fits into that time, and fewest at the least.
const (
	openConns = 200
	openTime  = 900 * time.Millisecond
	keptTimes = 600
	keptTime  = 600 * time.Millisecond
	newTimes  = 100
	newTime   = 600 * time.Millisecond
	bulkBytes = 96 << 20
	bulkTime  = 700 * time.Millisecond
	fewest    = 20
)

// A cost is what was measured of a column, without taps.
type cost struct {
	kept, fresh []float64 // ms
	bytes       int64
	seconds     float64 // for so many bytes
	seen        bool    // the gateway's use of the machine could be looked at
	cpuKept     time.Duration
	cpuBytes    time.Duration
	opened      int   // connections that were held
	memory      int64 // by which it grew for them
}

func (c *cost) samples(column string) []Sample {
	return []Sample{{column, "new", c.fresh}, {column, "kept", c.kept}}
}

// measure looks at one column with a gateway that has done nothing else.
func (t *trial) measure(ctx context.Context, c *column) (out *cost, err error) {
	out = &cost{}
	cl := t.client(c)
	_, cl.https, _ = strings.Cut(t.origin.l.Addr().String(), ":")
	cl.keys = nil // a line for each of some thousand sessions
	pid := 0
	if c.id != direct {
		start := func() (*gateway, error) { return t.startGateway(ctx, true) }
		if c.way.Peer != "" {
			start = func() (*gateway, error) { return t.startPeer(ctx, c.way) }
		}
		g, err := start()
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
	if out.opened, err = t.hold(ctx, cl, c, func() {
		_, after := used()
		out.memory = max(0, after-before)
	}); err != nil {
		return nil, err
	}
	for _, m := range []struct {
		into  *[]float64
		n     int
		most  time.Duration
		fresh bool
	}{{&out.kept, keptTimes, keptTime, false}, {&out.fresh, newTimes, newTime, true}} {
		start, _ := used()
		if *m.into, err = t.times(ctx, cl, c, m.n, m.most, m.fresh); err != nil {
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

// hold opens many connections, each with a request, has them looked at, closes them
// and says how many they were.
func (t *trial) hold(ctx context.Context, cl *client, c *column, look func()) (opened int, err error) {
	for start := time.Now(); opened < openConns && (opened < fewest || time.Since(start) < openTime); opened++ {
		s := cl.session()
		defer s.end()
		if err := quick(ctx, s, hostOf(costHost, c.id)); err != nil {
			return opened, err
		}
	}
	look()
	return opened, nil
}

// times makes n requests one after the other, or as many as there is time for, each
// on a connection of its own or all on one.
func (t *trial) times(ctx context.Context, cl *client, c *column, n int, most time.Duration, fresh bool) ([]float64, error) {
	out := make([]float64, 0, n)
	s := cl.session()
	defer func() { s.end() }()
	if !fresh { // the first opens the connection
		if err := quick(ctx, s, hostOf(costHost, c.id)); err != nil {
			return nil, err
		}
	}
	for began := time.Now(); len(out) < n && (len(out) < fewest || time.Since(began) < most); {
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
