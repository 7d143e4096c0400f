// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// family is pid and every process that descends from it.
func family(pid int) []int {
	children := make(map[int][]int)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			if f := stat(id); f != nil {
				parent, _ := strconv.Atoi(f[1])
				children[parent] = append(children[parent], id)
			}
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// stat returns the fields of /proc/PID/stat from the third on, proc(5); the
// second is the program's name and may hold anything.
func stat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// cpuTime is user and system time of the family, and of its children that were
// waited for. The kernel counts it in ticks of 10 ms, so windows are seconds.
func cpuTime(pid int) time.Duration {
	var ticks int64
	for _, id := range family(pid) {
		if f := stat(id); f != nil {
			for _, s := range f[11:15] { // utime stime cutime cstime
				n, _ := strconv.ParseInt(s, 10, 64)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory is the family's proportional resident size in bytes: pages that
// processes share are counted once.
func memory(pid int) int64 {
	var kib int64
	for _, id := range family(pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", id))
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, _ := strconv.ParseInt(f[1], 10, 64)
				kib += n
			}
		}
	}
	return kib << 10
}

// A weight is what a process holds: memory in bytes, descriptors and threads.
type weight struct {
	pss          int64
	fds, threads int
}

func weigh(pid int) weight {
	w := weight{pss: memory(pid)}
	for _, id := range family(pid) {
		open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", id))
		w.fds += len(open)
		if f := stat(id); f != nil {
			n, _ := strconv.Atoi(f[17])
			w.threads += n
		}
	}
	return w
}

func (w weight) String() string {
	return fmt.Sprintf("%.1f MiB, %d descriptors, %d threads", float64(w.pss)/(1<<20), w.fds, w.threads)
}
