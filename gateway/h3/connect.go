// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// ALPN is what TLS calls HTTP/3 (RFC 9114 §3.1).
const ALPN = "h3"

// What an origin may have on its way that nobody has taken yet: of one stream, and
// of a connection. There is room for as many streams as are had at once, and some, so
// that those whose clients take nothing leave room for the others; and however much an
// origin says, no connection makes the gateway hold more than that.
const (
	firstStreamWindow = 256 << 10
	maxStreamWindow   = 1 << 20
	maxStreams        = 64
	connWindow        = maxStreams*maxStreamWindow + 8<<20
)

// Times of a connection.
const (
	aliveTime = 5 * time.Second  // between signs of life, also of one that is waited on
	deadTime  = 15 * time.Second // behind the last one asked for the connection is over (RFC 9000 §10.1)
)

var transport = quic.Config{
	Versions:             []quic.Version{quic.Version1},
	HandshakeIdleTimeout: time.Minute, // the context's end comes before
	MaxIdleTimeout:       deadTime,
	KeepAlivePeriod:      aliveTime,

	InitialStreamReceiveWindow: firstStreamWindow,
	MaxStreamReceiveWindow:     maxStreamWindow,
	// From the beginning: it would grow only as its bytes are taken, and until then a
	// few slow clients would fill it.
	InitialConnectionReceiveWindow: connWindow,
	MaxConnectionReceiveWindow:     connWindow,

	MaxIncomingStreams:    -1, // no request comes from an origin
	MaxIncomingUniStreams: 16, // three have a meaning (RFC 9114 §6.2), others are to be borne
}

// maxHead bounds the fields of an answer, in bytes.
const maxHead = 256 << 10

// A Conn is a verified connection to an origin.
type Conn struct {
	TLS       tls.ConnectionState // as the handshake left it
	Addr      net.Addr            // of the origin
	Handshake time.Duration       // what it took

	// With is for whoever made the connection.
	With any

	quic *quic.Conn
	http *http3.ClientConn

	// Of the pool, whose lock guards them.
	addr  string
	uses  int         // requests on it
	most  int         // that there may be at once; 0: it is left to its end
	asked int         // requests ever
	idle  *time.Timer // while nobody uses it; nil: somebody does
}

// Connect completes a handshake over c, which is connected to the origin, and has
// cfg verify it; cfg is the Conn's own from then on, and offers HTTP/3 alone. 0-RTT
// is not used: what is sent in it can be replayed (RFC 8446 §8). c is closed with the
// Conn, or stays with the caller when there is an error.
func Connect(ctx context.Context, c *net.UDPConn, cfg *tls.Config) (*Conn, error) {
	cfg.NextProtos = []string{ALPN}
	cfg.MinVersion = tls.VersionTLS13 // RFC 9001 §4.2
	start := time.Now()
	s := newSocket(c)
	q, err := quic.Dial(ctx, s, c.RemoteAddr(), cfg, transport.Clone())
	if err != nil {
		return nil, handshakeError(err)
	}
	s.confirmed.Store(true)
	context.AfterFunc(q.Context(), func() { c.Close() })
	t := http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: maxHead}
	return &Conn{
		TLS: q.ConnectionState().TLS, Addr: c.RemoteAddr(), Handshake: time.Since(start),
		quic: q, http: t.NewClientConn(q), most: maxStreams,
	}, nil
}

// Close ends the connection, and what is asked on it.
func (c *Conn) Close() error {
	return c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// alive reports whether the connection has not ended.
func (c *Conn) alive() bool { return c.quic.Context().Err() == nil }

// received is how many packets have come.
func (c *Conn) received() uint64 { return c.quic.ConnectionStats().PacketsReceived }

// handshakeError is err as crypto/tls would say it, where it speaks of TLS.
func handshakeError(err error) error {
	var t *quic.TransportError
	if !errors.As(err, &t) || !t.ErrorCode.IsCryptoError() {
		return err
	}
	if t.Remote {
		return &TLSError{&net.OpError{Op: "remote error", Err: tls.AlertError(t.ErrorCode - 0x100)}}
	}
	return &TLSError{err}
}

// A TLSError is a handshake that TLS failed in: the origin is there, and something
// about it, or about the gateway to it, is wrong.
type TLSError struct{ Err error }

func (e *TLSError) Error() string { return e.Err.Error() }
func (e *TLSError) Unwrap() error { return e.Err }
