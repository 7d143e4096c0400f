// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"sallyport/gateway/hsts"
	"sallyport/policy"
)

// strictHosts are the hosts that have asked for https only, in memory, where requests
// look, and in STATE/hsts.json.
type strictHosts struct {
	state   string // directory; "" for none
	hosts   *hsts.Hosts
	failing bool // the file cannot be written, and it was told; of the goroutine that keeps it
}

// hstsFile is the file.
type hstsFile struct {
	Version int                  `json:"version"`
	Hosts   map[string]hsts.Note `json:"hosts"`
}

const (
	hstsName = "hsts.json"

	// hstsInterval is how often it is written when there is something new.
	hstsInterval = 5 * time.Second

	// largestHSTS bounds what is read, in bytes: a note takes less than 400.
	largestHSTS = 400 * hsts.MaxHosts
)

// openHSTS reads what was remembered. A file that is no good is left as it is, for
// somebody to look at, and what it may have said is assumed of every host: nothing is
// relayed until it is put right or removed, and the gateway started again.
func openHSTS(state string, logger *zerolog.Logger) *strictHosts {
	s := &strictHosts{state: state, hosts: new(hsts.Hosts)}
	if state == "" {
		return s
	}
	notes, err := readHSTS(state)
	if err != nil {
		why := fmt.Sprintf("which hosts have asked for https only (HSTS) is not known: %v; nothing is relayed until that file is put right, or removed, and the gateway started again", err)
		s.hosts.Lose(why)
		logger.Error().Str("error", why).Msg("relay is refused; the gateway serves on")
		return s
	}
	s.hosts.Restore(notes)
	return s
}

// readHSTS reads the file of a state directory; nil, nil when there is none yet.
func readHSTS(state string) (map[string]hsts.Note, error) {
	path := filepath.Join(state, hstsName)
	dir, err := os.OpenRoot(state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(hstsName, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a FIFO would wait
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, largestHSTS+1))
	if err != nil {
		return nil, err
	}
	var file hstsFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	switch err := d.Decode(&file); {
	case len(b) > largestHSTS:
		return nil, fmt.Errorf("%s has more than %d bytes", path, largestHSTS)
	case err != nil:
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	case d.More():
		return nil, fmt.Errorf("%s is damaged: something follows the end", path)
	case file.Version != 1:
		return nil, fmt.Errorf("%s has version %d, and this program knows 1", path, file.Version)
	case file.Hosts == nil:
		return nil, fmt.Errorf("%s is damaged: it has no hosts", path)
	}
	for host, n := range file.Hosts {
		if h, err := policy.ParseHost(host); err != nil || h.IsAddr() || h.Name != host || n.Until.IsZero() {
			return nil, fmt.Errorf("%s is damaged: %q is no name of a host, or has no end", path, host)
		}
	}
	return file.Hosts, nil
}

// keep writes the file whenever there is something new, and when stop is called,
// which returns after that. Nothing that serves requests waits for it.
func (s *strictHosts) keep(logger *zerolog.Logger) (stop func()) {
	if s.state == "" || s.hosts.Lost() != "" {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(hstsInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.write(time.Now(), logger)
			case <-quit:
				s.write(time.Now(), logger)
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// write writes the file when there is something new, and says once when it cannot.
func (s *strictHosts) write(now time.Time, logger *zerolog.Logger) {
	notes, dropped, changed := s.hosts.Snapshot(now)
	if !changed {
		return
	}
	if dropped > 0 {
		logger.Warn().Int("hosts", dropped).Msg("more hosts have asked for https only (HSTS) than are remembered")
	}
	err := s.replace(hstsFile{1, notes})
	if err != nil {
		s.hosts.Again()
		if !s.failing {
			logger.Warn().Str("error", err.Error()).Msg("which hosts have asked for https only (HSTS) is remembered, but not kept over a restart")
		}
	}
	s.failing = err != nil
}

func (s *strictHosts) replace(f hstsFile) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.state, 0o700); err != nil {
		return err
	}
	path := filepath.Join(s.state, hstsName)
	sweep(path)
	return replaceFile(path, append(b, '\n'), stamp{0o600, -1, -1})
}

// explainHSTS says what becomes of a request that a policy relays, as far as a state
// directory tells: "" for every other, and where nothing is known against it.
func explainHSTS(e policy.Explanation, q policy.Query, state string) string {
	if n := len(e.Steps); n == 0 || e.Steps[n-1].Mode != policy.Relay || state == "" {
		return ""
	}
	notes, err := readHSTS(state)
	if err != nil {
		return fmt.Sprintf("the gateway would refuse it: %v", err)
	}
	hosts := new(hsts.Hosts)
	hosts.Restore(notes)
	by, until, ok := hosts.Known(q.Host.String(), q.At)
	if !ok {
		return ""
	}
	return fmt.Sprintf("the gateway refuses it: %s has asked for https only (HSTS) until %s, and a rule that originates is needed", by, until.UTC().Format(time.DateOnly))
}
