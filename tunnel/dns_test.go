// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// A fakeDNS answers in this process: the resolver speaks to it as it would
// over TCP, through pipes.
type fakeDNS struct {
	t      testing.TB
	answer func(name string) []string // addresses; nil: no such name
	silent bool                       // never answers
	mute   bool                       // never answers about HTTPS records
	code   dnsmessage.RCode           // of answers about them
	ttl    uint32                     // of answers, and of the SOA of negative ones, seconds

	mu    sync.Mutex
	asked []string // A questions only, in order
	wants []string // HTTPS questions

	// HTTPS records by name, and behind aliases.
	services map[string][]dnsmessage.HTTPSResource
	aliases  map[string]string
}

// The first lookup of a process makes what later ones share. Made in a bubble of
// synctest's it would be of no use outside, nor in the next.
func init() { _, _ = hostsFile.LookupHost(context.Background(), "localhost") }

// hosts makes a fakeDNS of fixed answers.
func hosts(t testing.TB, table map[string][]string) *fakeDNS {
	return &fakeDNS{t: t, answer: func(name string) []string { return table[strings.ToLower(name)] }}
}

func (f *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go f.serve(ours)
		return theirs, nil
	}}
}

func (f *fakeDNS) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func (f *fakeDNS) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		if f.silent {
			io.Copy(io.Discard, c)
			return
		}
		reply, err := f.reply(query)
		if err != nil {
			f.t.Error(err)
			return
		}
		if reply == nil {
			io.Copy(io.Discard, c)
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func (f *fakeDNS) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	q := m.Questions[0]
	if q.Type == dnsmessage.TypeA {
		f.mu.Lock()
		f.asked = append(f.asked, q.Name.String())
		f.mu.Unlock()
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q.Type == dnsmessage.TypeHTTPS {
		return f.replyHTTPS(&m)
	}
	addrs := f.answer(q.Name.String())
	if addrs == nil {
		m.RCode = dnsmessage.RCodeNameError
		m.Authorities = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeSOA, Class: q.Class, TTL: 10 * f.ttl},
			Body:   &dnsmessage.SOAResource{NS: q.Name, MBox: q.Name, MinTTL: f.ttl},
		}}
	}
	for _, s := range addrs {
		ip := netip.MustParseAddr(s)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: f.ttl}
		switch {
		case ip.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}})
		case !ip.Is4() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
		}
	}
	return m.Pack()
}

// replyHTTPS answers m, which asks for an HTTPS record; nil: not at all.
func (f *fakeDNS) replyHTTPS(m *dnsmessage.Message) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := m.Questions[0].Name
	f.wants = append(f.wants, name.String())
	if f.mute {
		return nil, nil
	}
	m.RCode = f.code
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: f.ttl}
	for alias := f.aliases[name.String()]; alias != ""; alias = f.aliases[alias] {
		h.Type = dnsmessage.TypeCNAME
		name = dnsmessage.MustNewName(alias)
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: name}})
		h.Name = name
	}
	h.Type = dnsmessage.TypeHTTPS
	for _, r := range f.services[strings.ToLower(name.String())] {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &r})
	}
	if len(f.services[strings.ToLower(name.String())]) == 0 {
		h.Type = dnsmessage.TypeSOA
		m.Authorities = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: f.ttl}}}
	}
	return m.Pack()
}

func (f *fakeDNS) wanted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.wants...)
}
