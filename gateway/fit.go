// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"sync/atomic"

	"sallyport/gateway/h1"
	"sallyport/gateway/reconcile"
)

// fitBody has the links in a's body made to fit the client, where the rule wants that,
// and is the fields for it.
func (p *passage) fitBody(a *answer, f h1.Fields) h1.Fields {
	if !p.fit.Rewrite.Bodies || a.none && p.method != http.MethodHead && a.status != http.StatusNotModified {
		return f // an answer that has none says so
	}
	if !a.none {
		p.fit.Room = p.s.windows.take
	}
	f, fitting := p.fit.FitBody(f, a.status)
	p.rec.Reconciled = p.fit.Changed
	if !fitting.Links {
		return f
	}
	p.fitted = true
	a.length = -1
	if a.none { // to HEAD
		return f
	}
	b := &fittedBody{answerBody: a.body, text: fitting.Text(p)}
	if fitting.Coding != reconcile.Identity {
		b.packed = reconcile.NewUnpacker(fitting.Coding, &pulled{body: a.body})
		b.windows, b.window = &p.s.windows, fitting.Coding.Window()
	}
	a.body = b
	return f
}

// windows are what unpacked bodies hold of what went by, together. A few packed bytes are
// enough for one of 16 MiB, and who has many connections could have that of each; what comes on
// top of mostWindows stays packed, as the client can read it, too.
type windows struct{ held atomic.Int64 }

const mostWindows = 1 << 30

// take reports whether there was room for n bytes more, which are taken then.
func (w *windows) take(n int64) bool {
	if w.held.Add(n) > mostWindows {
		w.held.Add(-n)
		return false
	}
	return true
}

// A fittedBody is an answer's body with its links made to fit the client. It holds
// what cannot be decided yet, and a buffer.
type fittedBody struct {
	answerBody
	text    reconcile.Text
	packed  *reconcile.Unpacker // of what the origin sends; nil: it is not packed
	windows *windows            // that it has window bytes of
	window  int64
	buf     []byte
	have    []byte // unpacked, and not looked at yet
	err     error  // behind it
	out     []byte
	ended   bool
}

// next implements answerBody.
func (b *fittedBody) next() ([]byte, error) {
	for !b.ended {
		data, err := b.unpacked()
		if err == io.EOF {
			b.ended = true
			if b.out = b.text.End(b.out[:0]); len(b.out) > 0 {
				return b.out, nil
			}
			break
		}
		if err != nil || len(data) == 0 {
			return nil, err
		}
		if b.out = b.text.Write(b.out[:0], data); len(b.out) > 0 {
			return b.out, nil
		}
	}
	return nil, io.EOF
}

// unpacked is next of what the origin means.
func (b *fittedBody) unpacked() ([]byte, error) {
	if b.packed == nil {
		return b.answerBody.next()
	}
	data := b.have
	if b.have = nil; len(data) > 0 {
		return data, nil
	}
	return nil, b.err
}

// wait implements answerBody.
func (b *fittedBody) wait() error {
	if b.packed == nil {
		return b.answerBody.wait()
	}
	if b.buf == nil {
		b.buf = make([]byte, 16<<10)
	}
	n, err := b.packed.Read(b.buf)
	b.have, b.err = b.buf[:n], err
	b.hold(b.packed.Window())
	return nil
}

// hold gives room back that is not needed for a window of n bytes.
func (b *fittedBody) hold(n int64) {
	if n < b.window {
		b.windows.held.Add(n - b.window)
		b.window = n
	}
}

// close implements answerBody.
func (b *fittedBody) close() {
	if b.packed != nil {
		b.packed.Close()
		b.hold(0)
	}
	b.answerBody.close()
}

// pulled is a body for whoever wants to wait for its bytes.
type pulled struct {
	body answerBody
	rest []byte
}

func (r *pulled) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		var err error
		if r.rest, err = r.body.next(); err != nil {
			return 0, err
		}
		if len(r.rest) > 0 {
			break
		}
		if err := r.body.wait(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
