// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/policy"
)

// A Result is a policy, and what a person has to look at.
type Result struct {
	Policy []byte            // loads, beside Lists, and passes its tests
	Lists  map[string][]byte // files by path, relative to the policy
	Rules  int
	Tests  int // requests in the tests
	Review []Note
}

// A Note is something to review.
type Note struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // of File; 0: it is about all of it
	Text    string `json:"text,omitempty"` // what stands there
	Message string `json:"message"`
}

// String is the note in one line.
func (n Note) String() string {
	s := n.Message
	if n.Text != "" {
		s = n.Text + ": " + s
	}
	switch {
	case n.File == "":
		return s
	case n.Line == 0:
		return n.File + ": " + s
	}
	return fmt.Sprintf("%s:%d: %s", n.File, n.Line, s)
}

// Options say how a policy is written.
type Options struct {
	// ListFiles puts long lists into files of their own, which then are in
	// Result.Lists. False: everything stands in the policy.
	ListFiles bool

	// Zone is the time zone of times in the source, in IANA's words; "" is UTC.
	Zone string
}

// ErrTooLong says that what was made is too long to be one file.
var ErrTooLong = errors.New("the policy would be larger than 4 MiB")

// maxPolicy is how long a policy may be.
const maxPolicy = 4 << 20

// longList is how many entries a list has at least to become a file.
const longList = 30

// A draft is a policy that is being written.
type draft struct {
	Options
	head      []string // comments
	clients   []definition
	dests     []definition
	schedules []definition
	rules     []rule
	tests     []test
	lists     map[string][]byte
	review    []Note
	names     map[string]bool // of rules
}

// A definition is a name with what stands behind it, as YAML.
type definition struct{ name, value string }

// A rule is a rule of the policy, or only comments.
type rule struct {
	comments []string
	name     string // "": there is no rule
	keys     [][2]string
}

// A test is one request.
type test struct {
	as, want, request string
}

func (d *draft) note(n Note) { d.review = append(d.review, n) }

// list defines a destination list. Entries are as a policy has them.
func (d *draft) list(name string, entries []string) {
	if !d.ListFiles || len(entries) < longList {
		d.dests = append(d.dests, definition{name, flow(entries)})
		return
	}
	file := "lists/" + name + ".txt"
	for i, e := range entries { // in a file, a host without a dot is one too
		entries[i] = strings.Trim(strings.TrimSuffix(strings.TrimPrefix(e, "{host: "), "}"), `"`)
	}
	d.lists[file] = []byte(strings.Join(entries, "\n") + "\n")
	d.dests = append(d.dests, definition{name, "{file: " + file + ", match: exact}"})
}

// ruleName is name, or one like it that is free.
func (d *draft) ruleName(name string) string {
	if len(name) > 56 {
		name = strings.TrimRight(name[:56], "-_")
	}
	free := name
	for i := 2; d.names[free]; i++ {
		free = name + "-" + strconv.Itoa(i)
	}
	d.names[free] = true
	return free
}

// finish writes the policy and proves it: it loads, and passes its tests.
func (d *draft) finish() (*Result, error) {
	var b strings.Builder
	for _, c := range d.head {
		comment(&b, "", c)
	}
	b.WriteString("version: 1\n")
	for _, s := range []struct {
		key  string
		defs []definition
	}{{"clients", d.clients}, {"destinations", d.dests}, {"schedules", d.schedules}} {
		if len(s.defs) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", s.key)
		for _, def := range s.defs {
			fmt.Fprintf(&b, "  %s: %s\n", def.name, def.value)
		}
	}
	rules := 0
	b.WriteString("\nrules:\n")
	for i, r := range d.rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, c := range r.comments {
			comment(&b, "  ", c)
		}
		if r.name == "" {
			continue
		}
		rules++
		fmt.Fprintf(&b, "  - name: %s\n", r.name)
		for _, k := range r.keys {
			fmt.Fprintf(&b, "    %s: %s\n", k[0], k[1])
		}
	}
	if rules == 0 {
		d.rules = append(d.rules, rule{})
		b.WriteString("  - {name: nothing, from: any, to: any, mode: deny}\n")
		rules = 1
	}
	d.writeTests(&b)
	if b.Len() > maxPolicy {
		return nil, ErrTooLong
	}
	src, err := policy.Format("the policy", []byte(b.String()))
	if err != nil {
		return nil, fmt.Errorf("what it was converted to cannot be read, please report it: %w", err)
	}
	if _, err := policy.LoadWith("policy.yaml", d.reader(src)); err != nil {
		return nil, fmt.Errorf("what it was converted to does not load, please report it: %w", err)
	}
	return &Result{Policy: src, Lists: d.lists, Rules: rules, Tests: len(d.tests), Review: d.review}, nil
}

