// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// Secrets is where small secrets are kept, sealed or in memory. Get returns an
// error that is fs.ErrNotExist when there is nothing under that name, and
// deleting what is not there is no error. Names are short printable text. It is
// used by several goroutines at once.
type Secrets interface {
	Get(ctx context.Context, name string) ([]byte, error)
	Put(ctx context.Context, name string, secret []byte) error
	Delete(ctx context.Context, name string) error
}

// An order is one attempt to obtain a certificate: what autocert may see of
// the store (autocert.Cache) and of the network (http.RoundTripper) meanwhile.
type order struct {
	ctx  context.Context // of the attempt; autocert's own is longer
	acme *ACME
	host string

	mu     sync.Mutex
	closed bool
	said   string // the authority's last word on what is wrong
	put    error  // why the certificate could not be stored
}

func (o *order) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
}

// Get gives autocert its account key, and no certificate: it is to order one.
func (o *order) Get(ctx context.Context, name string) ([]byte, error) {
	o.mu.Lock()
	closed := o.closed
	o.mu.Unlock()
	if closed {
		// autocert's timer for renewal, the only one who asks after the order. It
		// would go on for ever, and nothing tells it to end but this.
		runtime.Goexit()
	}
	if !isAccount(name) {
		return nil, autocert.ErrCacheMiss
	}
	text, err := o.acme.Secrets.Get(ctx, o.acme.secret(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, autocert.ErrCacheMiss
	}
	return text, err
}

// Put stores the account key and the certificate with its key. Answers to
// challenges are held in memory by autocert, which is where they are asked for.
func (o *order) Put(ctx context.Context, name string, secret []byte) error {
	if !isAccount(name) && name != o.host {
		return nil
	}
	err := o.acme.Secrets.Put(ctx, o.acme.secret(name), secret)
	if err != nil && name == o.host { // autocert does not look at it
		o.mu.Lock()
		o.put = err
		o.mu.Unlock()
	}
	return err
}

// Delete is asked for answers to challenges only, which are not stored.
func (o *order) Delete(context.Context, string) error { return nil }

func isAccount(name string) bool { return strings.HasPrefix(name, "acme_account") }

func (o *order) unstored() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.put == nil {
		return nil
	}
	return fmt.Errorf("the new certificate is in use and could not be stored, so that a restart obtains another: %w", o.put)
}

// allow is the host policy: a client's SNI orders nothing.
func (o *order) allow(_ context.Context, name string) error {
	if h, _, err := net.SplitHostPort(name); err == nil { // http-01 on another port than 80
		name = h
	}
	if !strings.EqualFold(strings.TrimSuffix(name, "."), o.host) {
		return fmt.Errorf("no certificate is obtained for %s", printable(name))
	}
	return nil
}

const (
	maxAnswer = 1 << 20          // a chain of certificates is some kilobytes
	maxPause  = 10 * time.Second // between two questions after an order, whatever Retry-After says
)

// RoundTrip sends r as a part of this order: until its end, with a bounded
// answer, from which is learned what autocert keeps to itself.
func (o *order) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := o.ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // the body is read below
	defer context.AfterFunc(o.ctx, cancel)()
	res, err := o.acme.Transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("the authority's answer to %s has more than %d bytes", r.URL.Path, maxAnswer)
	}
	res.Body = io.NopCloser(bytes.NewReader(text))
	if res.StatusCode < 300 {
		if d, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); err != nil || d > maxPause {
			res.Header.Del("Retry-After") // a second, then
		}
	}
	o.listen(text)
	return res, nil
}

// listen notes why a challenge or an order failed. autocert tries the next
// challenge and says in the end that there are no more.
func (o *order) listen(text []byte) {
	type problem struct{ Type, Detail string }
	var said struct {
		Error      *problem
		Challenges []struct {
			Type  string
			Error *problem
		}
	}
	if len(text) == 0 || text[0] != '{' || json.Unmarshal(text, &said) != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range said.Challenges {
		if c.Error != nil {
			o.said = fmt.Sprintf("its challenge %s: %s", printable(c.Type), quote(c.Error.Detail))
		}
	}
	if said.Error != nil && said.Challenges == nil {
		o.said = quote(said.Error.Detail)
	}
}

// mostNonces are refused in a row before that is a refusal.
const mostNonces = 20

// backoff is acme.Client.RetryBackoff, which by itself repeats requests that
// fail on the authority's side for ever. A rate limit is for retryIn. Of what it calls
// bad requests only those come here whose nonce it does not take: with another they are
// sent again at once (RFC 8555 §6.5).
func (o *order) backoff(n int, _ *http.Request, res *http.Response) time.Duration {
	most, wait := 3, time.Duration(n)*time.Second/2
	if res.StatusCode == http.StatusBadRequest {
		most, wait = mostNonces, time.Millisecond
	}
	if n > most || res.StatusCode == http.StatusTooManyRequests || o.ctx.Err() != nil {
		return -1
	}
	return wait
}

// explain says what was attempted, why it failed and what can be done.
func (o *order) explain(err error) error {
	o.mu.Lock()
	said := o.said
	o.mu.Unlock()
	var refused *acme.Error
	var unknown x509.UnknownAuthorityError
	var op *net.OpError
	next := ""
	switch {
	case errors.As(err, &refused) && strings.HasSuffix(refused.ProblemType, ":externalAccountRequired"):
		next = "it wants an external account binding: give --acme-eab-kid and --acme-eab-key-file, as the authority has handed them out"
	case errors.As(err, &refused) && strings.HasSuffix(refused.ProblemType, ":rateLimited"):
		next = "it limits how much it issues; what is wrong beside that has to be put right first"
	case said != "":
		return fmt.Errorf("%s does not issue for %s: %w (%s): the name has to lead to this listener, on port 443 for tls-alpn-01 or port 80 for http-01",
			o.acme.Directory, o.host, err, said)
	case errors.As(err, &refused) && refused.StatusCode < 500:
		next = "its answer says what it wants to be different"
	case errors.As(err, &unknown):
		next = "its own certificate is not trusted: name its root with --acme-root"
	case errors.Is(err, context.DeadlineExceeded):
		next = "it took too long; can it be reached from here?"
	case errors.As(err, &op):
		next = "it cannot be reached; check --acme-directory and the way there"
	default:
		next = "check --acme-directory, and the authority's own log"
	}
	return fmt.Errorf("%s does not issue for %s: %w: %s", o.acme.Directory, o.host, err, next)
}
