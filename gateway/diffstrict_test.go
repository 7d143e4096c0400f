// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func cutShort(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		strings.Contains(err.Error(), "unexpected EOF") // in a trailer
}

// readTold reads a request with net/http. opaque says that what follows the
// answer is not HTTP.
func readTold(br *bufio.Reader, proceed func()) (h told, opaque bool, err error) {
	r, err := http.ReadRequest(br)
	if err != nil {
		return h, false, err
	}
	if r.Header.Get("Expect") != "" {
		proceed()
	}
	body, err := io.ReadAll(r.Body)
	h = told{method: r.Method, target: r.RequestURI, host: r.Host, fields: r.Header, trailers: r.Trailer, body: string(body)}
	return h, r.Header.Get("Upgrade") != "", err
}

var (
	requestLine = regexp.MustCompile(`^[!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+ (/|\*|)[!-~\x80-\xff]* HTTP/1\.1$`)
	fieldLine   = regexp.MustCompile(`^([!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+): ([\t -~\x80-\xff]*)$`)
)

// strictly checks what net/http lets pass: raw is one request, and there is no
// second way to read it.
func strictly(raw string) error {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if !requestLine.MatchString(latin1(lines[0])) {
		return fmt.Errorf("request line %q", lines[0])
	}
	count := make(map[string]int)
	value := make(map[string]string)
	for _, line := range lines[1:] {
		m := fieldLine.FindStringSubmatch(latin1(line))
		if m == nil || strings.Trim(m[2], " \t") != m[2] {
			return fmt.Errorf("field line %q", line)
		}
		name := strings.ToLower(m[1])
		count[name]++
		value[name] = m[2]
	}
	length, chunked := value["content-length"], value["transfer-encoding"]
	n, err := strconv.Atoi(length)
	switch {
	case count["host"] != 1:
		return errors.New("not one Host")
	case count["content-length"]+count["transfer-encoding"] > 1:
		return errors.New("more than one framing")
	case count["content-length"] == 1 && (err != nil || strconv.Itoa(n) != length || n != len(body)):
		return fmt.Errorf("Content-Length %q of %d bytes", length, len(body))
	case count["transfer-encoding"] == 1 && (chunked != "chunked" || dechunk(body) != nil):
		return fmt.Errorf("Transfer-Encoding %q: %w", chunked, dechunk(body))
	case count["content-length"]+count["transfer-encoding"] == 0 && body != "":
		return errors.New("a body out of nowhere")
	case !slices.Contains([]string{"", "close", "TE", "Upgrade"}, value["connection"]), count["connection"] > 1:
		return fmt.Errorf("Connection %q", value["connection"])
	case count["proxy-connection"]+count["proxy-authorization"]+count["keep-alive"] > 0:
		return errors.New("a field of another hop")
	}
	return nil
}

// latin1 makes bytes characters, which a regexp can match.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

// dechunk allows the chunked body that a sender without fancy makes.
func dechunk(body string) error {
	for {
		line, rest, ok := strings.Cut(body, "\r\n")
		n, err := strconv.ParseUint(line, 16, 31)
		if !ok || err != nil || strconv.FormatUint(n, 16) != line {
			return fmt.Errorf("chunk size %q", line)
		}
		if n == 0 {
			body = rest
			break
		}
		if uint64(len(rest)) < n+2 || rest[n:n+2] != "\r\n" {
			return errors.New("a chunk that ends elsewhere")
		}
		body = rest[n+2:]
	}
	for {
		line, rest, ok := strings.Cut(body, "\r\n")
		switch {
		case !ok:
			return errors.New("no end of the trailer section")
		case line == "" && rest != "":
			return errors.New("bytes behind the end")
		case line == "":
			return nil
		case !fieldLine.MatchString(latin1(line)):
			return fmt.Errorf("trailer line %q", line)
		}
		body = rest
	}
}

// differs tells what of a request differs from another.
func (h told) differs(o told) (what []string) {
	if h.method != o.method || h.target != o.target || h.host != o.host {
		what = append(what, fmt.Sprintf("line %q, %q", h.method+" "+h.target+" "+h.host, o.method+" "+o.target+" "+o.host))
	}
	if h.body != o.body {
		what = append(what, fmt.Sprintf("body %q, %q", h.body, o.body))
	}
	return slices.Concat(what, headersDiffer("field", h.fields, o.fields), headersDiffer("trailer", h.trailers, o.trailers))
}

// headersDiffer names the fields that are not the same in both.
func headersDiffer(kind string, a, b http.Header, but ...string) (what []string) {
	names := slices.Sorted(maps.Keys(a))
	for name := range maps.Keys(b) {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Equal(a[name], b[name]) && !slices.Contains(but, name) {
			what = append(what, fmt.Sprintf("%s %s %.200q, %.200q", kind, name, a[name], b[name]))
		}
	}
	return what
}
