// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"net/http"
	"slices"
	"time"

	"sallyport/gateway/h1"
	"sallyport/policy"
)

// An Exchange is a request and the answer to it. It is used by one goroutine. That
// the origin is met by verified TLS, and that the client asked by an http URL,
// are two things; where both are so, there is something to reconcile. Sealed cookies
// are looked for in any case.
type Exchange struct {
	Policy  Policy
	Client  Client
	Method  string         // of the request
	Host    string         // that it is for, as the policy has it
	Secure  bool           // it goes to the origin by verified TLS
	Plain   bool           // its URL is an http one; with a View, the client's
	Key     Key            // of cookies
	Ledger  *Ledger        // of those that are not sealed; nil: none is kept
	Now     time.Time      // for cookies that end
	Rewrite policy.Rewrite // what the rule wants otherwise

	// Room takes room for the window of a body that has to be unpacked, in bytes, and
	// says whether there was any. nil: there always is.
	Room func(window int64) bool

	View  View  // of a client that knows no proxy; nil: it names origins by their URLs
	Place Place // with View

	// Changed are the names of the fields that are not as they came, each once.
	Changed []string

	noneMatch          []byte   // If-None-Match, where bodies are rewritten
	origin, sentOrigin []byte   // Origin as the client said it and as it was sent; nil: nothing was changed
	sealed, marked     []string // names of the cookies that came so
	tried              int      // sealed ones that were looked at
}

// A Client says whose cookies are sealed.
type Client interface {
	// ClientName is a text that no other client has.
	ClientName() string
}

// concerned are the fields of an answer that may have to be changed, as bits.
const concerned = 1<<h1.SetCookie | 1<<h1.AllowOrigin | 1<<h1.AltSvc | 1<<h1.ContentLocation | 1<<h1.ContentPolicy | 1<<h1.ContentPolicyReportOnly |
	1<<h1.Link | 1<<h1.Location | 1<<h1.Refresh | 1<<h1.StrictTransport

func has(f h1.Fields, of uint32) bool {
	for i := range f {
		if 1<<f[i].ID&of != 0 {
			return true
		}
	}
	return false
}

// Answer makes f, the fields of an answer with that status, or in front of or
// behind one, fit the client. f itself is used; values are replaced, never changed in place.
func (x *Exchange) Answer(f h1.Fields, status int) h1.Fields {
	switch {
	case x.Secure && !x.Plain && x.View == nil || !has(f, concerned):
		return f
	case !x.Secure:
		return slices.DeleteFunc(f, x.overwrites)
	}
	out := f[:0]
	if has(f, 1<<h1.SetCookie) {
		out = make(h1.Fields, 0, len(f)+4) // one field may become three
	}
	for _, one := range f {
		switch {
		case one.ID == h1.SetCookie:
			out = x.setCookies(out, one)
		case 1<<one.ID&concerned == 0 || x.field(&one, status):
			out = append(out, one)
		}
	}
	return out
}

// setCookies appends to out what the client is told in place of the Set-Cookie f.
func (x *Exchange) setCookies(out h1.Fields, f h1.Field) h1.Fields {
	from := len(out)
	if x.Plain && !x.Rewrite.KeepCookies {
		out = x.setCookie(out, f)
	} else {
		out = append(out, f)
	}
	if x.View != nil { // whatever the rule says: it must not be sent to another origin
		out = x.viewCookies(out, from)
	}
	return out
}

// field makes f fit the client; false when it is not for the client at all.
func (x *Exchange) field(f *h1.Field, status int) (stays bool) {
	value, changed := f.Value, false
	switch f.ID {
	case h1.AltSvc: // offers of other ports and protocols are the gateway's to take up
		if !x.Rewrite.KeepAltSvc || x.View != nil { // the client would take it for the gateway's
			x.note("Alt-Svc")
			return false
		}
		return true
	case h1.StrictTransport: // which clients must not heed by http (RFC 6797 §8.1), and not all know
		if !x.Rewrite.KeepHSTS || x.View != nil {
			x.note("Strict-Transport-Security")
			return false
		}
		return true
	}
	if x.Rewrite.KeepLinks {
		return true
	}
	name := ""
	switch f.ID {
	case h1.Location:
		name = "Location"
		value, changed = x.down(followed(status, x.Method), value)
	case h1.ContentLocation:
		name = "Content-Location"
		value, changed = x.down(http.MethodGet, value)
	case h1.Link:
		name = "Link"
		value, changed = x.links(value)
	case h1.Refresh:
		name = "Refresh"
		value, changed = x.refresh(value)
	case h1.AllowOrigin:
		name = "Access-Control-Allow-Origin"
		if x.sentOrigin != nil && bytes.Equal(value, x.sentOrigin) {
			value, changed = x.origin, true
		}
	case h1.ContentPolicy:
		name = "Content-Security-Policy"
		value, changed = x.contentPolicy(value)
	case h1.ContentPolicyReportOnly:
		name = "Content-Security-Policy-Report-Only"
		value, changed = x.contentPolicy(value)
	}
	if !changed {
		return true
	}
	f.Value = value
	x.note(name)
	return len(value) > 0
}

// followed is the method by which a client follows a redirect (RFC 9110 §15.4).
func followed(status int, method string) string {
	switch {
	case status == http.StatusTemporaryRedirect, status == http.StatusPermanentRedirect, method == http.MethodHead:
		return method
	case (status == http.StatusMovedPermanently || status == http.StatusFound) && method != http.MethodPost:
		return method
	}
	return http.MethodGet
}

func (x *Exchange) note(name string) {
	if !slices.Contains(x.Changed, name) {
		x.Changed = append(x.Changed, name)
	}
}
