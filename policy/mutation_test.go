// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// FuzzMutatedPolicy feeds mutations of policies. One that loads decides nothing
// otherwise than its rules do, asked one after the other, and so nothing more
// freely; and it has one layout, which decides the same.
func FuzzMutatedPolicy(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/decide/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(files, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(withoutFiles(src))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.Contains(src, []byte("file")) || len(src) > 64<<10 {
			return // must not open what a fuzzer names, such as /dev/zero
		}
		p, err := Parse("fuzz.yaml", src, dir)
		if err != nil {
			return
		}
		queries := asked(string(src))
		for _, q := range queries {
			if got, want := p.Decide(q), p.walk(q, nil); got != want {
				t.Fatalf("%s from %s is %s, and rule by rule %s", q, q.Client, answer(got), answer(want))
			}
		}
		_ = Linter{At: testTime}.Lint(p)
		out, err := Format("fuzz.yaml", src)
		if err != nil {
			return // refused rather than changed
		}
		again, err := Format("fuzz.yaml", out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("the layout has another layout: %v\n%s\n%s", err, out, again)
		}
		laidOut, err := Parse("fuzz.yaml", out, dir)
		if err != nil {
			t.Fatalf("laid out it does not load: %v\n%s", err, out)
		}
		for _, q := range queries {
			if got, want := laidOut.Decide(q), p.Decide(q); answer(got) != answer(want) {
				t.Fatalf("%s from %s is %s when laid out, and was %s", q, q.Client, answer(got), answer(want))
			}
		}
	})
}

// withoutFiles leaves out what names a file.
func withoutFiles(src []byte) []byte {
	var keep [][]byte
	for line := range bytes.SplitSeq(src, []byte("\n")) {
		if !bytes.Contains(line, []byte("file")) {
			keep = append(keep, line)
		}
	}
	return bytes.Join(keep, []byte("\n"))
}

var (
	hostWord  = regexp.MustCompile(`\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+`)
	groupWord = regexp.MustCompile(`group: \[?([a-z]+)`)
)

// asked are queries about what a policy's text speaks of.
func asked(src string) (queries []Query) {
	hosts := []string{"x.example", "10.1.2.3", "[2001:db8::1]"}
	clients := []Client{{}}
	for i, word := range hostWord.FindAllString(src, 40) {
		word = strings.Trim(word, ".")
		hosts = append(hosts, word)
		if i%3 == 0 {
			hosts = append(hosts, "www."+word)
		}
		if h, err := ParseHost(word); err == nil && h.IsAddr() && len(clients) < 6 {
			clients = append(clients, Client{Addr: h.Addr})
		}
	}
	for _, m := range groupWord.FindAllStringSubmatch(src, 2) {
		clients = append(clients, Client{Addr: clients[len(clients)-1].Addr, User: "eva", Groups: []string{m[1]}})
	}
	for i, host := range hosts {
		for _, request := range []string{"CONNECT " + host + ":443", "GET http://" + host + "/v1/../x", "POST https://" + host + "//a%2e/b", "PUT http://" + host + ":8080/a%2fb"} {
			q, err := ParseRequest(request)
			if err != nil {
				continue
			}
			for j, c := range clients {
				q.Client, q.At, q.MayAsk, q.ClientTLS = c, testTime, (i+j)%4 == 0, (i+j)%3 == 0
				queries = append(queries, q)
			}
		}
	}
	return queries
}
