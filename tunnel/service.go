// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// A Service is what the HTTPS record of a host and port says (RFC 9460) to
// somebody who connects to that very host and port. The zero Service is that of
// a host without such a record. The DNS is not to be believed more than it is
// for addresses: whoever can change its answers can change these.
type Service struct {
	// ALPN are the protocols that the record names, as "h2" and "h3", in its order.
	// HTTP/1.1 need not be among them (RFC 9460 §7.1). At most 4 KiB, with all else.
	ALPN []string

	// ECH is an ECHConfigList by which crypto/tls can encrypt a ClientHello (RFC
	// 9849 §4, RFC 9848); nil: the record has none. It is not to be changed.
	ECH []byte

	// BadECH says why what the record has for that cannot be used; ECH is nil then.
	BadECH error
}

// An Inquiry is the question for the HTTPS record of a host and port, and its
// answer when that has come. Any number of goroutines may wait for it. A nil
// Inquiry is for hosts that are addresses, which have no such record.
type Inquiry struct {
	of       *answer // the addresses' lookup: its name server is asked
	asked    time.Time
	patience time.Duration

	ready   chan struct{} // closed when the rest is set
	service Service
	err     error
	until   time.Time // it is remembered
	again   time.Time // it is asked anew before that, by who cannot do without

	// What was answered the last time stands in where nothing is answered: keys do
	// not show a name because somebody keeps their record back (RFC 8767).
	old      Service
	oldUntil time.Time
}

const (
	// serviceDelay is how long the addresses of an origin, once they are known,
	// wait for its HTTPS record, as those of one family wait for the other's (RFC
	// 8305 §3). Where the addresses took longer their record may, too. The connect
	// goes on meanwhile. Nobody waits later for the same question, so that a name
	// server that never answers it holds up one moment of each name.
	serviceDelay    = 50 * time.Millisecond
	maxServiceDelay = 250 * time.Millisecond

	// maxSilence is how long it is believed that there is no answer to be had
	// (RFC 9520 §3.2: at most five minutes), and unheardTTL at least.
	maxSilence = 5 * time.Minute

	// maxStale is how long an answer stands in behind its time (RFC 8767 §5: one to
	// three days).
	maxStale = 24 * time.Hour
)

// Service returns what the HTTPS record of host and port says. Without port 443
// it is that of _PORT._https.host (RFC 9460 §9.1). It waits for an answer no
// longer than a dial may: see Inquiry.Service, whose errors it has.
func (n *Names) Service(ctx context.Context, host string, port uint16) (Service, error) {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "." {
		return Service{}, nil
	}
	return n.inquire(host, port, false).Service(ctx, false)
}

// Inquire has the HTTPS record of host and port looked for, and the addresses with it, for
// a dial that is to follow. It does not wait. patient is as in DialService. The Inquiry is
// nil when host is an address.
func (d *Dialer) Inquire(host string, port uint16, patient bool) *Inquiry {
	if _, err := netip.ParseAddr(host); err == nil || host == "" || host == "." || d.Permit == nil {
		return nil
	}
	names := d.Names
	if names == nil {
		names = &Names{Resolver: d.Resolver}
	}
	return names.inquire(host, port, patient)
}

// Service returns the answer. Unless patient it comes in a moment, as
// Names.Patience has it; what comes later serves those who ask then.
// An error means that it is not known whether there is a record.
func (q *Inquiry) Service(ctx context.Context, patient bool) (Service, error) {
	if q == nil {
		return Service{}, nil
	}
	select {
	case <-q.ready:
		return q.answer()
	default:
	}
	var late <-chan time.Time
	if !patient {
		select {
		case <-q.of.ready:
		case <-q.ready:
			return q.answer()
		case <-ctx.Done():
			return Service{}, ctx.Err()
		}
		since := q.of.at
		if since.Before(q.asked) {
			since = q.asked
		}
		left := time.Until(since.Add(max(q.patience, min(q.of.at.Sub(q.of.asked), maxServiceDelay))))
		if left <= 0 {
			return q.unanswered(errLate)
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-q.ready:
		return q.answer()
	case <-late:
		return q.unanswered(errLate)
	case <-ctx.Done():
		return Service{}, ctx.Err()
	}
}

// answer is that of a complete q.
func (q *Inquiry) answer() (Service, error) {
	if q.err != nil {
		return q.unanswered(q.err)
	}
	return q.service, nil
}

// unanswered is what is to be made of having no answer.
func (q *Inquiry) unanswered(err error) (Service, error) {
	if q.old.ECH == nil || !time.Now().Before(q.oldUntil) {
		return Service{}, err
	}
	return q.old, nil
}

// after has what was answered to old, which is complete, stand in for q's.
func (q *Inquiry) after(old *Inquiry) {
	if q.old, q.oldUntil = old.old, old.oldUntil; old.err == nil {
		q.old, q.oldUntil = old.service, old.until.Add(maxStale)
	}
}

var errLate = errors.New("the answer about its HTTPS record has not come yet")

// An inquired is whose HTTPS record is remembered.
type inquired struct {
	host string // in lower case
	port uint16
}

// inquire returns the question that is remembered or asks it, and with it for
// the addresses unless they are known.
func (n *Names) inquire(host string, port uint16, patient bool) *Inquiry {
	host = strings.ToLower(host)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.inquireOf(n.addresses(host), host, port, patient)
}

// inquireOf is inquire where the addresses' lookup is known. n.mu is held.
func (n *Names) inquireOf(of *answer, host string, port uint16, patient bool) *Inquiry {
	key := inquired{strings.TrimSuffix(host, "."), port}
	now := time.Now()
	q := n.services[key]
	if old := q; q == nil || q.expired(now) || patient && q.worthAsking(now) {
		q = &Inquiry{of: of, asked: now, patience: n.Patience, ready: make(chan struct{})}
		if q.patience <= 0 {
			q.patience = serviceDelay
		}
		if old != nil {
			q.after(old)
		}
		n.services = remember(n.services, key, q)
		go n.ask(q, key)
	}
	return q
}

// expired reports whether q is complete and has outlived its time.
func (q *Inquiry) expired(now time.Time) bool { return q.past(now, &q.until) }

// worthAsking reports whether q has no answer and a new one may.
func (q *Inquiry) worthAsking(now time.Time) bool { return q.past(now, &q.again) }

func (q *Inquiry) past(now time.Time, end *time.Time) bool {
	select {
	case <-q.ready:
		return !now.Before(*end)
	default:
		return false
	}
}

// ask finds the answer. Like fill it is nobody's in particular.
func (n *Names) ask(q *Inquiry, key inquired) {
	defer close(q.ready)
	select {
	case <-q.of.heard.dialled:
	case <-q.of.ready:
	}
	heard := newLifetime()
	q.service, q.err = n.converse(q.of, heard, key)
	now := time.Now()
	if q.err == nil {
		var none error
		if heard.denied || !heard.heard {
			none = &net.DNSError{IsNotFound: true}
		}
		q.until = now.Add(heard.of(none))
		q.again = q.until
		return
	}
	<-q.of.ready
	q.again = now.Add(unheardTTL)
	q.until = now.Add(min(max(q.of.until.Sub(q.of.at), unheardTTL), maxSilence))
}
