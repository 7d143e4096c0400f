// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Mapping gives clients that know no proxy an origin under a path of the gateway's,
// or under a host name that leads to it. What is asked for there is decided as if the
// origin's own https URL had been.
type Mapping struct {
	Host Host   // by which clients ask; zero: the gateway's own names
	At   string // the path there, canonical, with / at both ends

	To   Host // the origin, met by https
	Port uint16
	Path string // the path there, canonical, with / at both ends

	line, col int
}

// A mappingSet is the mappings of a policy. Of those with one host none has a path
// below another's.
type mappingSet struct {
	asked  map[Host][]*Mapping // by Host
	origin map[mappedOrigin][]*Mapping
	all    []*Mapping // in the order of the file
}

type mappedOrigin struct {
	host Host
	port uint16
}

// Mapping is the mapping that has a path of a host, nil when none has, and the path
// at its origin. A zero host stands for the gateway's own names. rest is "" for
// the path of the mapping without its last slash, which means nothing yet. A path
// that cannot be brought to one form (CleanPath) is an error where there is a mapping
// that may have it.
func (p *Policy) Mapping(host Host, path string) (m *Mapping, rest string, err error) {
	if p == nil || len(p.mappings.asked[host]) == 0 {
		return nil, "", nil
	}
	if path, err = CleanPath(path); err != nil {
		return nil, "", err
	}
	for _, m := range p.mappings.asked[host] {
		if below, ok := strings.CutPrefix(path, m.At); ok {
			return m, m.Path + below, nil
		}
		if path == m.At[:len(m.At)-1] {
			return m, "", nil
		}
	}
	return nil, "", nil
}

// Mapped are the mappings whose origin is that host and port, in the order of the file.
// They are not to be changed.
func (p *Policy) Mapped(to Host, port uint16) []*Mapping {
	if p == nil {
		return nil
	}
	return p.mappings.origin[mappedOrigin{to, port}]
}

// Mappings reports whether p has any.
func (p *Policy) Mappings() bool { return p != nil && len(p.mappings.asked) > 0 }

// mapped is what is asked of the origin by a q that names the host of a mapping by http,
// or no host and so one of the gateway's own; ok is false when no mapping has it.
func (p *Policy) mapped(q Query) (to Query, ok bool) {
	if q.Kind != Plain || q.Scheme != "http" {
		return q, false
	}
	m, rest, err := p.Mapping(q.Host, q.Path)
	if m == nil || rest == "" || err != nil {
		return q, false
	}
	return m.Query(q, rest), true
}

// Query is q as it is asked of m's origin, where the path is rest.
func (m *Mapping) Query(q Query, rest string) Query {
	q.Kind, q.Scheme, q.Host, q.Port, q.Path = Plain, "https", m.To, m.Port, rest
	return q
}

// String is how a mapping is asked for, as it is written: a host, a path or both.
func (m *Mapping) String() string {
	if m.Host == (Host{}) {
		return m.At
	}
	return m.Host.String() + m.At
}

// origin is the URL of its origin.
func (m *Mapping) origin() string {
	host := m.To.String()
	if m.To.Addr.Is6() {
		host = "[" + host + "]"
	}
	if m.Port != 443 {
		host += ":" + strconv.Itoa(int(m.Port))
	}
	return "https://" + host + m.Path
}

// mappings reads the key of that name.
func (c *compiler) mappings(p *Policy, n *node) {
	p.mappings = mappingSet{asked: make(map[Host][]*Mapping), origin: make(map[mappedOrigin][]*Mapping)}
	for _, e := range n.each() {
		if m := c.mapping(e); m != nil && c.apart(p.mappings.asked[m.Host], m, e) {
			p.mappings.all = append(p.mappings.all, m)
			p.mappings.asked[m.Host] = append(p.mappings.asked[m.Host], m)
			o := mappedOrigin{m.To, m.Port}
			p.mappings.origin[o] = append(p.mappings.origin[o], m)
		}
	}
}

// mapping reads one; nil when something is wrong with it, which is reported.
func (c *compiler) mapping(n *node) *Mapping {
	host, at, to := n.get("host"), n.get("at"), n.get("to")
	if n.bad || to == nil {
		return nil
	}
	m := &Mapping{At: "/", line: n.line, col: n.col}
	var err error
	if host != nil {
		if m.Host, err = parsePolicyHost(host.text); err != nil {
			c.errorf(host, "P046", "write a name alone, such as bank.corp.example: any port will do", "%q is no host: %s", host.text, err)
		}
	}
	if at != nil {
		if m.At, err = at.text, directory(at.text); err == nil && strings.Contains(m.At, ";") {
			err = errors.New("a path with ; is none that a cookie can have")
		}
		if err != nil {
			c.errorf(at, "P046", "write a path such as /bank/", "%q: %s", at.text, err)
		}
	}
	if host == nil && m.At == "/" && err == nil {
		err = errAllPaths
		c.errorf(n, "P046", "give it a path (at: /bank/), a host, or both",
			"%s", err)
	}
	if e := m.readTo(to.text); e != nil {
		c.errorf(to, "P046", "write a URL such as https://api.bank.example/v1/", "%q: %s", to.text, e)
		err = e
	}
	if err != nil {
		return nil
	}
	return m
}

var errAllPaths = errors.New("a mapping without a host and a path would take all that is asked of the gateway itself")

// readTo reads where a mapping leads.
func (m *Mapping) readTo(s string) error {
	scheme, rest, ok := strings.Cut(s, "://")
	switch scheme = strings.ToLower(scheme); {
	case ok && scheme == "http":
		return errors.New("what is mapped goes by https alone: its clients do not know where they are led, and must not be led into the clear")
	case !ok || scheme != "https":
		return errors.New("a mapping leads to an https:// URL")
	case strings.ContainsAny(rest, "?#"):
		return errors.New("a mapping leads to a path and what is below it, without query and fragment")
	}
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return errors.New("a URL with a user name is not where a mapping can lead: a rule that sets Authorization (request: set) is for credentials")
	}
	var err error
	if m.To, m.Port, err = splitHostPort(authority, 443); err != nil {
		return err
	}
	m.Path = "/" + path
	return directory(m.Path)
}

// directory reports what keeps a path from being one that others are below.
func directory(path string) error {
	clean, err := CleanPath(path)
	switch {
	case err != nil:
		return err
	case clean != path:
		return fmt.Errorf("the path is not in its canonical form, which is %s", clean)
	case strings.Contains(path, "//"):
		return errors.New("the path has an empty segment")
	case path[len(path)-1] != '/':
		return errors.New("the path has to end in /: a mapping has what is below it")
	}
	return nil
}

// apart reports whether m has nothing that one of the others has.
func (c *compiler) apart(others []*Mapping, m *Mapping, n *node) bool {
	for _, o := range others {
		if strings.HasPrefix(m.At, o.At) || strings.HasPrefix(o.At, m.At) {
			c.errorf(n, "P047", "give them paths of which none is below the other, or a host of its own to one of them",
				"%s has paths in common with %s of line %d, and cookies of the one would be sent to the other", m, o, o.line)
			return false
		}
	}
	return true
}