// load is the policy without tests, to see what it decides.
func (d *draft) load() (*policy.Policy, error) {
	bare := *d
	bare.tests, bare.names = nil, map[string]bool{}
	r, err := bare.finish()
	if err != nil {
		return nil, err
	}
	return policy.LoadWith("policy.yaml", d.reader(r.Policy))
}

// reader reads the policy and its lists from memory.
func (d *draft) reader(src []byte) policy.Reader {
	return func(path string, _ int64) ([]byte, time.Time, error) {
		dir, err := filepath.Abs(".")
		if err != nil {
			return nil, time.Time{}, err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, time.Time{}, err
		}
		if name == "policy.yaml" {
			return src, time.Now(), nil
		}
		if list, ok := d.lists[filepath.ToSlash(name)]; ok {
			return list, time.Now(), nil
		}
		return nil, time.Time{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

// writeTests writes the tests, those of a client together.
func (d *draft) writeTests(b *strings.Builder) {
	if len(d.tests) == 0 {
		return
	}
	b.WriteString("\ntests:\n")
	var clients []string
	byClient := make(map[string][]test)
	for _, t := range d.tests {
		if byClient[t.as] == nil {
			clients = append(clients, t.as)
		}
		byClient[t.as] = append(byClient[t.as], t)
	}
	for _, as := range clients {
		fmt.Fprintf(b, "  - as: %s\n", as)
		for _, want := range []string{"tunnel", "intercept", "relay", "deny"} {
			var requests []string
			for _, t := range byClient[as] {
				if t.want == want {
					requests = append(requests, t.request)
				}
			}
			if requests != nil {
				fmt.Fprintf(b, "    %s: %s\n", want, block(requests, "      "))
			}
		}
	}
}

// comment writes text, a line of which may be long or have control characters,
// as a comment.
func comment(b *strings.Builder, indent, text string) {
	b.WriteString(strings.TrimRight(indent+"# "+printable(text), " "))
	b.WriteByte('\n')
}

// printable is s on one line, without what a terminal would act on.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff || r == 0xfffd {
			return ' '
		}
		return r
	}, s)
}

// flow is values as a list in brackets, one as itself.
func flow(values []string) string {
	if len(values) == 1 {
		return quote(values[0])
	}
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = quote(v)
	}
	text := "[" + strings.Join(q, ", ") + "]"
	if len(text) < 120 {
		return text
	}
	return "\n" + strings.TrimRight("      - "+strings.Join(q, "\n      - "), "\n")
}

func block(values []string, indent string) string {
	if len(values) == 1 {
		return quote(values[0])
	}
	var b strings.Builder
	for _, v := range values {
		b.WriteString("\n" + indent + "- " + quote(v))
	}
	return b.String()
}

// plainText needs no quotes, wherever it stands.
var plainText = regexp.MustCompile(`^[A-Za-z./][A-Za-z0-9._/-]*$|^[0-9.]+/[0-9]+$|^[0-9]+-[0-9]+$|^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$|^[0-9]+$`)

// quote is s as a value of YAML.
func quote(s string) string {
	if strings.HasPrefix(s, "{") || plainText.MatchString(s) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(s)) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

var noName = regexp.MustCompile(`[^a-z0-9_-]+`)

// policyName is s as a name in a policy.
func policyName(s string) string {
	s = strings.Trim(noName.ReplaceAllString(strings.ToLower(s), "-"), "-")
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		s = "x" + s
	}
	if s == "any" {
		s = "any-of-them"
	}
	if len(s) > 60 {
		s = strings.TrimRight(s[:60], "-")
	}
	return s
}

// unique are names that are taken.
type unique map[string]bool

// name is s as a name that is free.
func (u unique) name(s string) string {
	base := policyName(s)
	name := base
	for i := 2; u[name]; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	u[name] = true
	return name
}
