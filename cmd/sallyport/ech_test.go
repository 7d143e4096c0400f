// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/net/dns/dnsmessage"
)

// newECHKey makes a key by which ClientHellos for public can be encrypted (RFC
// 9849 §4).
func newECHKey(ts *testscript.TestScript, public string) tls.EncryptedClientHelloKey {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	ts.Check(err)
	var b cryptobyte.Builder
	b.AddUint16(0xfe0d)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(1)
		b.AddUint16(0x0020) // DHKEM(X25519, HKDF-SHA256)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key.PublicKey().Bytes()) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(1); b.AddUint16(1) })
		b.AddUint8(64)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(public)) })
		b.AddUint16(0)
	})
	config, err := b.Bytes()
	ts.Check(err)
	return tls.EncryptedClientHelloKey{Config: config, PrivateKey: key.Bytes(), SendAsRetry: true}
}

// listOfECH is an ECHConfigList as zone files write it.
func listOfECH(config []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte{byte(len(config) >> 8), byte(len(config))}, config...))
}

// cmdECHKeys sets $NAME to an ECHConfigList for a public name, whose private key
// nobody has: echkeys NAME PUBLIC.
func cmdECHKeys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: echkeys name public-name")
	}
	ts.Setenv(args[0], listOfECH(newECHKey(ts, args[1]).Config))
}

// cmdHTTPS sets the HTTPS record of a host and port, in the words of a zone file:
// https HOST PORT [alpn=A,B] [ech=BASE64|@FILE]. None: it is taken away; - instead of
// them: the name server never answers.
func cmdHTTPS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: https host port [key=value...]")
	}
	name := strings.ToLower(args[0])
	if args[1] != "443" {
		name = "_" + args[1] + "._https." + name
	}
	d := worldOf(ts).dns
	d.mu.Lock()
	defer d.mu.Unlock()
	r := &dnsmessage.HTTPSResource{SVCBResource: dnsmessage.SVCBResource{Priority: 1, Target: dnsmessage.MustNewName(args[0] + ".")}}
	switch {
	case len(args) == 2:
		delete(d.services, name)
		return
	case args[2] == "-":
		d.services[name] = nil
		return
	}
	for _, kv := range args[2:] {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "alpn":
			var ids []byte
			for id := range strings.SplitSeq(v, ",") {
				ids = append(append(ids, byte(len(id))), id...)
			}
			r.SetParam(dnsmessage.SVCParamALPN, ids)
		case "ech":
			list, err := base64.StdEncoding.DecodeString(v)
			if file, ok := strings.CutPrefix(v, "@"); ok {
				list, err = os.ReadFile(ts.MkAbs(file))
			}
			ts.Check(err)
			r.SetParam(dnsmessage.SVCParamECH, list)
		default:
			ts.Fatalf("no key %s", k)
		}
	}
	d.services[name] = r
}

// wireNames are the names of tests that a ClientHello can have in the clear.
var wireNames = regexp.MustCompile(`[a-z0-9-]+\.(test|example)\b`)

// noteWire notes the names that whoever listened to a handshake could have read.
func (o *testOrigin) noteWire(said []byte) {
	var names []string
	for _, n := range wireNames.FindAll(bytes.ToLower(said), -1) {
		names = append(names, string(n))
	}
	slices.Sort(names)
	o.note("on the wire: %s", strings.Join(slices.Compact(names), " "))
}
