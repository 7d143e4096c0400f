// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// hostile is what somebody might put on a wire who knows where it will be shown.
var hostile = []string{
	`</svg><script>alert(1)</script>`,
	`</style><style>*{display:none}</style>`,
	`" onload="alert(1)" x="`,
	`'><img src=https://evil.example/x onerror=alert(1)>`,
	`javascript:alert(1)`,
	`]]><!--</title></textarea></pre>`,
	"\x00\x1b[31m\xff\u202eevil",
	`{{.}}{{template "page"}}`,
	`"/><use href="https://evil.example/#x"/>`,
}

// poison puts hostile texts into every string of v.
func poison(v reflect.Value, n *int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile[*n%len(hostile)] + v.String())
		*n++
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), n)
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(hostile[*n%len(hostile)]))
			*n++
			return
		}
		for i := range v.Len() {
			poison(v.Index(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			poison(v.Index(i), n)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(any(map[string]any{hostile[*n%len(hostile)]: hostile})))
	}
}

func TestPageShowsMarkupAsText(t *testing.T) {
	for shift := range hostile {
		r := aReport(t)
		r.Exchanges = r.Exchanges[:20]
		n := shift
		poison(reflect.ValueOf(r).Elem(), &n)
		if n < 500 {
			t.Fatalf("%d texts are hostile only", n)
		}
		var b bytes.Buffer
		if err := r.WriteHTML(&b); err != nil {
			t.Fatal(err)
		}
		page := parsed(t, b.Bytes())
		onlyItself(t, page)
		if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && visible(r) != r }); i >= 0 {
			t.Errorf("the page has something invisible at %.40q", b.String()[i:])
		}
		if !strings.Contains(text(page), hostile[0]) {
			t.Error("the text is not shown")
		}
	}
}

// The bytes of a wire are markup themselves, and fill every strip.
func TestPageShowsMarkupOfWires(t *testing.T) {
	r := aReport(t)
	for i := range r.Exchanges {
		for k := range r.Exchanges[i].Wires {
			r.Exchanges[i].Wires[k].Strip.Hex = hex.EncodeToString([]byte(strings.Repeat(`</pre><script>alert(1)</script>`, 5)))
			r.Exchanges[i].Wires[k].Strip.Canary = [2]int{-5, 1 << 40}
		}
	}
	page := parsed(t, written(t, r))
	onlyItself(t, page)
	if !strings.Contains(text(page), "</pre><script>al") {
		t.Error("the bytes are not shown")
	}
}

func TestPageOfWhatCannotBe(t *testing.T) {
	whole := aReport(t)
	odd := map[string]*Report{
		"nothing":       {},
		"columns only":  {Columns: whole.Columns},
		"groups only":   {Groups: whole.Groups, Exchanges: whole.Exchanges},
		"fewer cells":   {Columns: append(whole.Columns, Column{ID: "more", Title: "more", Rule: "x"}), Groups: whole.Groups},
		"no steps":      {Columns: whole.Columns, Exchanges: []Exchange{{ID: "a", Name: "a"}, {ID: "a", Name: "b"}}},
		"nobody":        {Columns: whole.Columns, Exchanges: []Exchange{{Steps: []Step{{From: "x", To: "y", At: math.NaN(), Number: 99, Bytes: -1}}, Wires: []Wire{{Leg: "?", Entropy: math.Inf(1), Strip: Strip{Hex: "4", Offset: -1}}}}}},
		"no numbers":    {Columns: whole.Columns, Samples: []Sample{{Column: "tunnel", Name: "new", Millis: []float64{math.NaN(), math.Inf(1), -1}}}},
		"one number":    {Columns: whole.Columns, Samples: []Sample{{Column: "tunnel", Name: "new", Millis: []float64{0}}}},
		"small numbers": {Columns: whole.Columns, Samples: []Sample{{Column: "tunnel", Name: "new", Millis: []float64{1e-300, 1e8}}}},
	}
	for name, r := range odd {
		t.Run(name, func(t *testing.T) { onlyItself(t, parsed(t, written(t, r))) })
	}
}

// crowded is a report with many long exchanges.
func crowded(t *testing.T, exchanges, steps int) *Report {
	r := aReport(t)
	for i := range exchanges {
		e := r.Exchanges[i%len(r.Exchanges)]
		e.ID, e.Name = fmt.Sprintf("more/%d", i), fmt.Sprintf("more %d", i)
		e.Steps = nil
		for range steps {
			e.Steps = append(e.Steps, Step{From: Client, To: Origin, Text: "one of many messages that are sent", Bytes: 1})
		}
		r.Exchanges = append(r.Exchanges, e)
	}
	return r
}

func TestPageIsSmallWhateverTheReport(t *testing.T) {
	said := make(map[string]bool)
	for _, n := range []int{-75, -60, -40, 0, 40, 70} {
		r := crowded(t, max(n, 0), 3)
		r.Exchanges = r.Exchanges[:len(r.Exchanges)+min(n, 0)]
		page := parsed(t, written(t, r))
		onlyItself(t, page)
		said[text(one(t, page, "note", hasAttr("id", "left")))] = true
	}
	if len(said) < 3 {
		t.Errorf("pages with less detail do not say so: %v", said)
	}
	var b bytes.Buffer
	err := crowded(t, 300, 60).WriteHTML(&b)
	const want = "demo: the report makes a page of more than 300000 bytes, also without the exchanges' details: keep it as JSON"
	if err == nil || b.Len() != 0 || err.Error() != want {
		t.Errorf("%d bytes were written, %v", b.Len(), err)
	}
}
