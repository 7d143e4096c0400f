// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Go's resolver knows no HTTPS records. They are asked for where the addresses
// of the same host come from: its name server, in whichever way that is reached.
// A host that /etc/hosts has, or that was never asked for, has none therefore.

const (
	inquiryTries = 2 // UDP loses messages
	inquiryTime  = 2 * time.Second

	// inquirySize of a UDP answer is what passes every network (RFC 9715 §3.2);
	// a larger one is asked for by TCP.
	inquirySize = 1232
)

// converse asks the name server of the lookup of. The second time it is the one
// that has answered about the addresses meanwhile, should the first be down.
func (n *Names) converse(of *answer, heard *lifetime, key inquired) (s Service, err error) {
	name := key.host + "."
	if key.port != 443 {
		name = "_" + strconv.Itoa(int(key.port)) + "._https." + name
	}
	question := dnsmessage.Question{Type: dnsmessage.TypeHTTPS, Class: dnsmessage.ClassINET}
	if question.Name, err = dnsmessage.NewName(name); err != nil {
		return Service{}, nil // too long to be in the DNS
	}
	for range inquiryTries {
		to := of.heard.server()
		if to.addr == "" {
			return Service{}, nil // it is not the DNS that knows the host
		}
		var msg []byte
		if msg, err = n.exchange(to, heard, question); err == nil {
			return parseService(msg, key)
		}
	}
	return Service{}, fmt.Errorf("asking for the HTTPS record of %s: %w", key.host, err)
}

// exchange has one question answered, by TCP where UDP has no room for that.
func (n *Names) exchange(to server, heard *lifetime, q dnsmessage.Question) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inquiryTime)
	defer cancel()
	msg, err := n.exchangeBy(ctx, to, heard, q)
	if errors.Is(err, errTruncated) {
		to.network = "tcp"
		msg, err = n.exchangeBy(ctx, to, heard, q)
	}
	return msg, err
}

var errTruncated = errors.New("the answer was cut short")

func (n *Names) exchangeBy(ctx context.Context, to server, heard *lifetime, q dnsmessage.Question) ([]byte, error) {
	c, err := dialServer(n.Resolver)(ctx, to.network, to.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	by, _ := ctx.Deadline()
	if err := c.SetDeadline(by); err != nil {
		return nil, err
	}
	query, id, err := newQuery(q)
	if err != nil {
		return nil, err
	}
	_, packets := c.(net.PacketConn) // as Go's resolver tells them apart
	if !packets {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	for buf := make([]byte, inquirySize); ; {
		msg := buf
		if packets {
			m, err := c.Read(buf)
			if err != nil {
				return nil, err
			}
			msg = buf[:m]
		} else if msg, err = readMessage(c); err != nil {
			return nil, err
		}
		h, ok := answers(msg, id, q)
		switch {
		case !ok && packets:
			continue // somebody else's: the true one may still come
		case !ok:
			return nil, errors.New("the name server answered another question")
		case h.Truncated && packets:
			return nil, errTruncated
		case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
			return nil, fmt.Errorf("the name server answered %s", h.RCode)
		}
		heard.note(msg)
		return msg, nil
	}
}

// newQuery is a message that asks q, and its ID, which is not to be guessed (RFC
// 5452 §4.3): to whoever sees it not go by, it and the port are the only proof
// that an answer is one.
func newQuery(q dnsmessage.Question) (msg []byte, id uint16, err error) {
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	id = binary.BigEndian.Uint16(random[:])
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	err = errors.Join(
		opt.SetEDNS0(inquirySize, dnsmessage.RCodeSuccess, false),
		b.StartQuestions(), b.Question(q),
		b.StartAdditionals(), b.OPTResource(opt, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, 0, err
	}
	msg, err = b.Finish()
	return msg, id, err
}

// answers reports whether msg answers the question q of that ID.
func answers(msg []byte, id uint16, q dnsmessage.Question) (dnsmessage.Header, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || h.ID != id || !h.Response || h.OpCode != 0 {
		return h, false
	}
	got, err := p.Question()
	return h, err == nil && got.Type == q.Type && got.Class == q.Class && strings.EqualFold(got.Name.String(), q.Name.String())
}

// readMessage reads one message from TCP (RFC 1035 §4.2.2).
func readMessage(c net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, msg)
	return msg, err
}
