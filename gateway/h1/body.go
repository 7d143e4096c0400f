// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

// A Body tells the bytes of one message's body from what surrounds them. The
// zero Body is that of a message without one.
type Body struct {
	Chunked
	kind bodyKind
	left int64
}

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunks
	bodyToEnd
)

// NewBody returns the body of a message with that framing: see message.
func NewBody(length int64, chunked bool) (b Body) {
	switch {
	case chunked:
		b.kind = bodyChunks
	case length > 0:
		b.kind, b.left = bodyLength, length
	case length < 0:
		b.kind = bodyToEnd
	}
	return b
}

// Next goes on with in, which follows what was used up before. It returns the
// first run of the body's bytes in it, and how many bytes of in were used up.
// done means that the body has ended there; one that lasts to the end of the
// connection never does.
func (b *Body) Next(in []byte) (data []byte, n int, done bool, err error) {
	switch b.kind {
	case bodyLength:
		n = int(min(int64(len(in)), b.left))
		if b.left -= int64(n); b.left == 0 {
			b.kind = bodyNone
		}
		return in[:n], n, b.kind == bodyNone, nil
	case bodyChunks:
		data, n, done, err = b.Chunked.Next(in)
		if done {
			b.kind = bodyNone
		}
		return data, n, done, err
	case bodyToEnd:
		return in, len(in), false, nil
	}
	return nil, 0, true, nil
}

// Done reports whether the body has ended.
func (b *Body) Done() bool { return b.kind == bodyNone }

// ToEnd reports whether the end of the connection is that of the body.
func (b *Body) ToEnd() bool { return b.kind == bodyToEnd }
