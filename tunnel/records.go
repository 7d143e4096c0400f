// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import "bytes"

// Bounds of what is read before a tunnel is decided.
const (
	maxRecord    = 1 << 14   // RFC 8446 §5.1; no larger plaintext record exists
	maxHandshake = 64 << 10  // what crypto/tls accepts as well
	maxStream    = 128 << 10 // records included: one-byte records are legal and six times their content
)

const (
	typeHandshake   = 22 // RFC 8446 §5.1
	typeClientHello = 1  // RFC 8446 §4
	headLen         = 5  // of a record
	msgHeadLen      = 4  // of a handshake message
)

// An assembler puts the first handshake message of a record stream together
// again. It is fed a stream piece by piece and looks at each byte once:
// parsing from the start at every segment would let a client that sends its
// hello byte by byte buy quadratic work.
type assembler struct {
	head [headLen]byte // of the record being read
	have int           // bytes of head
	left int           // payload of the record still to come
	seen int           // bytes fed

	msg   []byte // the message so far, header included
	alias bool   // msg is part of what is being fed
}

// feed takes the next bytes of the stream. Once it has returned true, a.msg
// is the whole first message; it must be used before b is overwritten.
func (a *assembler) feed(b []byte) (complete bool, err error) {
	// Not a byte past the bound is looked at, however the stream was cut.
	tooLong := len(b) > maxStream-a.seen
	b = b[:min(len(b), maxStream-a.seen)]
	a.seen += len(b)
	for len(b) > 0 {
		if a.left == 0 {
			n := copy(a.head[a.have:], b)
			a.have += n
			b = b[n:]
			if err := a.checkHead(); err != nil {
				return false, err
			}
			if a.have < headLen {
				break
			}
			a.have, a.left = 0, int(a.head[3])<<8|int(a.head[4])
			continue
		}
		n := min(a.left, len(b))
		if a.msg == nil {
			a.msg, a.alias = b[:n:n], true // not a copy: nearly every hello arrives in one piece
		} else {
			a.msg, a.alias = append(a.msg, b[:n]...), false // to beyond its capacity if it was one
		}
		a.left -= n
		b = b[n:]
		if complete, err = a.checkMessage(); complete || err != nil {
			return complete, err
		}
	}
	if tooLong {
		return false, refuseHello("not complete after %d bytes", maxStream)
	}
	if a.alias {
		a.msg, a.alias = bytes.Clone(a.msg), false
	}
	return false, nil
}

// checkHead judges the part of a record header that is there.
func (a *assembler) checkHead() error {
	first := a.msg == nil
	if a.have > 0 && a.head[0] != typeHandshake {
		if first {
			return ErrNotTLS
		}
		// RFC 8446 §5.1: no other record between those of one message.
		return refuseHello("a record of type %d interrupts it", a.head[0])
	}
	if a.have > 1 && a.head[1] != 3 {
		if first {
			return ErrNotTLS
		}
		return refuseHello("a record has the major version %d", a.head[1])
	}
	if a.have < headLen {
		return nil
	}
	switch n := int(a.head[3])<<8 | int(a.head[4]); {
	case n == 0: // RFC 8446 §5.1 forbids it, and it would cost nothing to send for ever
		return refuseHello("a record is empty")
	case n > maxRecord:
		return refuseHello("a record has %d bytes", n)
	}
	return nil
}

// checkMessage cuts a.msg to the first message once that is all there. What
// follows in the same record is the origin's affair.
func (a *assembler) checkMessage() (complete bool, err error) {
	if a.msg[0] != typeClientHello {
		return false, refuseHello("the first message has the type %d", a.msg[0])
	}
	if len(a.msg) < msgHeadLen {
		return false, nil
	}
	n := msgHeadLen + int(a.msg[1])<<16 + int(a.msg[2])<<8 + int(a.msg[3])
	if n > maxHandshake {
		return false, refuseHello("it has %d bytes", n)
	}
	if len(a.msg) < n {
		return false, nil
	}
	a.msg = a.msg[:n]
	return true, nil
}
