// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"sallyport/policy"
)

// smokescreenACL is the file of Smokescreen's acl package, version v1.
type smokescreenACL struct {
	Version         string               `yaml:"version"`
	Services        []smokescreenService `yaml:"services"`
	Default         *smokescreenService  `yaml:"default"`
	GlobalDenyList  []string             `yaml:"global_deny_list"`
	GlobalAllowList []string             `yaml:"global_allow_list"`
}

type smokescreenService struct {
	Name            string   `yaml:"name"`
	Project         string   `yaml:"project"`
	Action          string   `yaml:"action"`
	AllowedDomains  []string `yaml:"allowed_domains"`
	ExternalProxies []string `yaml:"allowed_external_proxies"`
	MitmDomains     []struct {
		Domain string `yaml:"domain"`
	} `yaml:"mitm_domains"`
}

// Smokescreen converts an ACL of Smokescreen. A service is a client whose
// certificate has its name.
//
// Smokescreen looks at the domains of the service first, then at the global
// lists, then at the action; the rules come in that order.
func Smokescreen(name string, src []byte, o Options) (*Result, error) {
	var acl smokescreenACL
	if err := yaml.Unmarshal(src, &acl); err != nil {
		return nil, fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, false))
	}
	if acl.Version != "v1" {
		return nil, fmt.Errorf("%s: version %q: only v1 is known", name, acl.Version)
	}
	m := &smokescreen{
		draft: draft{Options: o, lists: map[string][]byte{}, names: map[string]bool{}}, name: name, acl: acl,
		groups: unique{}, taken: unique{}, made: map[string][2]string{},
	}
	if err := m.rulesOf(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m.note(Note{File: name, Message: "a service is who shows a client certificate with its name as DNS name, email or URI; Smokescreen takes the common name. The gateway cannot prove certificates yet: until it can, the policy is checked and explained, and run refuses it"})
	m.note(Note{File: name, Message: "Smokescreen serves CONNECT and plain http:// alike, hence mode: [tunnel, relay]; for what the origin serves as https, originate is the better mode"})
	m.note(Note{File: name, Message: tunnelsAreTLS})
	m.head = append(m.head, "Converted from "+name+". Look for REVIEW before it is used.")
	for _, n := range m.review {
		m.head = append(m.head, "REVIEW: "+n.Message)
	}
	if err := m.tryOut(); err != nil {
		return nil, err
	}
	return m.finish()
}

type smokescreen struct {
	draft
	name   string
	acl    smokescreenACL
	groups unique
	taken  unique
	made   map[string][2]string // destination list and its exceptions, by domains
}

// hasCertificate are the clients that Smokescreen's default is for: without
// one, there is no service to decide about.
const hasCertificate = `size(client.certs) > 0`

func (m *smokescreen) rulesOf() error {
	var services []string // groups
	for _, s := range m.acl.Services {
		if s.Name == "" {
			return errors.New("a service without a name")
		}
		if slices.ContainsFunc(m.clients, func(d definition) bool { return d.value == "{cert: "+quote(s.Name)+"}" }) {
			return fmt.Errorf("service %q stands there twice", s.Name)
		}
		group := m.groups.name(s.Name)
		services = append(services, group)
		m.clients = append(m.clients, definition{group, "{cert: " + quote(s.Name) + "}"})
	}
	for i, s := range m.acl.Services {
		if err := m.domains(s, services[i], nil, services[i]+"-domains"); err != nil {
			return err
		}
	}
	if d := m.acl.Default; d != nil {
		m.note(Note{File: m.name, Message: "the default is for clients with a certificate that names no service; Smokescreen's --allow-missing-role, which lets in those without, is left out"})
		if err := m.domains(*d, "any", services, "default-domains"); err != nil {
			return err
		}
	}
	if err := m.global("global-deny", m.acl.GlobalDenyList, "deny", services); err != nil {
		return err
	}
	if err := m.global("global-allow", m.acl.GlobalAllowList, "[tunnel, relay]", services); err != nil {
		return err
	}
	for i, s := range m.acl.Services {
		if err := m.action(s, services[i], nil, services[i]); err != nil {
			return err
		}
	}
	if d := m.acl.Default; d != nil {
		return m.action(*d, "any", services, "default")
	}
	return nil
}

// keys are those of a rule for a group, or for everybody with a certificate
// but those of the services.
func keysFor(group string, except []string, to, toExcept, mode string) [][2]string {
	keys := [][2]string{{"from", group}}
	if group == "any" && except != nil {
		keys = append(keys, [2]string{"from_except", flow(except)})
	}
	keys = append(keys, [2]string{"to", to})
	if toExcept != "" {
		keys = append(keys, [2]string{"to_except", toExcept})
	}
	if mode != "deny" {
		keys = append(keys, [2]string{"ports", "any"})
		if group == "any" {
			keys = append(keys, [2]string{"when", quote(hasCertificate)})
		}
	}
	return append(keys, [2]string{"mode", mode})
}

func (m *smokescreen) domains(s smokescreenService, group string, except []string, name string) error {
	var comments []string
	if s.Project != "" {
		comments = append(comments, "project "+s.Project)
	}
	review := func(message string) {
		comments = append(comments, "REVIEW: "+message)
		m.note(Note{File: m.name, Text: strings.TrimSpace("service " + s.Name), Message: message})
	}
	if len(s.MitmDomains) > 0 {
		review("mitm_domains: not converted, these connections are passed through unread; mode intercept is for those")
	}
	if len(s.ExternalProxies) > 0 {
		review("allowed_external_proxies: not converted, requests go to the origin itself")
	}
	if len(s.AllowedDomains) == 0 {
		if comments != nil {
			m.rules = append(m.rules, rule{comments: comments})
		}
		return nil
	}
	to, toExcept, err := m.destination(name, s.AllowedDomains)
	if err != nil {
		return err
	}
	m.rules = append(m.rules, rule{comments, m.ruleName(policyName(name)), keysFor(group, except, to, toExcept, "[tunnel, relay]")})
	return nil
}

