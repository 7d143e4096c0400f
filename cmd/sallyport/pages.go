// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/gateway"
	"sallyport/pki"
	"sallyport/policy"
)

// The gateway's own pages are for the people behind clients: how to use it, what it
// has refused them, and how to come to trust its root.
type pages struct {
	generation func() *gateway.Generation
	ca         func() *pki.CA // nil if there is none that is open
	refused    *refusals
	names      []string // by which the gateway is reached, those of its TLS first
	tls        int      // how many of them are
	port       uint16   // of the first listener
}

//go:embed pages.html
var pagesSource string

var pagesTemplate = template.Must(template.New("pages").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.Format("15:04:05") },
	"day":   func(t time.Time) string { return t.Format(time.DateOnly) },
}).Parse(pagesSource))

// has reports whether path is one of the pages.
func (p *pages) has(path string) bool {
	switch path {
	case "/", "/blocked", "/trust", "/trust/edge.crt", "/proxy.pac", "/wpad.dat":
		return true
	}
	return false
}

// ServeHTTP implements http.Handler for the paths that it has.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page can be looked at only", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case "/proxy.pac", "/wpad.dat":
		p.pac(w, r)
	case "/trust/edge.crt":
		p.certificate(w, r)
	default:
		p.page(w, r)
	}
}

func (p *pages) policy() *policy.Policy {
	if g := p.generation(); g != nil {
		return g.Policy
	}
	return nil
}

// edge is the root that vouches for what clients of this gateway see, nil for none.
func (p *pages) edge() *x509.Certificate {
	ca := p.ca()
	if ca == nil {
		return nil
	}
	if roots := ca.Roots(pki.Edge); len(roots) > 0 {
		return roots[0]
	}
	return nil
}

// at is where the client has found the gateway: the name and port it asked for, or
// the listener's port if it came by another way than straight.
func (p *pages) at(r *http.Request) (host, port string) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = strings.Trim(r.Host, "[]"), strconv.Itoa(int(p.port))
	}
	return host, port
}

// proxy is the gateway as PAC files have it: by TLS to one of the names that it has
// certificates for, if it has any and the client has not asked for plain.
func (p *pages) proxy(r *http.Request) string {
	host, port := p.at(r)
	secure := p.names[:p.tls]
	switch {
	case r.URL.Query().Has("plain"):
	case r.TLS != nil, slices.Contains(secure, strings.ToLower(host)):
		return "HTTPS " + net.JoinHostPort(host, port)
	case len(secure) > 0:
		return "HTTPS " + net.JoinHostPort(secure[0], port)
	}
	return "PROXY " + net.JoinHostPort(host, port)
}

func (p *pages) pac(w http.ResponseWriter, r *http.Request) {
	host, _ := p.at(r)
	text, err := pac(p.policy(), append([]string{host}, p.names...), p.proxy(r))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-ns-proxy-autoconfig")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write([]byte(text))
}

// certificate is the root in the form that phones and Windows take up when it is opened.
func (p *pages) certificate(w http.ResponseWriter, r *http.Request) {
	root := p.edge()
	if root == nil {
		http.Error(w, "this gateway has no CA of its own that it uses", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="sallyport-edge.crt"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(root.Raw))
}

// A view is what a page is made of.
type view struct {
	Path, Host, At, Proxy string
	Contact               string
	Client                netip.Addr
	Refused               []refusal
	Root                  *x509.Certificate
	Fingerprint           string
	Now                   time.Time
}

func (p *pages) page(w http.ResponseWriter, r *http.Request) {
	host, port := p.at(r)
	v := view{Path: r.URL.Path, Host: host, At: "http://" + net.JoinHostPort(host, port), Proxy: p.proxy(r), Root: p.edge(), Now: time.Now()}
	if r.TLS != nil {
		v.At = "https://" + net.JoinHostPort(host, port)
	}
	if pol := p.policy(); pol != nil {
		v.Contact = pol.Pages.Contact
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		v.Client = from.Addr().Unmap()
		v.Refused = p.refused.Of(v.Client)
	}
	status := http.StatusOK
	if v.Root != nil {
		v.Fingerprint = fingerprintText(v.Root)
	} else if v.Path == "/trust" {
		status = http.StatusNotFound
	}
	var b bytes.Buffer
	if err := pagesTemplate.Execute(&b, v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// fingerprintText is the SHA-256 of c as trust dialogs show it.
func fingerprintText(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}
