// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"math"
)

func costRows() group {
	ms := func(id, title, how string, of func(*cost) []float64, share float64) row {
		return row{id, title, how, nil, func(c *column) Cell {
			v := quantile(of(c.cost), share)
			return number(c, v, 2, "ms", v > 0)
		}}
	}
	fresh := func(c *cost) []float64 { return c.fresh }
	kept := func(c *cost) []float64 { return c.kept }
	newHow := fmt.Sprintf("%d requests for a small page, or as many as %s are enough for, each on a new connection, one after the other; no wire is recorded meanwhile.", newTimes, newTime)
	keptHow := fmt.Sprintf("%d requests for a small page, or as many as %s are enough for, on one connection, one after the other; no wire is recorded meanwhile.", keptTimes, keptTime)
	return group{"cost", "What it costs", []row{
		ms("new_p50", "New connection, median", newHow, fresh, 0.5),
		ms("new_p99", "New connection, 99 %", newHow, fresh, 0.99),
		ms("kept_p50", "Kept connection, median", keptHow, kept, 0.5),
		ms("kept_p99", "Kept connection, 99 %", keptHow, kept, 0.99),
		{
			"throughput", "Throughput",
			fmt.Sprintf("%d MiB from the origin on one connection, or as many as come in %s. Client, gateway and origin share the machine.", bulkBytes>>20, bulkTime), nil,
			func(c *column) Cell {
				v := float64(c.cost.bytes) / 1e6 / max(c.cost.seconds, 1e-9)
				return number(c, v, 0, "MB/s", c.cost.bytes > 0)
			},
		},
		{
			"cpu_requests", "Processor, 1,000 requests",
			"Processor time of the gateway's process for the requests on a kept connection, its log included.", nil,
			func(c *column) Cell {
				return number(c, c.cost.cpuKept.Seconds()*1000*1000/float64(max(len(c.cost.kept), 1)), 0, "ms", c.cost.seen)
			},
		},
		{
			"cpu_gigabyte", "Processor, 1 GB",
			"Processor time of the gateway's process for the bytes of the throughput, for each 10⁹ of them.", nil,
			func(c *column) Cell {
				return number(c, c.cost.cpuBytes.Seconds()*1e9/float64(max(c.cost.bytes, 1)), 2, "s", c.cost.seen)
			},
		},
		{
			"memory", "Memory, open connection",
			fmt.Sprintf("By how much the gateway's process grew in memory while %d clients, or as many as %s are enough for, each opened a connection, made a request and stayed; garbage included.", openConns, openTime), nil,
			func(c *column) Cell {
				return number(c, float64(c.cost.memory)/float64(max(c.cost.opened, 1))/1000, 0, "kB", c.cost.seen)
			},
		},
	}}
}

// number is a cell with a measurement, rounded to digits behind the point.
func number(c *column, v float64, digits int, unit string, measured bool) Cell {
	switch {
	case measured:
		scale := math.Pow10(digits)
		return Cell{Text: fmt.Sprintf("%.*f %s", digits, v, unit), Value: math.Round(v*scale) / scale, Unit: unit}
	case c.id == direct:
		return notHere("no gateway")
	case c.cost.kept == nil:
		return notHere("the rules do not serve it")
	}
	return notHere("not known on this system")
}
