// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	p := mustLoad(t, "testdata/good/corporate.yaml")
	for _, c := range []struct {
		client  Client
		request string
		want    string
	}{
		{
			Client{Addr: netip.MustParseAddr("10.20.9.9"), Groups: []string{"engineering"}},
			"CONNECT github.com:8443",
			`step 1    CONNECT github.com:8443
client    10.20.9.9 group:engineering -> groups: developers, offices
host      github.com port 8443 -> lists: code-hosts
  no      developers               line 105  only ports (port 8443) does not hold
  (10 rules for other destinations)
  (2 rules with more than one condition that does not hold)
decision  deny: no rule matched
`,
		},
		{
			Client{Addr: netip.MustParseAddr("10.1.1.1"), User: "eva", Groups: []string{"staff", "finance"}},
			"POST https://www.dropbox.com/s/abc",
			`step 1    CONNECT www.dropbox.com:443
client    10.1.1.1 user:eva group:staff group:finance -> groups: staff
host      www.dropbox.com port 443 -> lists: uploads
  open    uploads-read-only        line 80   needs to see the request (methods)
  match   uploads                  line 87   mode deny
  (5 rules for other destinations)
decision  intercept: rule "uploads-read-only" needs to see the request; every request inside is decided on its own
step 2    POST https://www.dropbox.com/s/abc
client    10.1.1.1 user:eva group:staff group:finance -> groups: staff
host      www.dropbox.com port 443 -> lists: uploads
  no      uploads-read-only        line 80   only methods does not hold
  match   uploads                  line 87   mode deny
  (5 rules for other destinations)
decision  deny by rule "uploads" (line 87): Downloads only. For sending files use share.acme.example.
`,
		},
		{
			Client{Addr: netip.MustParseAddr("10.20.5.7"), Certs: []string{"spiffe://acme.example/erp"}},
			"POST http://api.bank.example/v2/payments/../payments/7",
			`step 1    POST http://api.bank.example/v2/payments/../payments/7
client    10.20.5.7 cert:spiffe://acme.example/erp -> groups: erp-server, offices
host      api.bank.example port 80 -> lists: partner-bank
  match   erp-to-bank              line 49   mode originate
  (1 rule for other destinations)
decision  originate by rule "erp-to-bank" (line 49)
  origin        port 443, path /v2/payments/7
  client leg    plain HTTP
  origin leg    TLS, verified by the gateway (origin profile "bank")
  origin auth   the gateway (client certificate "acme-at-bank")
  readers       client, gateway, origin
  client sees   none
  limits        rate 20/s; 8 in progress
`,
		},
	} {
		q, err := ParseRequest(c.request)
		if err != nil {
			t.Fatal(err)
		}
		q.Client, q.At = c.client, testTime
		if got := p.Explain(q).String(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestExplanationAsJSON(t *testing.T) {
	p := mustLoad(t, "testdata/good/corporate.yaml")
	q, err := ParseRequest("CONNECT github.com:443")
	if err != nil {
		t.Fatal(err)
	}
	q.Client = Client{Addr: netip.MustParseAddr("10.20.9.9"), Groups: []string{"engineering"}}
	b, err := json.Marshal(p.Explain(q))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"request":"CONNECT github.com:443"`, `"mode":"tunnel"`, `"reason":"rule"`, `"rule":"developers"`, `"line":105`,
		`"verdict":"match"`, `"dial_port":443`, `"readers":"client and origin only"`, `"groups":["developers","offices"]`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s is not in %s", want, b)
		}
	}
}

// The rows of the trade-off table in design.md.
func TestContract(t *testing.T) {
	adding := &Rule{Request: HeaderChanges{Set: []HeaderValue{
		{"Authorization", []Part{{Text: "Bearer "}, {Secret: "model-key"}}},
		{"X-Both", []Part{{Secret: "a"}, {Secret: "b"}}},
		{"X-Team", []Part{{Text: "blue"}}},
	}}}
	cert := &Origin{Name: "bank", ClientCert: &ClientCert{Cert: "/x/erp.pem"}}
	for _, c := range []struct {
		d    Decision
		want Contract
	}{
		{Decision{}, Contract{}},
		{Decision{Mode: Relay, Rule: &Rule{}}, Contract{"nobody", "everybody on both wires", "none", "plain HTTP", "plain HTTP", ""}},
		{Decision{Mode: Tunnel, Rule: &Rule{Origin: cert}}, Contract{"the client itself", "client and origin only", "the origin's", "CONNECT, then the client's own TLS", "the same bytes", ""}},
		{
			Decision{Mode: Originate, Rule: &Rule{Origin: cert}},
			Contract{"the gateway (client certificate /x/erp.pem)", "client, gateway, origin", "none", "plain HTTP", `TLS, verified by the gateway (origin profile "bank")`, ""},
		},
		{
			Decision{Mode: Intercept, Rule: &Rule{}},
			Contract{"the gateway, without a certificate", "client, gateway, origin", "a leaf minted by the gateway's CA", "CONNECT, then TLS that ends at the gateway", "TLS, verified by the gateway (system roots)", ""},
		},
		{
			Decision{Mode: Originate, Rule: adding},
			Contract{"the gateway, without a certificate", "client, gateway, origin", "none", "plain HTTP", "TLS, verified by the gateway (system roots)", `Authorization from secret "model-key", X-Both from secret "a" and "b", X-Team`},
		},
		{Decision{Mode: Tunnel, Rule: adding}, Contract{"the client itself", "client and origin only", "the origin's", "CONNECT, then the client's own TLS", "the same bytes", ""}},
		{Decision{Mode: Deny, Rule: adding}, Contract{}},
		{Decision{clientTLS: true}, Contract{}},
		{
			Decision{Mode: Relay, Rule: &Rule{}, clientTLS: true},
			Contract{"nobody", "client, gateway, and everybody on the origin's wire", "the gateway's own", "HTTP inside TLS to the gateway", "plain HTTP", ""},
		},
		{
			Decision{Mode: Tunnel, Rule: &Rule{}, clientTLS: true},
			Contract{"the client itself", "client and origin only", "the gateway's own, then the origin's", "CONNECT inside TLS to the gateway, then the client's own TLS", "the same bytes", ""},
		},
		{
			Decision{Mode: Originate, Rule: &Rule{}, clientTLS: true},
			Contract{"the gateway, without a certificate", "client, gateway, origin", "the gateway's own", "HTTP inside TLS to the gateway", "TLS, verified by the gateway (system roots)", ""},
		},
		{
			Decision{Mode: Intercept, Rule: &Rule{}, clientTLS: true},
			Contract{"the gateway, without a certificate", "client, gateway, origin", "the gateway's own, then a leaf minted by its CA", "CONNECT inside TLS to the gateway, then TLS that ends there too", "TLS, verified by the gateway (system roots)", ""},
		},
	} {
		if got := c.d.Contract(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.d.Mode, got, c.want)
		}
	}
}
