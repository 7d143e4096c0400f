// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/tls"
	"encoding/base64"
	"net/netip"
	"os"
	"slices"
	"strings"
)

func (c *compiler) buildOrigin(d *definition[Origin], name string) {
	d.made = *c.origin(d.node, name)
	d.print = fingerprint(d.node)
}

func (c *compiler) origin(n *node, name string) *Origin {
	o := &Origin{Name: name}
	for _, e := range n.get("roots").each() {
		o.Roots = append(o.Roots, c.pem(e))
	}
	for _, e := range n.get("pins").each() {
		b64, ok := strings.CutPrefix(e.text, "sha256//")
		sum, err := base64.StdEncoding.DecodeString(b64)
		if !ok || err != nil || len(sum) != 32 {
			c.errorf(e, "P050", "write sha256// and the Base64 of the SHA-256 of the public key", "%q is no pin", e.text)
			continue
		}
		o.Pins = append(o.Pins, [32]byte(sum))
	}
	o.MinTLS, o.MaxTLS = tlsVersion(n.get("min_tls")), tlsVersion(n.get("max_tls"))
	if o.MaxTLS != 0 && o.MaxTLS < o.MinTLS {
		c.errorf(n.get("max_tls"), "P053", "", "max_tls is older than min_tls: nothing is left between them")
	}
	o.ALPN = c.texts(n.get("alpn"))
	if o.MaxTLS == tls.VersionTLS12 && slices.Contains(o.ALPN, "h3") {
		c.errorf(n.get("max_tls"), "P053", "", "max_tls is 1.2, and h3 in alpn is by TLS 1.3 (RFC 9001)")
	}
	if e := n.get("port"); e != nil {
		p, err := parsePort(e.text)
		if err != nil {
			c.errorf(e, "P076", "", "%s", err)
		}
		o.Port = p
	}
	o.SNI, o.VerifyName = c.hostName(n.get("sni")), c.hostName(n.get("verify_name"))
	o.ECH = c.ech(n, o)
	o.Revocation = Revocation(max(0, slices.Index(revocationWords, n.get("revocation").str())))
	o.AIA = n.get("aia").str() == "true"
	c.fetches(n, o)
	o.ClientCert = c.clientCert(n.get("client_cert"))
	return o
}

// ech is what n says of it, and off where it cannot be: below TLS 1.3, and where
// another name is sent than the one whose record has the keys.
func (c *compiler) ech(n *node, o *Origin) ECH {
	said := ECH(max(0, slices.Index(echWords, n.get("ech").str())))
	possible := o.MaxTLS != tls.VersionTLS12 && o.SNI == ""
	switch {
	case possible:
		return said
	case said == ECHRequire && o.SNI == "":
		c.errorf(n.get("ech"), "P057", `write max_tls: "1.3", or leave it out`, "ech: require needs TLS 1.3, and max_tls is 1.2")
	case said == ECHRequire:
		c.errorf(n.get("ech"), "P057", "leave one of them out", "ech: require and sni exclude each other: the keys are those of the host asked for, and sni sends another name")
	}
	return ECHOff
}

func tlsVersion(n *node) uint16 {
	switch n.str() {
	case "1.2":
		return tls.VersionTLS12
	case "1.3":
		return tls.VersionTLS13
	}
	return 0
}

func (c *compiler) hostName(n *node) string {
	if n == nil {
		return ""
	}
	h, err := parsePolicyHost(n.text)
	if err != nil || h.IsAddr() {
		c.errorf(n, "P051", "", "%q is not a host name", n.text)
	}
	return h.Name
}

// fetches fixes where what the certificates of o name may be.
func (c *compiler) fetches(n *node, o *Origin) {
	private := n.get("fetch_private")
	var named []netip.Prefix
	for _, e := range private.each() {
		p, ok := c.network(e)
		switch {
		case !ok:
		case len(withinSpecial([]netip.Prefix{p})) == 0:
			c.errorf(e, "P054", "name a private network; public addresses are reached without", "%s is no private network", e.text)
		default:
			named = append(named, p)
		}
	}
	if private != nil && o.Revocation == RevocationOff && !o.AIA {
		c.errorf(n.keyNode("fetch_private"), "P055", "it goes with revocation: prefer, revocation: require and aia: true", "nothing is fetched for this origin")
	}
	o.fetch.guard(named, nil)
}

func (c *compiler) clientCert(n *node) *ClientCert {
	if n == nil {
		return nil
	}
	if n.kind == textNode {
		file := c.pem(n)
		return &ClientCert{Cert: file, Key: file}
	}
	ways := []string{"cert", "pkcs12", "secret", "mint"}
	ways = slices.DeleteFunc(ways, func(k string) bool { return !n.has(k) })
	if len(ways) != 1 {
		c.errorf(n, "P052", "", "a client_cert is exactly one of cert (with key), pkcs12, secret and mint")
		return nil
	}
	if n.has("key") && ways[0] != "cert" {
		c.errorf(n.keyNode("key"), "P052", "", "key goes with cert")
		return nil
	}
	if n.has("password_secret") && ways[0] != "pkcs12" && ways[0] != "secret" {
		c.errorf(n.keyNode("password_secret"), "P052", "", "password_secret goes with pkcs12 and secret")
		return nil
	}
	switch ways[0] {
	case "pkcs12":
		cc := &ClientCert{Password: c.secret(n.get("password_secret"))}
		if e := n.get("pkcs12"); e != nil {
			cc.PKCS12 = c.pem(e)
		}
		return cc
	case "secret":
		return &ClientCert{Secret: c.secret(n.get("secret")), Password: c.secret(n.get("password_secret"))}
	case "mint":
		return &ClientCert{Minted: true, Mint: c.mint(n.get("mint"))}
	}
	cc := &ClientCert{}
	if e := n.get("cert"); e != nil {
		cc.Cert = c.pem(e)
	}
	cc.Key = cc.Cert
	if e := n.get("key"); e != nil {
		cc.Key = c.pem(e)
	}
	return cc
}

// secret is the name of one; "" for no node.
func (c *compiler) secret(n *node) string {
	if n != nil && !goodName.MatchString(n.text) {
		c.errorf(n, "P024", "", "%q is not the name of a secret", n.text)
	}
	return n.str()
}

// pem is the absolute path of a file that the gateway will read. A policy may
// be checked where the file is not, so that a missing one is a warning here.
func (c *compiler) pem(n *node) string {
	path := c.abs(n.text)
	if _, err := os.Stat(path); err != nil {
		c.warnf(n, "L012", "", "%s is not here: the gateway will need it", n.text)
	}
	return path
}
