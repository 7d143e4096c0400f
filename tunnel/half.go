// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Sizes of borrowed memory. Bulk wants the large one; nearly everything that
// is no bulk fits the small one.
const (
	largeSize = 64 << 10
	smallSize = 4 << 10
)

var (
	large = sync.Pool{New: func() any { return new([largeSize]byte) }}
	small = sync.Pool{New: func() any { return new([smallSize]byte) }}
)

// A half is one direction of a passage.
type half struct {
	p        *passage
	other    *half
	src, dst net.Conn
	from, to Reason // the words for src and dst
	n        int64  // bytes written to dst

	fast fastLane // what the platform knows better than Read and Write
	big  *[largeSize]byte
	few  *[smallSize]byte
	full bool // the last read filled what it was given

	writing sync.Mutex  // held while writing to dst and judging the outcome
	shut    atomic.Bool // dst has been sent, or is being sent, our end

	over, discarding bool // guarded by p.mu
}

// run moves bytes until src ends, and passes the end on.
func (h *half) run() {
	defer h.release()
	for {
		b, err := h.next()
		if err == nil {
			err = h.write(b)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			h.finish()
		} else {
			h.discard()
		}
		return
	}
}

// next waits for bytes of src and returns them; they are good until the next
// call. An error other than io.EOF has already ended the passage.
func (h *half) next() ([]byte, error) {
	b, err := h.read()
	switch {
	case len(b) > 0: // an error that came with bytes comes again without
		h.p.touch()
		return b, nil
	case err == nil || errors.Is(err, io.EOF):
		return nil, err
	}
	return nil, h.unreadable(err)
}

func (h *half) unreadable(err error) error {
	err = fmt.Errorf("tunnel: reading from the %s: %w", h.from, err)
	h.p.fail(h.from, err)
	return err
}

// read waits for bytes of src without judging what comes.
func (h *half) read() ([]byte, error) {
	if h.fast.canRead() {
		return h.readFast()
	}
	// A connection that cannot be asked without reading. Wait with the small
	// buffer, and take the large one while reads fill it.
	if h.full {
		if h.big == nil {
			h.big = large.Get().(*[largeSize]byte)
		}
		n, err := h.src.Read(h.big[:])
		h.full = n > smallSize
		return h.big[:n], err
	}
	h.dropLarge()
	if h.few == nil {
		h.few = small.Get().(*[smallSize]byte)
	}
	n, err := h.src.Read(h.few[:])
	h.full = n == smallSize
	return h.few[:n], err
}

func (h *half) dropLarge() {
	if h.big != nil {
		large.Put(h.big)
		h.big = nil
	}
}

// release gives back whatever is borrowed.
func (h *half) release() {
	h.dropLarge()
	if h.few != nil {
		small.Put(h.few)
		h.few = nil
	}
}

// write passes b on, at its pace. An error has already ended the passage, or
// asks for discard.
func (h *half) write(b []byte) error {
	for pace := h.p.t.Pace; pace != nil && len(b) > 0; {
		n, wait := pace(len(b))
		if err := h.await(wait); err != nil {
			return err
		}
		if err := h.pass(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return h.pass(b)
}

// await waits for d. Nobody reads src meanwhile, so it is looked at now and then.
func (h *half) await(d time.Duration) error {
	const beat = time.Second
	for ; d > 0; d -= beat {
		if err := h.p.sleep(min(d, beat)); err != nil {
			return err
		}
		if d > beat && !h.other.shut.Load() && h.dead() {
			return h.unreadable(syscall.ECONNRESET)
		}
	}
	return nil
}

func (h *half) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	allowed := h.p.take(len(b))
	h.writing.Lock()
	defer h.writing.Unlock()
	var n int
	var err error
	if h.fast.canWrite() {
		n, err = h.writeFast(b[:allowed])
	} else {
		n, err = h.writePlain(b[:allowed])
	}
	return h.wrote(n, err, allowed < len(b))
}

// writePlain writes at most one TLS record's worth at a time: a slow receiver
// is not idle, and only the end of a Write shows that it took something.
func (h *half) writePlain(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = h.dst.Write(b[n:min(n+maxRecord, len(b))])
		n += m
		h.p.touch()
	}
	return n, err
}

// wrote accounts for n bytes and judges what a write returned. h.writing is
// held: who sees the connection dead (see reallyEnded) must be able to wait
// for the verdict.
func (h *half) wrote(n int, err error, exceeded bool) error {
	h.n += int64(n)
	if err == nil {
		if exceeded {
			err = ErrMaxBytes
			h.p.fail(ReasonMaxBytes, err)
		}
		return err
	}
	err = fmt.Errorf("tunnel: writing to the %s: %w", h.to, err)
	if errors.Is(err, syscall.EPIPE) {
		// EPIPE and not ECONNRESET: dst sent its FIN first, and a reset only
		// because we went on sending, like a server that answers a large upload
		// with 413 and closes. What it said before that is whole and may still
		// be on its way the other way; let that end in peace.
		h.p.note(h.to, err)
	} else {
		h.p.fail(h.to, err)
	}
	return err
}

// finish passes the end of src on to dst.
func (h *half) finish() {
	if !h.reallyEnded() {
		return
	}
	h.shut.Store(true)
	err := errors.ErrUnsupported
	if cw, ok := h.dst.(interface{ CloseWrite() error }); ok {
		err = cw.CloseWrite()
	}
	switch {
	case err == nil, errors.Is(err, syscall.ENOTCONN): // dst was reset meanwhile, which the other direction reads
		h.p.halfOver(h, false)
	case errors.Is(err, errors.ErrUnsupported):
		// A transport that cannot end one way means by its end that all is over.
		h.p.stop(ReasonEnd, nil, false)
	default:
		h.p.fail(h.to, fmt.Errorf("tunnel: ending towards the %s: %w", h.to, err))
	}
}

// discard reads and drops what src still sends: closing src with bytes unread
// would reset it while the other direction's last words are on their way.
func (h *half) discard() {
	h.p.halfOver(h, true)
	for {
		if b, err := h.read(); len(b) == 0 && err != nil {
			break
		}
	}
	h.p.halfOver(h, false)
}
