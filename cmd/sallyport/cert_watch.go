// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func certWatchCommand() *cobra.Command {
	var (
		g     certGather
		once  bool
		every time.Duration
	)
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Tell when certificates are renewed, expire, come and go",
		Long: `Tell what happens to the certificates that cert list shows, a line each: renewed,
expiring (within --within), expired, failing (to be renewed, or read), new, gone.
Files are looked at when they change, and the gateway is asked every so often.
What is expiring, expired or failing at the start is told first; --once ends then,
with exit code 6 if there was any of these.`,
		Example: `  sallyport cert watch --within 14d
  sallyport cert watch --within 30d --json --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < time.Second/10 {
				return &exitError{exitUsage, fmt.Errorf("--every %s: ask ten times a second at most", every)}
			}
			ctx, stop := signal.NotifyContext(commandContext(cmd), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			w := certWatch{g: &g, cmd: cmd, every: every}
			return w.run(ctx, once)
		},
	}
	g.flags(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "tell how things are, and end")
	cmd.Flags().DurationVar(&every, "every", 10*time.Second, "how often the gateway is asked")
	_ = cmd.Flags().Set("within", "14d")
	cmd.Flags().Lookup("within").DefValue = "14d"
	return cmd
}

// A certWatch remembers what it has told.
type certWatch struct {
	g     *certGather
	cmd   *cobra.Command
	every time.Duration

	known   map[string]certEntry
	told    map[string]string // what was told last of each: expiring, expired, failing
	wary    bool              // something of that kind was told
	trouble string            // why the last list could not be had
}

// A certEvent is a line of cert watch --json.
type certEvent struct {
	Time        time.Time `json:"time"`
	Event       string    `json:"event"` // renewed, expiring, expired, failing, new, gone
	Certificate certEntry `json:"certificate"`
	OldSerial   string    `json:"old_serial,omitempty"`
}

func (w *certWatch) run(ctx context.Context, once bool) error {
	l, err := w.g.gather(w.cmd)
	if err != nil {
		return err
	}
	if err := w.look(l, true); err != nil {
		return err
	}
	if once {
		switch {
		case len(l.Warnings) > 0:
			return &exitError{code: exitFailed}
		case w.wary:
			return &exitError{code: exitExpiring}
		}
		return nil
	}
	files, err := watchFiles(l.files)
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("watching files: %w", err)}
	}
	defer files.Close()
	fmt.Fprintf(w.cmd.ErrOrStderr(), "sallyport: watching %s\n", count(len(l.Certificates), "certificate", "certificates"))
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		var next *certListing
		select {
		case <-ctx.Done():
			return nil
		case <-files.Changed:
			next, err = w.g.gather(w.cmd)
		case <-tick.C:
			next, err = w.again(l)
		}
		if err != nil {
			w.fails(err)
			continue
		}
		l = next
		w.trouble = ""
		if err := w.look(l, false); err != nil {
			return err
		}
		if err := files.Watch(l.files); err != nil {
			w.fails(err)
		}
	}
}

// again is the list anew when a gateway can be asked. Without one it is the
// last, at a later time: nobody opens the CA every so often and keeps a gateway
// that starts from it.
func (w *certWatch) again(l *certListing) (*certListing, error) {
	if path, err := socketPath(w.g.state); err == nil {
		if c, err := dialAdmin(path); err == nil {
			c.Close()
			return w.g.gather(w.cmd)
		}
	}
	if l.Running {
		return nil, fmt.Errorf("the gateway on %s does not answer any more", w.g.state)
	}
	later := *l
	later.Time = time.Now().UTC()
	return &later, nil
}

// fails tells why nothing can be seen, once.
func (w *certWatch) fails(err error) {
	if w.trouble != err.Error() {
		w.trouble = err.Error()
		fmt.Fprintf(w.cmd.ErrOrStderr(), "sallyport: %s\n", line(w.trouble))
	}
}

// look tells what differs from what was known.
func (w *certWatch) look(l *certListing, first bool) error {
	now, seen := l.Time, make(map[string]certEntry)
	var events []certEvent
	tell := func(event string, e certEntry, old string) {
		events = append(events, certEvent{now, event, e, old})
	}
	if w.told == nil {
		w.told = make(map[string]string)
	}
	for _, e := range l.Certificates {
		key := e.key()
		for n := 2; ; n++ { // roots of one file can have one name
			if _, taken := seen[key]; !taken {
				break
			}
			key = fmt.Sprintf("%s\x00%d", e.key(), n)
		}
		seen[key] = e
		old, known := w.known[key]
		switch {
		case !known && !first:
			tell("new", e, "")
		case known && old.Serial != e.Serial && e.Serial != "":
			tell("renewed", e, old.Serial)
			delete(w.told, key)
		}
		if state := e.trouble(now, l.within); state != w.told[key] {
			if w.told[key] = state; state != "" {
				w.wary = true
				tell(state, e, "")
			}
		}
	}
	for key, e := range w.known {
		if _, there := seen[key]; !there {
			tell("gone", e, "")
			delete(w.told, key)
		}
	}
	w.known = seen
	slices.SortStableFunc(events, func(a, b certEvent) int { return strings.Compare(a.Certificate.key(), b.Certificate.key()) })
	for _, e := range events {
		if err := e.print(w.cmd.OutOrStdout(), w.g.json); err != nil {
			return err
		}
	}
	return nil
}

// key is what stays the same of a certificate when it is renewed.
func (e *certEntry) key() string {
	switch e.Kind {
	case kindIssued:
		return e.Kind + "\x00" + e.Name + "\x00" + e.Serial
	case kindMet: // where it was met last is another every time
		return e.Kind + "\x00" + e.Name
	}
	return e.Kind + "\x00" + e.Name + "\x00" + e.Where
}

// trouble is what there is to worry about; "" for nothing.
func (e *certEntry) trouble(now time.Time, within time.Duration) string {
	switch {
	case e.lasting() && now.After(e.NotAfter):
		return "expired"
	case e.Error != "":
		return "failing"
	case e.lasting() && e.NotAfter.Sub(now) < within:
		return "expiring"
	}
	return ""
}

func (v certEvent) print(w io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, escapeJSON(string(b))+"\n")
		return err
	}
	e := &v.Certificate
	text := fmt.Sprintf("%s %-8s %s %s", v.Time.Format(time.RFC3339), v.Event, e.Kind, short(e.Name))
	if v.OldSerial != "" {
		text += ": serial " + v.OldSerial + ", now " + e.Serial
	}
	if !e.NotAfter.IsZero() {
		text += ", valid until " + e.NotAfter.Format(time.RFC3339)
	}
	if about := e.about(); about != "" {
		text += ", " + about
	}
	_, err := fmt.Fprintln(w, line(text))
	return err
}
