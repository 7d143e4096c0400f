// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// zone is below which all names of the demonstration are. RFC 6761 §6.2: nobody
// else's are.
const zone = "demo.test"

// A nameServer says 127.0.0.1 for every name below the zone, and knows no other.
type nameServer struct {
	conn net.PacketConn
	done chan struct{}
}

func startNames() (*nameServer, error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for questions about names: %w; the comparison needs the address 127.0.0.1", err)
	}
	s := &nameServer{conn: conn, done: make(chan struct{})}
	go s.serve()
	return s, nil
}

func (s *nameServer) addr() string { return s.conn.LocalAddr().String() }

func (s *nameServer) close() {
	s.conn.Close()
	<-s.done
}

func (s *nameServer) serve() {
	defer close(s.done)
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, ok := answerName(buf[:n]); ok {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

func answerName(question []byte) ([]byte, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil {
		return nil, false
	}
	q, err := p.Question()
	if err != nil {
		return nil, false
	}
	ours := strings.HasSuffix(strings.ToLower(q.Name.String()), "."+zone+".")
	head := dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true}
	if !ours {
		head.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, head)
	_ = b.StartQuestions()
	_ = b.Question(q)
	_ = b.StartAnswers()
	if ours && q.Type == dnsmessage.TypeA {
		_ = b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60},
			dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}})
	}
	out, err := b.Finish()
	return out, err == nil
}
