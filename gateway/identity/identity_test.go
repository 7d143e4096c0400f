// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sallyport/policy"
)

func prover(s Sources) *Prover {
	p := &Prover{Now: func() time.Time { return noon }}
	p.Use(s)
	return p
}

func refusal(t *testing.T, err error) *Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is no refusal", err)
	}
	return r
}

const (
	askBasic  = `Basic realm="sallyport", charset="UTF-8"`
	askBearer = `Bearer realm="sallyport"`
)

// Without sources, everything that is sent is nobody's business.
func TestProverOfAddresses(t *testing.T) {
	p := &Prover{}
	got, err := p.Prove(Request{From: there, Fields: fields(basic("eva", "x"), "nonsense")})
	if err != nil || got.Client.Addr != there.Addr() || got.Client.User != "" || got.MayAsk || got.Still != nil {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := p.Prove(Request{}); err == nil {
		t.Error("nobody's request is taken")
	}
}

func TestPasswords(t *testing.T) {
	groups, err := ReadGroups("groups", []byte("staff: eva bob\nsre: eva\n# none\nstaff: mia\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := prover(Sources{Passwords: users(nil, "eva", "secret", "jos\u00e9", "p\u00e4ss:w\u00f6rd", "zoe", ""), Groups: groups})
	for _, c := range []struct{ user, password, is, groups string }{
		{"eva", "secret", "eva", "[sre staff]"},
		{"jos\u00e9", "p\u00e4ss:w\u00f6rd", "jos\u00e9", "[]"},
		{"jose\u0301", "p\u00e4ss:w\u00f6rd", "jos\u00e9", "[]"}, // the same name
		{"zoe", "", "zoe", "[]"},
	} {
		got, err := p.Prove(Request{From: here, Fields: fields(basic(c.user, c.password))})
		if err != nil || got.Client.User != c.is || fmt.Sprint(got.Client.Groups) != c.groups || got.Client.Groups == nil || got.MayAsk {
			t.Errorf("%q: %+v %v", c.user, got, err)
		}
	}
	got, err := p.Prove(Request{From: here, Fields: fields()})
	if err != nil || got.Client.User != "" || !got.MayAsk || !slices.Equal(got.Challenges, []string{askBasic}) || got.Still != nil {
		t.Errorf("without: %+v %v", got, err)
	}
}

// What is refused, and with which words. None of them has what was sent.
func TestCredentialsRefused(t *testing.T) {
	tokens, err := ReadTokens("keys", jwks(t, jose.JSONWebKey{Key: ecKey(t).Public()}), heldTo)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fields []string
		why    Why
		msg    string
	}{
		"a wrong password":          {[]string{basic("eva", "Secret")}, Wrong, "no user has this name and this password"},
		"an unknown user":           {[]string{basic("Eva", "secret")}, Wrong, "no user has this name and this password"},
		"two fields":                {[]string{basic("eva", "secret"), basic("eva", "secret")}, Malformed, "there is more than one Proxy-Authorization field"},
		"two fields, one empty":     {[]string{"", basic("eva", "secret")}, Malformed, "there is more than one Proxy-Authorization field"},
		"an empty field":            {[]string{""}, Wrong, "Proxy-Authorization cannot be read"},
		"a list":                    {[]string{basic("eva", "secret") + ", " + basic("bob", "x")}, Wrong, "Proxy-Authorization cannot be read"},
		"no space":                  {[]string{strings.Replace(basic("eva", "secret"), " ", "", 1)}, Wrong, "Proxy-Authorization cannot be read"},
		"no scheme":                 {[]string{"ecret"}, Wrong, "credentials of this scheme are not taken here"},
		"a tab":                     {[]string{strings.Replace(basic("eva", "secret"), " ", "\t", 1)}, Wrong, "Proxy-Authorization cannot be read"},
		"the scheme alone":          {[]string{"Basic"}, Wrong, "Proxy-Authorization cannot be read"},
		"no base64":                 {[]string{"Basic eva:secret"}, Wrong, "Proxy-Authorization cannot be read"},
		"base64 without its end":    {[]string{"Basic ZXZhOnNlY3JldA"}, Wrong, "Proxy-Authorization cannot be read"},
		"base64 with bits left":     {[]string{"Basic ZXZhOnNlY3JldB=="}, Wrong, "Proxy-Authorization cannot be read"},
		"no colon":                  {[]string{"Basic ZXZh"}, Wrong, "Proxy-Authorization cannot be read"},
		"an empty user":             {[]string{basic("", "secret")}, Wrong, "the name in the credentials is none"},
		"space around a user":       {[]string{basic(" eva", "secret")}, Wrong, "the name in the credentials is none"},
		"a NUL in the user":         {[]string{basic("eva\x00", "secret")}, Wrong, "the name in the credentials is none"},
		"a NUL in the password":     {[]string{basic("eva", "secret\x00")}, Wrong, "Proxy-Authorization cannot be read"},
		"a line end in the user":    {[]string{basic("eva\r\nX: y", "secret")}, Wrong, "the name in the credentials is none"},
		"Latin 1":                   {[]string{basic("jos\xe9", "x")}, Wrong, "the name in the credentials is none"},
		"a direction override":      {[]string{basic("eva\u202e", "secret")}, Wrong, "the name in the credentials is none"},
		"too long":                  {[]string{basic("eva", strings.Repeat("x", 1024))}, Wrong, "the credentials in Proxy-Authorization are too long"},
		"a long token":              {[]string{"Bearer " + strings.Repeat("x", 20<<10)}, Wrong, "the credentials in Proxy-Authorization are too long"},
		"a token that is none":      {[]string{"Bearer a b"}, Wrong, "Proxy-Authorization cannot be read"},
		"a forged token":            {[]string{"Bearer a.b.c"}, Wrong, "the token cannot be read, or is signed by an algorithm that is not accepted"},
		"another scheme":            {[]string{"Negotiate YII="}, Wrong, "credentials of the scheme negotiate are not taken here"},
		"a scheme that is no token": {[]string{"Bas:ic ZXZhOnNlY3JldA=="}, Wrong, "Proxy-Authorization cannot be read"},
	} {
		p := prover(Sources{Passwords: users(nil, "eva", "secret"), Tokens: tokens})
		got, err := p.Prove(Request{From: here, Fields: fields(c.fields...)})
		if err == nil {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		r := refusal(t, err)
		if r.Why != c.why || r.Msg != c.msg {
			t.Errorf("%s: %d %q, want %d %q", name, r.Why, r.Msg, c.why, c.msg)
		}
		bearer := askBearer
		if strings.HasPrefix(r.Msg, "the token") {
			bearer += `, error="invalid_token", error_description="` + r.Msg + `"`
		}
		if want := []string{bearer, askBasic}; c.why == Wrong && !slices.Equal(r.Challenges, want) {
			t.Errorf("%s: %q, want %q", name, r.Challenges, want)
		}
		for _, text := range []string{r.Msg, r.Error()} {
			if strings.Contains(text, "ecret") || strings.Contains(text, "ZXZh") {
				t.Errorf("%s: %q repeats what was sent", name, text)
			}
		}
	}
}

// Credentials that come in the clear from another machine are not looked at.
func TestCredentialsInTheClear(t *testing.T) {
	computed := 0
	p := prover(Sources{Passwords: users(&computed, "eva", "secret")})
	_, err := p.Prove(Request{From: there, Fields: fields(basic("eva", "secret"))})
	r := refusal(t, err)
	if r.Why != Forbidden || r.Challenges != nil || computed != 0 || r.Error() != "credentials came in the clear from another machine; they were not looked at" ||
		!strings.Contains(r.Msg, "https:// proxy") {
		t.Errorf("%+v, computed %d", r, computed)
	}
	got, err := p.Prove(Request{From: there, Fields: fields()})
	if err != nil || !got.MayAsk || got.Challenges != nil || !strings.Contains(got.Instead, "https:// proxy") {
		t.Errorf("%+v %v", got, err)
	}
	for name, ok := range map[string]Request{
		"TLS":      {From: there, TLS: &tls.ConnectionState{}},
		"loopback": {From: netip.MustParseAddrPort("[::1]:1")},
	} {
		ok.Fields = fields(basic("eva", "secret"))
		if got, err := p.Prove(ok); err != nil || got.Client.User != "eva" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.OverPlain = true
	if got, err := p.Prove(Request{From: there, Fields: fields(basic("eva", "secret"))}); err != nil || got.Client.User != "eva" {
		t.Errorf("allowed: %v", err)
	}
	if got, _ := p.Prove(Request{From: there}); !slices.Equal(got.Challenges, []string{askBasic}) {
		t.Errorf("allowed: %+v", got)
	}
}

// An unknown name costs what a wrong password does: one computation. What was
// right costs none again, until the password is another.
func TestComputations(t *testing.T) {
	computed := 0
	p := prover(Sources{Passwords: users(&computed, "eva", "secret", "bob", "other")})
	prove := func(user, password string) error {
		_, err := p.Prove(Request{From: here, Fields: fields(basic(user, password))})
		return err
	}
	for name, c := range map[string]struct {
		user, password string
		right          bool
	}{
		"wrong": {"eva", "x", false}, "unknown": {"nobody", "secret", false}, "unknown, other's": {"nobody", "other", false},
	} {
		computed = 0
		if err := prove(c.user, c.password); (err == nil) != c.right || computed != 1 {
			t.Errorf("%s: %v, %d computations", name, err, computed)
		}
	}
	computed = 0
	for range 100 {
		if err := prove("eva", "secret"); err != nil {
			t.Fatal(err)
		}
	}
	if computed != 1 {
		t.Errorf("%d computations of what was right", computed)
	}
	p.Use(Sources{Passwords: users(&computed, "eva", "secret2", "bob", "other")})
	if err := prove("eva", "secret"); err == nil {
		t.Error("the old password is taken")
	}
	p.Use(Sources{Passwords: users(&computed)})
	if err := prove("eva", "secret"); err == nil {
		t.Error("a user who was taken out is taken")
	}
}

// Who keeps being wrong has to wait, and nobody else has to.
func TestThrottle(t *testing.T) {
	now := noon
	computed := 0
	p := prover(Sources{Passwords: users(&computed, "eva", "secret", "bob", "other")})
	p.Now = func() time.Time { return now }
	prove := func(from netip.AddrPort, user, password string) error {
		_, err := p.Prove(Request{From: from, TLS: &tls.ConnectionState{}, Fields: fields(basic(user, password))})
		return err
	}
	if err := prove(there, "eva", "secret"); err != nil {
		t.Fatal(err)
	}
	for i := range attempts {
		if r := refusal(t, prove(there, "bob", "guess")); r.Why != Wrong {
			t.Fatalf("attempt %d: %+v", i, r)
		}
	}
	computed = 0
	if r := refusal(t, prove(there, "bob", "other")); r.Why != Throttled || r.Wait != attemptGap || computed != 0 {
		t.Errorf("%+v, %d computations", r, computed)
	}
	if err := prove(there, "eva", "secret"); err != nil {
		t.Errorf("who is known: %v", err)
	}
	if err := prove(netip.MustParseAddrPort("10.1.2.4:1"), "bob", "other"); err != nil {
		t.Errorf("another client: %v", err)
	}
	now = now.Add(attemptGap)
	if r := refusal(t, prove(there, "bob", "guess")); r.Why != Wrong {
		t.Errorf("after a while: %+v", r)
	}
	if r := refusal(t, prove(there, "bob", "guess")); r.Why != Throttled {
		t.Errorf("and again: %+v", r)
	}
	// A /64 is one client.
	for i := range attempts {
		_ = prove(netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)), 1), "bob", "guess")
	}
	if r := refusal(t, prove(netip.MustParseAddrPort("[2001:db8::ffff]:1"), "bob", "guess")); r.Why != Throttled {
		t.Errorf("its neighbour: %+v", r)
	}
	if r := refusal(t, prove(netip.MustParseAddrPort("[2001:db8:0:1::1]:1"), "bob", "guess")); r.Why != Wrong {
		t.Errorf("another network: %+v", r)
	}
}

// Few passwords are computed at once, and few requests wait for it.
func TestComputationsAtOnce(t *testing.T) {
	begun, let := make(chan struct{}, 1000), make(chan struct{})
	slow := &hash{check: func(string) bool { begun <- struct{}{}; <-let; return true }}
	p := prover(Sources{Passwords: &Passwords{users: map[string]*hash{"eva": slow}, names: []string{"eva"}}})
	var wg sync.WaitGroup
	results := make(chan error, 1000)
	prove := func(i int) {
		_, err := p.Prove(Request{From: here, Fields: fields(basic("eva", fmt.Sprint(i)))})
		results <- err
	}
	p.passwords.once.Do(p.passwords.setUp)
	slots := cap(p.passwords.slots)
	for i := range slots {
		wg.Go(func() { prove(i) })
	}
	for range slots {
		<-begun
	}
	for i := range maxQueue {
		wg.Go(func() { prove(slots + i) })
	}
	for waiting := 0; waiting < maxQueue; {
		p.passwords.mu.Lock()
		waiting = p.passwords.waiting
		p.passwords.mu.Unlock()
	}
	_, err := p.Prove(Request{From: here, Fields: fields(basic("eva", "one too many"))})
	if r := refusal(t, err); r.Why != Busy || r.Wait == 0 {
		t.Errorf("%+v", r)
	}
	if len(begun) != 0 {
		t.Errorf("%d more computations than %d at once", len(begun), slots)
	}
	close(let)
	wg.Wait()
	close(results)
	for err := range results {
		if err != nil {
			t.Error(err)
		}
	}
}

// What Still says, when the files have changed.
func TestStill(t *testing.T) {
	key, next := ecKey(t), ecKey(t)
	set := func(keys ...any) *Tokens {
		var all []jose.JSONWebKey
		for _, k := range keys {
			all = append(all, jose.JSONWebKey{Key: k})
		}
		tokens, err := ReadTokens("keys", jwks(t, all...), heldTo)
		if err != nil {
			t.Fatal(err)
		}
		return tokens
	}
	groups := func(text string) *Groups {
		g, err := ReadGroups("groups", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	p := prover(Sources{Passwords: users(nil, "eva", "secret", "bob", "x"), Groups: groups("staff: eva"), Tokens: set(key.Public())})
	password, err := p.Prove(Request{From: here, Fields: fields(basic("eva", "secret"))})
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.Prove(Request{From: here, Fields: fields("Bearer " + signed(t, jose.ES256, key, "", claimed(said{"groups": "idp"})))})
	if err != nil || fmt.Sprint(token.Client.Groups) != "[idp staff]" {
		t.Fatal(token, err)
	}
	check := func(what string, still func() (policy.Client, error), want string) {
		t.Helper()
		c, err := still()
		got := c.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("as before", password.Still, "127.0.0.1 user:eva group:staff")
	p.Use(Sources{Passwords: users(nil, "eva", "secret"), Groups: groups("sre: eva"), Tokens: set(next.Public(), key.Public())})
	check("other groups", password.Still, "127.0.0.1 user:eva group:sre")
	check("other groups", token.Still, "127.0.0.1 user:eva group:idp group:sre claim:sub=eva")
	p.Use(Sources{Passwords: users(nil, "eva", "secret2"), Tokens: set(next.Public())})
	check("another password", password.Still, "no user has this name and this password")
	check("another key", token.Still, "the token was signed by a key that is not known any more")
	p.Use(Sources{Passwords: users(nil)})
	check("taken out", password.Still, "no user has this name and this password")
	check("no keys", token.Still, "the token was signed by a key that is not known any more")
}

// FuzzCredentials: what is read of Proxy-Authorization is what can be a name and
// a password, and nothing of it is in an error.
func FuzzCredentials(f *testing.F) {
	for _, s := range []string{basic("eva", "secret"), "Basic", "bearer a.b.c", "Bearer  =", "Basic ZXZhOnNlY3JldA", "\tBasic x", "Negotiate YII="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := readCredentials(fields(value))
		if err != nil {
			if len(value) > 12 && strings.Contains(err.Error(), value) {
				t.Errorf("%v repeats %q", err, value)
			}
			return
		}
		switch c.scheme {
		case "basic":
			if name, err := UserName(c.user); err != nil || name != c.user || strings.ContainsAny(c.user+c.password, "\x00\r\n") {
				t.Errorf("%q is read as %q and %q", value, c.user, c.password)
			}
		case "bearer":
			if c.token == "" || strings.ContainsAny(c.token, " ,\"") {
				t.Errorf("%q is read as the token %q", value, c.token)
			}
		}
	})
}
