// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestEngineAgainstStandard holds the same dialogues with the engine and with
// net/http in its place. What the client is answered and what the origin is
// asked are the same, but for what the table explains; and whatever the origin
// is asked by the engine is what the client has asked.
func TestEngineAgainstStandard(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of origins that speak unasked
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	all := slices.Concat(requests(), answers())
	if testing.Short() {
		some := all[:0]
		for i := 0; i < len(all); i += 7 {
			some = append(some, all[i])
		}
		all = some
	}
	work := make(chan dialogue)
	var workers sync.WaitGroup
	var mu sync.Mutex
	hits := make(map[string]int)
	for range 8 {
		w := newTwins(t)
		workers.Go(func() {
			for d := range work {
				e, s := w.hold(d, w.engine), w.hold(d, w.standard)
				for _, diff := range append(e.wrong(w.origin.named(d.said()), len(d.answers)), e.differs(s)...) {
					row := explain(d, diff)
					mu.Lock()
					hits[row]++
					mu.Unlock()
					if row == "" {
						t.Errorf("%s:\n%s", d.name, diff)
					}
				}
			}
		})
	}
	for _, d := range all {
		work <- d
	}
	close(work)
	workers.Wait()
	for _, row := range explained {
		if hits[row.what] == 0 && !row.perhaps && !testing.Short() {
			t.Errorf("nothing differs any more in that: %s", row.what)
		}
		t.Logf("%5d %s", hits[row.what], row.what)
	}
	t.Logf("%d dialogues", len(all))
}

// TestDifferencesAreDocumented holds docs/engine.md to the table.
func TestDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/engine.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| what | why |\n|---|---|\n")
	rows, _, _ := strings.Cut(table, "\n\n")
	var want strings.Builder
	for _, row := range explained {
		fmt.Fprintf(&want, "| %s | %s |\n", row.what, row.why)
	}
	if !ok || strings.TrimRight(rows, "\n") != strings.TrimRight(want.String(), "\n") {
		t.Errorf("the table in docs/engine.md has to be:\n%s", want.String())
	}
}

// A difference that is known. Both expressions are matched against bytes.
type difference struct {
	what, why string
	is        *regexp.Regexp // how it shows: see differs
	in        *regexp.Regexp // what was said, by the client or by the origin
	perhaps   bool           // a matter of time
}

// explain finds the row of the table that explains a difference. Only a defect
// lets the engine be the one that goes on.
func explain(d dialogue, diff string) string {
	said := latin1(d.said())
	for _, a := range d.answers {
		said += latin1("\r\n" + a.text)
	}
	for _, row := range explained {
		if row.is.MatchString(latin1(diff)) && row.in.MatchString(said) && (!lenient.MatchString(diff) || strings.HasPrefix(row.why, "defect:")) {
			return row.what
		}
	}
	return ""
}

var lenient = regexp.MustCompile(`^wrong: |^course: [1-3]|, end$`)

func (d dialogue) said() string {
	var b strings.Builder
	for _, p := range d.say {
		b.WriteString(p.text)
	}
	return b.String()
}

// differs tells what is seen by s, which is the engine's, and what by o: the
// course of the dialogue up to where it parts, and what was said up to there.
func (s *seen) differs(o *seen) (what []string) {
	a, b := s.course(), o.course()
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	parted := same < max(len(a), len(b))
	if parted {
		what = append(what, "course: "+append(a, "end")[same]+", "+append(b, "end")[same])
	}
	if s.spoilt != o.spoilt {
		what = append(what, fmt.Sprintf("unreadable: %q, %q", s.spoilt, o.spoilt))
	}
	asked := min(len(s.requests), len(o.requests))
	if parted {
		asked = min(asked, len((&seen{records: s.records[:min(same, len(s.records))]}).forwarded()))
	} else if len(s.requests) != len(o.requests) {
		what = append(what, fmt.Sprintf("requests: %d, %d", len(s.requests), len(o.requests)))
	}
	for i := range asked {
		what = append(what, s.requests[i].differs(o.requests[i])...)
	}
	if !parted && s.opaque != o.opaque {
		what = append(what, fmt.Sprintf("behind an upgrade: %q, %q", s.opaque, o.opaque))
	}
	for i := range min(same, len(s.answers), len(o.answers)) {
		what = append(what, s.answers[i].differs(o.answers[i])...)
	}
	return what
}

func (a answered) differs(b answered) (what []string) {
	if a.refused || !a.whole {
		return nil
	}
	if a.body != b.body {
		what = append(what, fmt.Sprintf("answer's body: %.200q, %.200q", a.body, b.body))
	}
	return slices.Concat(what,
		headersDiffer("answer's field", a.header, b.header, "Date", "Connection"), headersDiffer("answer's trailer", a.trailer, b.trailer))
}

// course is how a dialogue went, passage by passage. How much is got of an
// answer before it breaks off is nobody's promise.
func (s *seen) course() (steps []string) {
	for i, r := range s.records {
		switch {
		case i >= len(s.answers) && r.Outcome != Failed:
			steps = append(steps, "unanswered "+string(r.Outcome))
		case i >= len(s.answers) || !s.answers[i].whole:
			steps = append(steps, "broken")
		case s.answers[i].refused:
			steps = append(steps, fmt.Sprint("refused ", s.answers[i].status))
		default:
			steps = append(steps, strings.Trim(fmt.Sprint(append(s.answers[i].interim, s.answers[i].status)), "[]"))
		}
	}
	return steps
}
