// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/html"
)

// A visitor is net/http's client with its cookie jar, by way of a gateway. Of
// the page it was on last it knows where that was and what its forms hide.
type visitor struct {
	gateway string
	client  *http.Client
	page    string
	hidden  map[string]string
}

// cmdVisit asks for a page, or with fields sends them by POST together with
// those that the last page's forms hide, as a browser would, and prints the
// method, URL and status it ended at and the page: visit ADDR URL [NAME=VALUE...].
// Another ADDR is another visitor.
func cmdVisit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: visit addr url [name=value...]")
	}
	w := worldOf(ts)
	if w.visitor == nil || w.visitor.gateway != args[0] {
		jar, err := cookiejar.New(nil)
		ts.Check(err)
		by := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: args[0]}), DisableKeepAlives: true}
		w.visitor = &visitor{gateway: args[0], client: &http.Client{Jar: jar, Transport: by, Timeout: patience}}
	}
	v := w.visitor
	r, err := http.NewRequest(http.MethodGet, args[1], nil)
	if len(args) > 2 {
		form := make(url.Values)
		for name, value := range v.hidden {
			form.Set(name, value)
		}
		for _, field := range args[2:] {
			name, value, _ := strings.Cut(field, "=")
			form.Set(name, value)
		}
		r, err = http.NewRequest(http.MethodPost, args[1], strings.NewReader(form.Encode()))
	}
	ts.Check(err)
	if r.Method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.page != "" {
		r.Header.Set("Referer", v.page)
	}
	res, err := v.client.Do(r)
	ts.Check(err)
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	ts.Check(err)
	v.page, v.hidden = res.Request.URL.String(), hiddenFields(string(page))
	fmt.Fprintf(ts.Stdout(), "%s %s %s\n%s\n", res.Request.Method, v.page, res.Status, page)
}

// hiddenFields are those of all forms of a page.
func hiddenFields(page string) map[string]string {
	fields := make(map[string]string)
	for z := html.NewTokenizer(strings.NewReader(page)); z.Next() != html.ErrorToken; {
		t := z.Token()
		if t.Data != "input" {
			continue
		}
		a := make(map[string]string)
		for _, attr := range t.Attr {
			a[attr.Key] = attr.Val
		}
		if strings.EqualFold(a["type"], "hidden") && a["name"] != "" {
			fields[a["name"]] = a["value"]
		}
	}
	return fields
}
