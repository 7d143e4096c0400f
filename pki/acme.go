// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/smallstep/certificates/acme"
	acmeapi "github.com/smallstep/certificates/acme/api"
	apilog "github.com/smallstep/certificates/api/log"
	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/provisioner"
)

const acmeBytes = 64 << 10 // of a request; an order of 100 names has 8 KiB

// ACMEOptions say whom the ACME server serves. The zero value serves the gateway
// itself by [ACME.Transport], for no name.
type ACMEOptions struct {
	// Names are the gateway's own host names, without port. The gateway itself may
	// order them, by [ACME.Transport], and nobody else. Requests from the network
	// have to be for one of them: links in answers are made from it. None: nobody
	// is served over the network.
	Names []string

	// Serve opens the server to others than the gateway itself.
	Serve bool

	// RequireEAB makes accounts from the network need a key of [CA.NewEAB].
	// Without it such a key is not looked at.
	RequireEAB bool

	// Life is how long certificates are good for unless an order says otherwise:
	// a second to 90 days, 0 for 30 days.
	Life time.Duration

	// Zones are the DNS zones whose names may be ordered and validated beside
	// the gateway's own, each with all below it ("corp.test"), and Networks are
	// where their hosts have to be, and which addresses may be ordered. A name
	// needs both. None: nobody else is issued a certificate or connected to.
	Zones    []string
	Networks []netip.Prefix

	// Dial connects to addr, a host and the port 80 or 443, to look at a
	// challenge. It looks a name up once and asks permit about each address it
	// is about to connect to. Nil: nobody is connected to.
	Dial func(ctx context.Context, addr string, permit func(netip.AddrPort) error) (net.Conn, error)

	// Own is Dial for the gateway's own names: whoever answers challenges for
	// them has the other end, without a socket in between. Nil: nobody does.
	Own func(ctx context.Context, addr string) (net.Conn, error)
}

// An ACME is the ACME server of a CA (RFC 8555): a handler for the paths below
// /acme/ of the gateway's own names, with smallstep's handlers behind what is
// checked here. Its methods may be called by many goroutines at once.
type ACME struct {
	ca      *CA
	options ACMEOptions
	db      *acmeDB
	routes  http.Handler
	others  *provisioner.ACME
	own     *provisioner.ACME
	turns   turns
	busy    chan struct{} // one for each validation that is going on
}

// ACME returns an ACME server for certificates of the issuer [Server]. Make one:
// what each has handed out in nonces is unknown to another.
func (ca *CA) ACME(o ACMEOptions) (*ACME, error) {
	var names []string
	for _, n := range o.Names {
		n = strings.ToLower(strings.TrimSuffix(n, "."))
		if !isHostname(n) {
			return nil, fmt.Errorf("serving ACME for %q: it is not a host name", n)
		}
		names = append(names, n)
	}
	zones, err := zones(o.Zones)
	if err != nil {
		return nil, fmt.Errorf("serving ACME: %w", err)
	}
	s := &ACME{ca: ca, options: o, busy: make(chan struct{}, validationsBusy)}
	s.options.Names = names
	s.db = &acmeDB{
		store: ca.store, secrets: ca.Secrets(), nonces: newNonces(ca.now), now: ca.now,
		targets: targets{own: names, zones: zones, networks: slices.Clone(o.Networks)},
	}
	if s.others, err = newProvisioner(provisionerOthers, o.RequireEAB, o.Life); err == nil {
		s.own, err = newProvisioner(provisionerOwn, false, o.Life)
	}
	if err != nil {
		return nil, fmt.Errorf("serving ACME: %w", err)
	}
	s.routes = s.router()
	return s, nil
}

// router has smallstep's handlers for everything but what they do not do well.
func (s *ACME) router() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "malformed", "there is nothing of this name; begin with /acme/directory")
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "POST")
		writeProblem(w, http.StatusMethodNotAllowed, "malformed", "resources are fetched by POST-as-GET (RFC 8555 §6.3)")
	})
	r.Get("/acme/directory", s.directory)
	r.Head("/acme/directory", s.directory)
	acmeapi.Route(r)
	r.Post("/acme/key-change", s.keyChange)
	r.Post("/acme/authz/{authzID}", s.authorization)
	return r
}

// Directory returns the URL that a client of [ACME.Transport] begins with.
func (s *ACME) Directory() string {
	host := "sallyport.internal"
	if len(s.options.Names) > 0 {
		host = s.options.Names[0]
	}
	return "https://" + host + "/acme/directory"
}

// ask is what is known of a request besides what smallstep's handlers know.
type ask struct {
	own    bool   // the gateway's own, by Transport
	host   string // of all links
	eab    string // the external account key that it was verified with
	authzs int    // that it has made
}

// The provisioners, which keep accounts of the network and the gateway's own
// apart.
const (
	provisionerOthers = "acme"
	provisionerOwn    = "own"
)

func (a *ask) provisioner() string {
	if a.own {
		return provisionerOwn
	}
	return provisionerOthers
}

type askKey struct{}

// asked returns the ask of a request, or one that knows nothing.
func asked(ctx context.Context) *ask {
	if a, ok := ctx.Value(askKey{}).(*ask); ok {
		return a
	}
	return &ask{}
}

// ServeHTTP serves the network.
func (s *ACME) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.TrimSuffix(strings.ToLower(r.Host), ":443")
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	switch {
	case !s.options.Serve:
		writeProblem(w, http.StatusForbidden, "unauthorized", "this gateway issues certificates to itself only; its operator opens it with --acme-serve")
	case !slices.Contains(s.options.Names, name):
		// Links are made from the host: one that is not ours would send clients,
		// and what they sign, elsewhere.
		writeProblem(w, http.StatusMisdirectedRequest, "malformed", "the host of this request is none of this gateway's own names")
	case r.TLS == nil:
		writeProblem(w, http.StatusForbidden, "malformed", "ACME is spoken over https only (RFC 8555 §6.1); begin with https://"+host+"/acme/directory")
	default:
		s.serve(w, r, &ask{host: host})
	}
}