// global is one of the lists that are for all services.
func (m *smokescreen) global(name string, globs []string, mode string, services []string) error {
	if len(globs) == 0 {
		return nil
	}
	to, toExcept, err := m.destination(name, globs)
	if err != nil {
		return err
	}
	if mode == "deny" {
		m.rules = append(m.rules, rule{nil, m.ruleName(name), keysFor("any", nil, to, toExcept, mode)})
		return nil
	}
	if len(services) > 0 {
		m.rules = append(m.rules, rule{nil, m.ruleName(name), keysFor(flow(services), nil, to, toExcept, mode)})
	}
	if m.acl.Default != nil {
		m.rules = append(m.rules, rule{nil, m.ruleName(name + "-default"), keysFor("any", services, to, toExcept, mode)})
	}
	return nil
}

// action is what becomes of hosts that are on no list.
func (m *smokescreen) action(s smokescreenService, group string, except []string, name string) error {
	switch s.Action {
	case "enforce":
		m.rules = append(m.rules, rule{nil, m.ruleName(policyName(name + "-otherwise")), keysFor(group, except, "any", "", "deny")})
	case "report":
		audit := append(keysFor(group, except, "any", "", "deny"), [2]string{"audit", "true"})
		m.rules = append(m.rules,
			rule{[]string{"action report: what enforce would deny is counted and let through"}, m.ruleName(policyName(name + "-reported")), audit},
			rule{nil, m.ruleName(policyName(name + "-otherwise")), keysFor(group, except, "any", "", "[tunnel, relay]")})
	case "open":
		m.rules = append(m.rules, rule{nil, m.ruleName(policyName(name + "-otherwise")), keysFor(group, except, "any", "", "[tunnel, relay]")})
	default:
		return fmt.Errorf("service %q: action %q is none of open, report and enforce", s.Name, s.Action)
	}
	return nil
}

// destination makes a list of Smokescreen's globs. *.example.com is every name
// below example.com, at any depth, and not the name itself.
func (m *smokescreen) destination(name string, globs []string) (to, except string, err error) {
	key := strings.Join(globs, "\n")
	if made, ok := m.made[key]; ok {
		return made[0], made[1], nil
	}
	var entries, not []string
	for _, g := range globs {
		host, below := strings.CutPrefix(strings.TrimRight(strings.ToLower(g), "."), "*.")
		if !validEntry(host) || strings.HasPrefix(host, ".") {
			return "", "", fmt.Errorf("%q is not a host, nor *. and a host", g)
		}
		switch {
		case below:
			entries = append(entries, "."+host)
			if !matchesGlob(host, globs) {
				not = append(not, asEntry(host))
			}
		default:
			entries = append(entries, asEntry(host))
		}
	}
	to = m.taken.name(name)
	m.list(to, entries)
	if not != nil {
		except = m.taken.name(name + "-not")
		m.list(except, not)
	}
	m.made[key] = [2]string{to, except}
	return to, except, nil
}

// asEntry is a host as an entry of a list.
func asEntry(host string) string {
	if strings.ContainsAny(host, ".:") {
		return host
	}
	return "{host: " + quote(host) + "}"
}

// matchesGlob is Smokescreen's HostMatchesGlob for several globs.
func matchesGlob(host string, globs []string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		g = strings.TrimRight(strings.ToLower(g), ".")
		if strings.HasPrefix(g, "*.") {
			return strings.HasSuffix(host, g[1:])
		}
		return g == host
	})
}

// decide is what Smokescreen answers a service.
func (m *smokescreen) decide(s smokescreenService, host string) bool {
	switch {
	case matchesGlob(host, s.AllowedDomains):
		return true
	case matchesGlob(host, m.acl.GlobalDenyList):
		return false
	case matchesGlob(host, m.acl.GlobalAllowList):
		return true
	}
	return s.Action != "enforce"
}

// tryOut makes tests of what Smokescreen answers; the policy has to agree.
func (m *smokescreen) tryOut() error {
	p, err := m.load()
	if err != nil {
		return err
	}
	services := slices.Clone(m.acl.Services)
	if m.acl.Default != nil {
		d := *m.acl.Default
		d.Name = "no-service.example"
		services = append(services, d)
	}
	hosts := []string{"unlisted.example"}
	add := func(globs []string) {
		for _, g := range globs[:min(3, len(globs))] {
			host, below := strings.CutPrefix(strings.TrimRight(strings.ToLower(g), "."), "*.")
			if hosts = append(hosts, host); below {
				hosts = append(hosts, "a.b."+host)
			}
		}
	}
	add(m.acl.GlobalDenyList)
	add(m.acl.GlobalAllowList)
	for _, s := range services {
		add(s.AllowedDomains)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	for _, s := range services {
		for _, host := range hosts {
			request := "CONNECT " + host + ":443"
			q, err := policy.ParseRequest(request)
			if err != nil {
				continue
			}
			q.Client = policy.Client{Certs: []string{s.Name}}
			d := p.Decide(q)
			if want := m.decide(s, host); want != (d.Mode != policy.Deny) && !(want && q.Host.IsAddr()) {
				return fmt.Errorf("what %s was converted to says %s about %s for service %s, which Smokescreen does not: please report this", m.name, d.Mode, host, s.Name)
			} else if want == (d.Mode != policy.Deny) && len(m.tests) < maxTests {
				m.tests = append(m.tests, test{"{ip: 192.0.2.77, cert: " + quote(s.Name) + "}", d.Mode.String(), request})
			}
		}
	}
	return nil
}
