// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	p := mustParse(t, `version: 1
rules:
  - name: a
    from: any
    to: a.example
    mode: originate
    request:
      headers:
        set: {Authorization: "Basic {secret:a}{secret:b-2}.", X-Count: 7, X-JSON: '{"a": {"b": "{}"}}'}
        remove: [cookie, X-Trace]
    response: {headers: {set: {X-Frame-Options: DENY}, remove: Server}}
`)
	want := HeaderChanges{
		Set: []HeaderValue{
			{"Authorization", []Part{{Text: "Basic "}, {Secret: "a"}, {Secret: "b-2"}, {Text: "."}}},
			{"X-Count", []Part{{Text: "7"}}},
			{"X-JSON", []Part{{Text: `{"a": {"b": "{}"}}`}}},
		},
		Remove: []string{"cookie", "X-Trace"},
	}
	if got := p.Rules[0].Request; !reflect.DeepEqual(got, want) {
		t.Errorf("request %q, want %q", got, want)
	}
	want = HeaderChanges{Set: []HeaderValue{{"X-Frame-Options", []Part{{Text: "DENY"}}}}, Remove: []string{"Server"}}
	if got := p.Rules[0].Response; !reflect.DeepEqual(got, want) {
		t.Errorf("response %q, want %q", got, want)
	}
	if got := p.Rules[0].Request.Set[0].Secrets(); !reflect.DeepEqual(got, []string{"a", "b-2"}) {
		t.Errorf("secrets %q", got)
	}
	if u := p.Unsupported(); len(u) > 0 {
		t.Error(u)
	}
}

// What only looks like a secret would be sent as it stands.
func TestReadParts(t *testing.T) {
	for text, wrong := range map[string]string{
		"{secret:a}":             "",
		"{secret:}":              "{secret:}",
		"{secret:a.b}":           "{secret:a.b}",
		"{secret:../a}":          "{secret:../a}",
		"{secret}":               "{secret}",
		"x {Secret:a}":           "{Secret:a}",
		"{ secret:a}":            "{ secret:a}",
		"${secret:a}":            "",
		"{{secret:a}}":           "{{secret:a}",
		"{secret:a} {secret: b}": "{secret: b}",
		"{secrets:a}":            "{secrets:a}",
		"{user}":                 "{user}",
		"{User}":                 "{User}",
		"{secret:a":              "{secret:a",
		"{":                      "",
		"{}":                     "",
		`{"secret": 1}`:          "",
		"{a, b}":                 "",
	} {
		if _, got := readParts(text); got != wrong {
			t.Errorf("%s: wrong is %q, want %q", text, got, wrong)
		}
	}
}

func TestSameField(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"X-User", "x-user", true},
		{"X-User", "X_USER", true},
		{"X-User", "x.user", true},
		{"X-User", "XUser", false},
		{"X-User", "X-Users", false},
		{"K", "\u212a", false}, // the Kelvin sign
		{"", "", true},
	} {
		if got := SameField(tt.a, []byte(tt.b)); got != tt.same {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}

// Whatever is written, what a rule sets can be sent as it stands, and cannot end
// a field or become another.
func FuzzHeaders(f *testing.F) {
	for _, s := range [][2]string{{"Authorization", "Bearer {secret:a}"}, {"Host", "x"}, {"a\r\nb", "x"}, {"a", "x\r\nb: c"}, {"proxy_x", "{"}, {"A", "{secret:a}{secret"}, {"é", "é"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		set := &node{kind: mapNode, pairs: []pair{{&node{kind: textNode, text: name}, &node{kind: textNode, text: value}}}}
		in := func(key string, n *node) *node {
			return &node{kind: mapNode, pairs: []pair{{&node{kind: textNode, text: key}, n}}}
		}
		for _, section := range []string{"request", "response"} {
			c := &compiler{reporter: newReporter("f", nil)}
			h := c.headers(in(section, in("headers", in("set", set))), section)
			for _, p := range set.pairs {
				p.key.bad, p.value.bad = false, false
			}
			if c.failed() {
				continue
			}
			if len(h.Set) != 1 || h.Set[0].Name != name || !isToken(name) {
				t.Fatalf("%q: %q", name, h.Set)
			}
			for _, own := range append(gatewayFields, "proxy-authorization", "proxy-x", "Proxy-Connection") {
				if SameField(own, name) {
					t.Fatalf("%q is the gateway's", name)
				}
			}
			var again strings.Builder
			for i, part := range h.Set[0].Value {
				if part.Secret != "" {
					if section == "response" || !goodName.MatchString(part.Secret) || part.Text != "" {
						t.Fatalf("%q in a %s", h.Set, section)
					}
					fmt.Fprintf(&again, "{secret:%s}", part.Secret)
					continue
				}
				if part.Text == "" || i > 0 && h.Set[0].Value[i-1].Secret == "" || strings.Contains(part.Text, "{secret") {
					t.Fatalf("%q", h.Set)
				}
				again.WriteString(part.Text)
			}
			if again.String() != value || value != strings.TrimSpace(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q became %q", value, again.String())
			}
		}
	})
}
