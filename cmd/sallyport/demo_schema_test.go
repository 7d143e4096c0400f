// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sallyport/cmd/sallyport/demo"
)

// checkSchema holds a report to docs/demo-v1.json.
func checkSchema(t *testing.T, r *demo.Report) {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := validReport(t, b); err != nil {
		t.Errorf("the report is not what docs/demo-v1.json says: %v", err)
	}
}

func validReport(t *testing.T, report []byte) error {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(readDoc(t, "docs/demo-v1.json")))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("demo.json", schema); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("demo.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestDemoSchemaRefuses what no report is: a schema that takes everything says nothing.
func TestDemoSchemaRefuses(t *testing.T) {
	whole := func() *demo.Report {
		return &demo.Report{
			Version: demo.Version,
			Columns: []demo.Column{{ID: "direct", Mode: "direct"}},
			Groups:  []demo.Group{{ID: "wire", Rows: []demo.Row{{ID: "wire.client_canary", Cells: []demo.Cell{{Text: "x", Value: 1}}}}}},
			Exchanges: []demo.Exchange{{
				ID: "direct/login", Column: "direct", Name: "login",
				Steps: []demo.Step{{From: demo.Client, To: demo.Origin}},
				Wires: []demo.Wire{{Leg: "client", Strip: demo.Strip{Hex: "00ff"}}},
			}},
			Samples: []demo.Sample{{Column: "direct", Name: "new", Millis: []float64{1}}},
		}
	}
	valid := func(r *demo.Report) error {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return validReport(t, b)
	}
	if err := valid(whole()); err != nil {
		t.Fatalf("a small report: %v", err)
	}
	for name, change := range map[string]func(*demo.Report){
		"another version":           func(r *demo.Report) { r.Version = 2 },
		"a verdict of its own":      func(r *demo.Report) { r.Groups[0].Rows[0].Cells[0].Verdict = "fine" },
		"a value that is a list":    func(r *demo.Report) { r.Groups[0].Rows[0].Cells[0].Value = []int{1} },
		"a row outside of a group":  func(r *demo.Report) { r.Groups[0].Rows[0].ID = "canary" },
		"a sixth step of a CONNECT": func(r *demo.Report) { r.Exchanges[0].Steps[0].Number = 6 },
		"a step from nobody":        func(r *demo.Report) { r.Exchanges[0].Steps[0].From = "" },
		"a third leg":               func(r *demo.Report) { r.Exchanges[0].Wires[0].Leg = "middle" },
		"more than eight bits":      func(r *demo.Report) { r.Exchanges[0].Wires[0].Entropy = 8.1 },
		"a strip that is no hex":    func(r *demo.Report) { r.Exchanges[0].Wires[0].Strip.Hex = "xx" },
		"a log that is a line":      func(r *demo.Report) { r.Exchanges[0].Log = json.RawMessage(`"line"`) },
		"no columns":                func(r *demo.Report) { r.Columns = nil },
		"samples of a third kind":   func(r *demo.Report) { r.Samples[0].Name = "warm" },
	} {
		r := whole()
		change(r)
		if valid(r) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// schemaNode is what the next test reads of a schema.
type schemaNode struct {
	Type                 any
	Description          string
	Const, Enum          any
	Required             []string
	AdditionalProperties *bool
	Properties           map[string]*schemaNode
	Items                *schemaNode
}

// TestDemoSchemaIsTheTypes: each key that a report can have is in the schema, with
// what it means, and the schema has no other.
func TestDemoSchemaIsTheTypes(t *testing.T) {
	var s schemaNode
	if err := json.Unmarshal([]byte(readDoc(t, "docs/demo-v1.json")), &s); err != nil {
		t.Fatal(err)
	}
	compareSchema(t, "report", reflect.TypeFor[demo.Report](), &s)
}

func compareSchema(t *testing.T, path string, typ reflect.Type, s *schemaNode) {
	t.Helper()
	if s == nil {
		t.Errorf("%s: the schema does not have it", path)
		return
	}
	switch {
	case typ == reflect.TypeFor[json.RawMessage](): // lines of another format
		return
	case typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array:
		compareSchema(t, path+"[]", typ.Elem(), s.Items)
		return
	case typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[demo.Report]().PkgPath():
		if s.Type == nil && s.Const == nil && s.Enum == nil {
			t.Errorf("%s: the schema does not say what it is", path)
		}
		return
	}
	if s.AdditionalProperties == nil || *s.AdditionalProperties {
		t.Errorf("%s: the schema takes what it does not know", path)
	}
	required := make(map[string]bool)
	for _, name := range s.Required {
		required[name] = true
	}
	for i := range typ.NumField() {
		name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		p := s.Properties[name]
		delete(s.Properties, name)
		if p != nil && p.Description == "" {
			t.Errorf("%s.%s: the schema does not say what it means", path, name)
		}
		if required[name] == (options == "omitempty") {
			t.Errorf("%s.%s: required is %v", path, name, required[name])
		}
		compareSchema(t, path+"."+name, typ.Field(i).Type, p)
	}
	for name := range s.Properties {
		t.Errorf("%s.%s: no report has it", path, name)
	}
}
