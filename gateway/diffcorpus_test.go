// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A request of the corpus, to be put together wrongly.
type request struct {
	method, target, version string
	fields                  []string // whole lines, but for their ends
	body                    string
}

func (r request) String() string {
	var b strings.Builder
	b.WriteString(r.method + " " + r.target + " " + r.version + "\r\n")
	for _, f := range r.fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n" + r.body
}

func (r request) with(fields ...string) request {
	r.fields = append(slices.Clone(r.fields), fields...)
	return r
}

var (
	get   = request{"GET", "http://ORIGIN/a?b=c", "HTTP/1.1", []string{"Host: ORIGIN"}, ""}
	post  = request{"POST", "http://ORIGIN/up", "HTTP/1.1", []string{"Host: ORIGIN", "Content-Length: 5"}, "hello"}
	put   = request{"PUT", "http://ORIGIN/put", "HTTP/1.1", []string{"Host: ORIGIN", "Transfer-Encoding: chunked"}, "5\r\nhello\r\n0\r\n\r\n"}
	old   = request{"GET", "http://ORIGIN/old", "HTTP/1.0", nil, ""}
	bases = []request{get, post, put, old}
)

// last ends every dialogue: a request with which the connection ends, and lines
// that end it wherever else the reader may stand, in a body of a length that
// lies, in a chunk, in a head.
var last = request{"GET", "http://ORIGIN/last", "HTTP/1.1", []string{"Host: ORIGIN", "Connection: close"}, ""}.String() +
	strings.Repeat("\x00!\r\n", 2000)

// A corpus is a set of dialogues, the same every time.
type corpus struct {
	rand *rand.Rand
	all  []dialogue
}

// requests are dialogues about what the client says.
func requests() []dialogue {
	c := &corpus{rand: rand.New(rand.NewPCG(1, 2))}
	for i, base := range bases {
		r := base
		for _, r.method = range methods {
			c.place(fmt.Sprintf("%d method", i), r)
		}
		r = base
		for _, r.target = range targets {
			c.place(fmt.Sprintf("%d target", i), r)
		}
		r = base
		for _, r.version = range versions {
			c.place(fmt.Sprintf("%d version", i), r)
		}
		r = base
		for _, h := range hosts {
			if r.fields = base.fields[min(1, len(base.fields)):]; h != "" {
				r.fields = append([]string{h}, r.fields...)
			}
			c.place(fmt.Sprintf("%d host", i), r)
		}
		for _, f := range lines {
			c.place(fmt.Sprintf("%d line", i), base.with(f))
		}
	}
	for _, method := range []string{"GET", "POST", "CONNECT"} {
		for _, f := range framings {
			for _, body := range []string{"", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n" + hidden.String()} {
				r := request{method, "http://ORIGIN/framed", "HTTP/1.1", []string{"Host: ORIGIN", f}, body}
				if method == "CONNECT" {
					r.target = "ORIGIN"
				}
				c.place("framing", r)
			}
		}
	}
	for _, chunks := range bodies {
		r := put
		r.body = chunks
		c.place("chunks", r)
		c.place("chunks, announced", r.with("TE: trailers", "Trailer: X-Sum"))
	}
	for _, v := range vectors {
		c.put("vector", v)
	}
	for range 1000 {
		c.place("at random", c.random())
	}
	c.unfinished()
	return c.all
}

// place makes dialogues of r in one of the places where it can stand.
func (c *corpus) place(name string, r request) { c.put(name, r.String()) }

func (c *corpus) put(name, text string) {
	d := dialogue{name: fmt.Sprintf("%d %s %.300q", len(c.all), name, text)}
	switch c.rand.IntN(5) {
	case 0, 1:
		d.say = []piece{{text: text + last}}
	case 2:
		d.name += ", pipelined"
		before := bases[c.rand.IntN(len(bases)-1)].String() // HTTP/1.0 would be the last
		d.say = []piece{{text: before + text + last}}
	case 3:
		d.name += ", behind empty lines and an answer"
		d.say = []piece{{text: post.String() + "\r\n"}, {text: "\r\n" + text + last, after: 1}}
	case 4:
		d.name += ", in pieces"
		at := 0
		for range 8 {
			to := at + c.rand.IntN(len(text)-at+1)
			if i := strings.LastIndex(text[:min(to+len("RIGIN"), len(text))], "ORIGIN"); i >= 0 && i < to {
				to = max(to, i+len("ORIGIN")) // not within, where it would not be replaced
			}
			d.say = append(d.say, piece{text: text[at:to]})
			at = to
		}
		d.say = append(d.say, piece{text: text[at:] + last})
	}
	c.all = append(c.all, d)
}

// random is a request of which anything may be wrong, and something mostly is.
func (c *corpus) random() request {
	one := func(from []string) string { return from[c.rand.IntN(len(from))] }
	r := bases[c.rand.IntN(len(bases))]
	r.fields = slices.Clone(r.fields)
	for range 1 + c.rand.IntN(3) {
		switch c.rand.IntN(9) {
		case 0:
			r.method = one(methods)
		case 1:
			r.target = one(targets)
		case 2:
			r.version = one(versions)
		case 3:
			r.fields = append(r.fields, one(hosts))
		case 4:
			r.fields = append(r.fields, one(framings))
		case 5:
			r.body = one(bodies)
		default:
			r.fields = slices.Insert(r.fields, c.rand.IntN(len(r.fields)+1), one(lines))
		}
	}
	return r
}

// unfinished adds dialogues in which the client falls silent too early. Each
// request before has been answered by then: to net/http a client that sends no
// more has gone.
func (c *corpus) unfinished() {
	for _, r := range append(bases, post.with("Expect: 100-continue")) {
		whole := r.String()
		for n := 0; n < len(whole); n += 1 + len(whole)/16 {
			d := dialogue{name: fmt.Sprintf("%d cut short %q", len(c.all), whole[:n]), half: true}
			d.say = []piece{{text: post.String()}, {text: whole[:n], after: 1}}
			c.all = append(c.all, d)
		}
	}
	for _, f := range []string{"Content-Length: 999999999999999999", "Content-Length: 6000000", "Transfer-Encoding: chunked"} {
		r := request{"POST", "http://ORIGIN/lie", "HTTP/1.1", []string{"Host: ORIGIN", f}, "fffffff\r\nx"}
		c.all = append(c.all, dialogue{name: "a lie: " + f, half: true, say: []piece{{text: r.String()}}})
	}
	for _, f := range [][]string{nil, {"Connection: close"}, {"Connection: x, Close"}} {
		r := request{"CONNECT", "ORIGIN", "HTTP/1.1", append([]string{"Host: ORIGIN"}, f...), ""}
		c.all = append(c.all, dialogue{name: "CONNECT, and more behind the answer", say: []piece{{text: r.String()}, {text: last, after: 1}}})
	}
}
