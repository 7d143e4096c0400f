// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// login is an application at /login/ that is strict about https in every way that
// applications are. Its pages are at login.site.test, what they ask by CORS at
// api.site.test, both at o's port. By http it only says where it is.
func (o *testOrigin) login(w http.ResponseWriter, r *http.Request, page string) {
	_, port, _ := net.SplitHostPort(r.Host)
	site, api := "https://login.site.test:"+port, "https://api.site.test:"+port
	h := w.Header()
	if r.TLS == nil {
		http.Redirect(w, r, site+"/login/", http.StatusMovedPermanently)
		return
	}
	if r.URL.Query().Get("hsts") != "off" {
		h.Set("Strict-Transport-Security", "max-age=86400")
	}
	h.Set("Alt-Svc", `h3=":443"`)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-n0'; connect-src "+api+"; form-action "+site+"; upgrade-insecure-requests")
	secret := func(name string) string {
		c, err := r.Cookie(name)
		if err != nil {
			return ""
		}
		return c.Value
	}
	user := secret("__Host-sid") == "s3cr3t-eva" && secret("wide") == "w1de-eva"
	switch page {
	case "":
		h.Add("Set-Cookie", "csrf=t0ken; Path=/login; Secure; SameSite=Strict") // for scripts, too
		fmt.Fprintf(w, loginForm, "t0ken")
	case "session":
		if from := r.Header.Get("Origin"); r.Method != http.MethodPost || from != "" && from != site || secret("csrf") != "t0ken" || r.PostFormValue("csrf") != "t0ken" {
			http.Error(w, "forged", http.StatusForbidden)
			return
		}
		h.Add("Set-Cookie", "__Host-sid=s3cr3t-eva; Path=/; Secure; HttpOnly; SameSite=Lax")
		h.Add("Set-Cookie", "wide=w1de-eva; Domain=site.test; Path=/; Secure; HttpOnly; SameSite=None; Partitioned")
		h.Set("Location", site+"/login/step")
		w.WriteHeader(http.StatusSeeOther)
	case "step": // by http and back
		h.Set("Location", strings.Replace(site, "https:", "http:", 1)+"/login/back")
		w.WriteHeader(http.StatusFound)
	case "back":
		h.Set("Location", site+"/login/home")
		w.WriteHeader(http.StatusFound)
	case "home":
		if !user {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, loginHome, "api.site.test:"+port)
	case "api":
		if from := r.Header.Get("Origin"); from != site || secret("wide") != "w1de-eva" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		h.Set("Access-Control-Allow-Origin", site)
		h.Set("Access-Control-Allow-Credentials", "true")
		fmt.Fprint(w, "the API knows eva")
	case "logout":
		h.Add("Set-Cookie", "__Host-sid=; Path=/; Max-Age=0; Secure")
		h.Add("Set-Cookie", "wide=; Domain=site.test; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
		h.Set("Location", site+"/login/home")
		w.WriteHeader(http.StatusSeeOther)
	}
}

// loginForm sends itself where scripts run, with the token from the cookie.
const loginForm = `<!doctype html><title>log in</title>
<form method=post action=/login/session><input name=csrf value=%s></form>
<script nonce=n0>
const f = document.forms[0]
f.csrf.value = (document.cookie.match(/(?:^|; )csrf=([^;]*)/) || [])[1]
f.submit()
</script>
`

// loginHome asks the API, which its page names without a scheme.
const loginHome = `<!doctype html><title>home</title><p>welcome eva</p>
<script nonce=n0>
fetch("//%s/login/api", {credentials: "include"}).then(a => a.text()).then(t => document.body.append(t), e => document.body.append("failed: " + e))
</script>
`

// cmdLogin has net/http's client and its cookie jar log in at a site, by way of
// the gateway at ADDR, go on to the API and log out, and prints what came: login ADDR PORT.
func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: login addr port")
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	by := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: args[0]})}
	defer by.CloseIdleConnections()
	c := &http.Client{Jar: jar, Transport: by, Timeout: patience}
	site := "http://login.site.test:" + args[1]
	do := func(r *http.Request, err error) string {
		ts.Check(err)
		r.Header.Set("Origin", site)
		res, err := c.Do(r)
		ts.Check(err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %s %s\nallowed: %s\n%s\n", r.Method, res.Request.URL, res.Status, res.Header.Get("Access-Control-Allow-Origin"), b)
		return string(b)
	}
	form := do(http.NewRequest(http.MethodGet, site+"/login/", nil))
	token := regexp.MustCompile(`value=(\w+)`).FindStringSubmatch(form)
	if token == nil {
		ts.Fatalf("no form:\n%s", form)
	}
	r, err := http.NewRequest(http.MethodPost, site+"/login/session", strings.NewReader("csrf="+token[1]))
	ts.Check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	do(r, nil)
	do(http.NewRequest(http.MethodGet, "http://api.site.test:"+args[1]+"/login/api", nil))
	do(http.NewRequest(http.MethodGet, site+"/login/logout", nil))
}
