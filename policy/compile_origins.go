// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/tls"
	"encoding/base64"
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
	switch n.get("min_tls").str() {
	case "1.2":
		o.MinTLS = tls.VersionTLS12
	case "1.3":
		o.MinTLS = tls.VersionTLS13
	}
	o.ALPN = c.texts(n.get("alpn"))
	if e := n.get("port"); e != nil {
		p, err := parsePort(e.text)
		if err != nil {
			c.errorf(e, "P076", "", "%s", err)
		}
		o.Port = p
	}
	if e := n.get("sni"); e != nil {
		h, err := parsePolicyHost(e.text)
		if err != nil || h.IsAddr() {
			c.errorf(e, "P051", "", "%q is not a host name", e.text)
		}
		o.SNI = h.Name
	}
	o.ClientCert = c.clientCert(n.get("client_cert"))
	return o
}

func (c *compiler) clientCert(n *node) *ClientCert {
	if n == nil {
		return nil
	}
	if n.kind == textNode {
		file := c.pem(n)
		return &ClientCert{Cert: file, Key: file}
	}
	ways := []string{"cert", "secret", "mint"}
	ways = slices.DeleteFunc(ways, func(k string) bool { return !n.has(k) })
	if len(ways) != 1 {
		c.errorf(n, "P052", "", "a client_cert is exactly one of cert (with key), secret and mint")
		return nil
	}
	if n.has("key") && ways[0] != "cert" {
		c.errorf(n.keyNode("key"), "P052", "", "key goes with cert")
		return nil
	}
	switch ways[0] {
	case "secret":
		if e := n.get("secret"); e != nil && !goodName.MatchString(e.text) {
			c.errorf(e, "P024", "", "%q is not the name of a secret", e.text)
		}
		return &ClientCert{Secret: n.get("secret").str()}
	case "mint":
		return &ClientCert{Minted: true}
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

// pem is the absolute path of a file that the gateway will read. A policy may
// be checked where the file is not, so that a missing one is a warning here.
func (c *compiler) pem(n *node) string {
	path := c.abs(n.text)
	if _, err := os.Stat(path); err != nil {
		c.warnf(n, "L012", "", "%s is not here: the gateway will need it", n.text)
	}
	return path
}
