// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// A fakeDNS answers A and AAAA questions over UDP from a table.
type fakeDNS struct {
	conn net.PacketConn
	done chan struct{}

	mu       sync.Mutex
	names    map[string][]netip.Addr
	services map[string]*dnsmessage.HTTPSResource // nil in it: no answer at all
}

func startDNS() (*fakeDNS, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &fakeDNS{conn: conn, done: make(chan struct{}), names: make(map[string][]netip.Addr), services: make(map[string]*dnsmessage.HTTPSResource)}
	go d.serve()
	return d, nil
}

func (d *fakeDNS) addr() string { return d.conn.LocalAddr().String() }

func (d *fakeDNS) close() {
	d.conn.Close()
	<-d.done
}

// set gives name, or with *.zone every name below it, these addresses.
func (d *fakeDNS) set(name string, addrs ...string) {
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = list
}

func (d *fakeDNS) lookup(name string) ([]netip.Addr, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	d.mu.Lock()
	defer d.mu.Unlock()
	if list, ok := d.names[name]; ok {
		return list, true
	}
	_, zone, _ := strings.Cut(name, ".")
	list, ok := d.names["*."+zone]
	return list, ok
}

func (d *fakeDNS) serve() {
	defer close(d.done)
	buf := make([]byte, 1500)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, ok := d.answer(buf[:n]); ok {
			_, _ = d.conn.WriteTo(answer, from)
		}
	}
}

func (d *fakeDNS) answer(question []byte) ([]byte, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil {
		return nil, false
	}
	q, err := p.Question()
	if err != nil {
		return nil, false
	}
	d.mu.Lock()
	service, ok := d.services[strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))]
	d.mu.Unlock()
	if q.Type == dnsmessage.TypeHTTPS && ok && service == nil {
		return nil, false
	}
	addrs, ok := d.lookup(q.Name.String())
	head := dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true}
	if !ok && service == nil {
		head.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, head)
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 0} // answers change between two lines of a script
	if q.Type == dnsmessage.TypeHTTPS {
		if service != nil {
			_ = b.HTTPSResource(rh, *service)
		} else {
			_ = b.StartAuthorities()
			_ = b.SOAResource(rh, dnsmessage.SOAResource{NS: q.Name, MBox: q.Name})
		}
	}
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			_ = b.AResource(rh, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			_ = b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	out, err := b.Finish()
	return out, err == nil
}
