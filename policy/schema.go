// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Schema is a JSON Schema (draft-07) of policy files, for editors: what they
// complete, show about a key and underline. It is made of the table the
// decoder reads by and never refuses a file that loads; whether one does load
// only Load can tell.
func Schema() []byte {
	s := schemaWriter{refs: make(map[*section]string), definitions: object{}}
	root := object{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"type", "object"},
	}
	root = append(root, s.keys(policySection)...)
	slices.SortFunc(s.definitions, func(a, b member) int { return strings.Compare(a.name, b.name) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(append(root, member{"definitions", s.definitions})); err != nil {
		panic("policy: the schema cannot be written: " + err.Error())
	}
	return b.Bytes()
}

// An object is a JSON object whose members keep their order, which is the
// order in which editors offer keys.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(m.name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

type schemaWriter struct {
	refs        map[*section]string
	definitions object
}

// ref is a reference to the definition of a section.
func (w *schemaWriter) ref(s *section) object {
	name, known := w.refs[s]
	if !known {
		name = strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(s.title, "a "), "an "), " ", "-")
		for slices.ContainsFunc(w.definitions, func(m member) bool { return m.name == name }) {
			name += "-more"
		}
		w.refs[s] = name
		i := len(w.definitions)
		w.definitions = append(w.definitions, member{name: name})
		w.definitions[i].value = w.keys(s)
	}
	return object{{"$ref", "#/definitions/" + name}}
}

// keys is the schema of a section, for those values that are mappings.
func (w *schemaWriter) keys(s *section) object {
	var properties object
	var required []string
	for i := range s.keys {
		k := &s.keys[i]
		properties = append(properties, member{k.name, w.key(k)})
		if k.required {
			required = append(required, k.name)
		}
	}
	out := object{{"additionalProperties", false}, {"properties", properties}}
	if required != nil {
		out = append(out, member{"required", required})
	}
	var misfits []object
	for i := range s.keys {
		if k := &s.keys[i]; k.modes != nil {
			misfits = append(misfits, k.misfits())
		}
	}
	if misfits != nil {
		out = append(out, member{"allOf", misfits})
	}
	return out
}

// misfits is the condition under which a key says nothing in a rule: that the
// rule has the wrong modes.
func (k *key) misfits() object {
	other := object{{"enum", without(modeWords, k.modes)}}
	listed, why := "items", k.misfit
	if k.only {
		listed = "contains"
	}
	if why == "" {
		why = "does not go with " + anyOf(without(modeWords, k.modes))
	}
	mode := object{{"anyOf", []object{
		append(object{{"type", "string"}}, other...),
		{{"type", "array"}, {"minItems", 1}, {listed, other}},
	}}}
	return object{
		{"if", object{{"required", []string{"mode"}}, {"properties", object{{"mode", mode}}}}},
		{"then", object{{"properties", object{{k.name, false}}}, {"errorMessage", k.name + " " + why}}},
	}
}

func (w *schemaWriter) key(k *key) object {
	out := object{{"description", k.about()}}
	if k.def != "" {
		out = append(out, member{"default", literal(k.def)})
	}
	if k.example != "" {
		out = append(out, member{"examples", []any{literal(k.example)}})
	}
	return append(out, w.value(k.value)...)
}

// value is the schema of what may stand in one place. Where that is of several
// kinds, each keyword speaks of one of them only, so that an editor can tell
// what is wrong with the kind that is there; of the parts of an anyOf it has to
// guess which one was meant.
func (w *schemaWriter) value(v value) object {
	one := v
	one.form &^= list | empty
	if v.words != nil && v.form&list != 0 { // an enum speaks of all kinds
		return object{{"anyOf", []object{w.value(one), {{"type", "array"}, {"items", w.value(one)}, {"minItems", 1}}}}}
	}
	var out object
	if kinds := v.kinds(); len(kinds) == 1 {
		out = object{{"type", kinds[0]}}
	} else {
		out = object{{"type", kinds}}
	}
	if v.words != nil {
		out = append(out, member{"enum", v.words})
	}
	out = append(out, v.scalars()...)
	if v.form&list != 0 {
		out = append(out, member{"items", w.value(one)})
		if v.form&empty == 0 {
			out = append(out, member{"minItems", 1})
		}
	}
	if v.form&mapping != 0 {
		out = append(out, member{"allOf", []object{w.ref(v.section)}})
	}
	if v.form&names != 0 {
		out = append(out, w.names(*v.each)...)
	}
	return out
}

// kinds are what JSON calls the forms of v.
func (v value) kinds() []string {
	var out []string
	add := func(kind string, yes bool) {
		if yes {
			out = append(out, kind)
		}
	}
	s := v.syntax
	add("string", v.form&text != 0)
	switch {
	case v.form&number != 0 && s != nil && s.min != 0:
		add("integer", true)
	case v.form&number != 0:
		add("number", true)
	default: // 10 is a text where one is wanted
		add("number", v.form&text != 0 && v.words == nil && (s == nil || s.digits))
	}
	add("boolean", v.form&boolean != 0)
	add("object", v.form&(mapping|names) != 0)
	add("array", v.form&list != 0)
	add("null", v.form&empty != 0)
	return out
}

// scalars are what the schema says of texts and of numbers.
func (v value) scalars() object {
	var out object
	s := v.syntax
	if s == nil {
		return nil
	}
	if v.form&text != 0 && s.pattern != "" {
		out = append(out, member{"pattern", s.pattern}, member{"patternErrorMessage", s.hint})
	}
	switch {
	case v.form&number == 0 || s.min == 0:
	case s.min == s.max:
		out = append(out, member{"enum", []int64{s.min}})
	default:
		out = append(out, member{"minimum", s.min})
		if s.max != 0 {
			out = append(out, member{"maximum", s.max})
		}
	}
	return out
}

// names is what the schema says of a mapping whose keys are the author's.
func (w *schemaWriter) names(each value) object {
	if !each.named() {
		return object{{"additionalProperties", w.value(each)}}
	}
	return object{
		{"patternProperties", object{{nameSyntax.pattern, w.value(each)}}},
		{"properties", object{{"any", false}}},
		{"additionalProperties", false},
	}
}

// literal is a value of the table, which is written as in a policy, in JSON.
func literal(written string) any {
	src := []byte("v: " + written)
	r := newReporter("table", src)
	root := r.parseYAML(src)
	if root == nil || len(r.found) > 0 {
		panic("policy: the table has " + written + ", which is no value")
	}
	return root.get("v").json()
}

// json is n as encoding/json writes it.
func (n *node) json() any {
	switch n.kind {
	case listNode:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.json()
		}
		return out
	case mapNode:
		out := object{}
		for _, p := range n.pairs {
			out = append(out, member{p.key.text, p.value.json()})
		}
		return out
	case numberNode:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
		return 0.5 // one that JSON cannot write
	case boolNode:
		return n.text == "true"
	case nullNode:
		return nil
	}
	return n.text
}
