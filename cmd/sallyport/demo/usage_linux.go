// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// usage is the processor time that a process has used so far, and the bytes of it
// that are in memory. ok is false where the kernel does not say. The scheduler
// counts nanoseconds for each thread (/proc/PID/task/TID/schedstat); the threads of
// a Go program do not end.
func usage(pid int) (cpu time.Duration, resident int64, ok bool) {
	if pid == 0 {
		return 0, 0, false
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, 0, false
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that has just ended
		}
		first, _, _ := bytes.Cut(b, []byte(" "))
		n, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return 0, 0, false
		}
		cpu += time.Duration(n)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0, 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return cpu, pages * int64(os.Getpagesize()), err == nil
}