// serve hands a request to smallstep's handlers with what they need around it.
func (s *ACME) serve(w http.ResponseWriter, r *http.Request, a *ask) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.ca.log("ACME %s %s: panic: %v", r.Method, r.URL.Path, p)
			writeProblem(w, http.StatusInternalServerError, "serverInternal", "the server has met an error of its own")
		}
	}()
	// All of it, before anything is held for it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, acmeBytes))
	if err != nil {
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			writeProblem(w, http.StatusRequestEntityTooLarge, "malformed", fmt.Sprintf("a request has %d bytes at most", acmeBytes))
			return
		}
		writeProblem(w, http.StatusBadRequest, "malformed", "the request did not come whole")
		return
	}
	ctx := context.WithValue(r.Context(), askKey{}, a)
	done, err := s.wait(ctx, r, a.own)
	if err != nil {
		writeProblem(w, http.StatusServiceUnavailable, "serverInternal", "the server is busy with other challenges; try again")
		return
	}
	defer done()
	prov := s.others
	if a.own {
		prov = s.own
	}
	signer, err := s.ca.authority(Server)
	if err != nil {
		s.ca.log("ACME: %v", err)
		writeProblem(w, http.StatusInternalServerError, "serverInternal", "the server has met an error of its own")
		return
	}
	v := &validator{ctx: ctx, targets: s.db.targets, dial: s.options.Dial, own: s.options.Own}
	ctx = acme.NewContext(ctx, s.db, v, &linker{prov}, nil)
	ctx = authority.NewContext(ctx, signer)
	ctx = apilog.WithErrorLogger(ctx, s.amend)
	q := r.Clone(ctx)
	q.Host, q.Body = a.host, io.NopCloser(bytes.NewReader(body))
	s.routes.ServeHTTP(w, q)
}

// wait makes requests that end something wait for each other: two that finalize
// one order at once would have two certificates. It also bounds how many
// challenges of others are looked at. The caller calls done.
func (s *ACME) wait(ctx context.Context, r *http.Request, own bool) (done func(), err error) {
	validates := strings.HasPrefix(r.URL.Path, "/acme/challenge/")
	if r.Method != http.MethodPost || !validates && !strings.HasSuffix(r.URL.Path, "/finalize") {
		return func() {}, nil
	}
	leave, err := s.turns.enter(ctx, r.URL.Path)
	if err != nil || !validates || own {
		return leave, err
	}
	select {
	case s.busy <- struct{}{}:
		return func() { <-s.busy; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

func (s *ACME) directory(w http.ResponseWriter, r *http.Request) {
	a := asked(r.Context())
	url := func(t acme.LinkType) string { return (&linker{}).GetLink(r.Context(), t) }
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=0, no-cache")
	json.NewEncoder(w).Encode(acmeapi.Directory{
		NewNonce:   url(acme.NewNonceLinkType),
		NewAccount: url(acme.NewAccountLinkType),
		NewOrder:   url(acme.NewOrderLinkType),
		RevokeCert: url(acme.RevokeCertLinkType),
		KeyChange:  url(acme.KeyChangeLinkType),
		Meta: &acmeapi.Meta{
			Website:                 "https://" + a.host + "/",
			ExternalAccountRequired: s.options.RequireEAB && !a.own,
		},
	})
}

// A linker makes links as smallstep's does, but from a host that was looked at,
// and has the provisioner of whoever asks rather than that of the URL.
type linker struct{ prov *provisioner.ACME }

var _ acme.Linker = (*linker)(nil)

func (l *linker) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if chi.URLParam(r, "provisionerID") != "acme" {
			writeProblem(w, http.StatusNotFound, "malformed", "there is nothing of this name; begin with /acme/directory")
			return
		}
		next.ServeHTTP(w, r.WithContext(acme.NewProvisionerContext(r.Context(), l.prov)))
	})
}

func (l *linker) GetLink(ctx context.Context, typ acme.LinkType, inputs ...string) string {
	return "https://" + asked(ctx).host + acme.GetUnescapedPathSuffix(typ, "acme", inputs...)
}

func (l *linker) LinkOrder(ctx context.Context, o *acme.Order) {
	o.AuthorizationURLs = make([]string, len(o.AuthorizationIDs))
	for i, id := range o.AuthorizationIDs {
		o.AuthorizationURLs[i] = l.GetLink(ctx, acme.AuthzLinkType, id)
	}
	o.FinalizeURL = l.GetLink(ctx, acme.FinalizeLinkType, o.ID)
	if o.CertificateID != "" {
		o.CertificateURL = l.GetLink(ctx, acme.CertificateLinkType, o.CertificateID)
	}
}

func (l *linker) LinkAccount(ctx context.Context, acc *acme.Account) {
	acc.OrdersURL = l.GetLink(ctx, acme.OrdersByAccountLinkType, acc.ID)
}

func (l *linker) LinkChallenge(ctx context.Context, ch *acme.Challenge, authz string) {
	ch.URL = l.GetLink(ctx, acme.ChallengeLinkType, authz, ch.ID)
}

func (l *linker) LinkAuthorization(ctx context.Context, az *acme.Authorization) {
	for _, ch := range az.Challenges {
		l.LinkChallenge(ctx, ch, az.ID)
	}
}

func (l *linker) LinkOrdersByAccountID(ctx context.Context, orders []string) {
	for i, id := range orders {
		orders[i] = l.GetLink(ctx, acme.OrderLinkType, id)
	}
}
