// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package h1

import (
	"bytes"
	"encoding/binary"
)

// A Field is one field line (RFC 9112 §5). Name and Value are as received,
// without the white space around the value, and point into what was parsed.
type Field struct {
	Name, Value []byte
	ID          ID
}

// Fields are a message's field lines in their order.
type Fields []Field

// An ID is a field name that means something to whoever passes messages on.
// Names are told apart once, where they are read.
type ID uint8

// The names known. Everything else is Other.
const (
	Other       ID = iota
	AllowOrigin    // Access-Control-Allow-Origin
	AltSvc
	Connection
	ContentLength
	ContentLocation
	ContentPolicy           // Content-Security-Policy
	ContentPolicyReportOnly // and -Report-Only
	Cookie
	Date
	Expect
	Host
	KeepAlive
	Link
	Location
	MaxForwards
	Origin
	ProxyAuthenticate
	ProxyAuthInfo
	ProxyAuthorization
	ProxyConnection
	Referer
	Refresh
	SetCookie
	StrictTransport // Strict-Transport-Security
	TE
	Trailer
	TransferEncoding
	Upgrade
	Via
)

// names holds the known names by their length, of which most others have none.
var names = [...][]struct {
	lower string
	id    ID
}{
	2:  {{"te", TE}},
	3:  {{"via", Via}},
	4:  {{"host", Host}, {"date", Date}, {"link", Link}},
	6:  {{"expect", Expect}, {"cookie", Cookie}, {"origin", Origin}},
	7:  {{"trailer", Trailer}, {"upgrade", Upgrade}, {"referer", Referer}, {"refresh", Refresh}, {"alt-svc", AltSvc}},
	8:  {{"location", Location}},
	10: {{"connection", Connection}, {"keep-alive", KeepAlive}, {"set-cookie", SetCookie}},
	12: {{"max-forwards", MaxForwards}},
	14: {{"content-length", ContentLength}},
	16: {{"proxy-connection", ProxyConnection}, {"content-location", ContentLocation}},
	17: {{"transfer-encoding", TransferEncoding}},
	18: {{"proxy-authenticate", ProxyAuthenticate}},
	19: {{"proxy-authorization", ProxyAuthorization}},
	23: {{"content-security-policy", ContentPolicy}},
	25: {{"proxy-authentication-info", ProxyAuthInfo}, {"strict-transport-security", StrictTransport}},
	27: {{"access-control-allow-origin", AllowOrigin}},
	35: {{"content-security-policy-report-only", ContentPolicyReportOnly}},
}

// Identify returns the ID of a field name, whatever its case.
func Identify(name []byte) ID {
	if len(name) < len(names) {
		for _, n := range names[len(name)] {
			if EqualFold(name, n.lower) {
				return n.id
			}
		}
	}
	return Other
}

// Get returns the value of the first field with id, nil when there is none.
func (f Fields) Get(id ID) []byte {
	for i := range f {
		if f[i].ID == id {
			return f[i].Value
		}
	}
	return nil
}

// Value returns the value of the first field of that name, "" when there is none.
func (f Fields) Value(name string) string {
	for i := range f {
		if bytes.EqualFold(f[i].Name, []byte(name)) {
			return string(f[i].Value)
		}
	}
	return ""
}

// HasToken reports whether a list-valued field (RFC 9110 §5.6.1) holds token,
// whatever its case. token is in lower case.
func (f Fields) HasToken(id ID, token string) bool {
	for i := range f {
		if f[i].ID == id && hasToken(f[i].Value, token) {
			return true
		}
	}
	return false
}

func hasToken(list []byte, lower string) bool {
	for {
		end := bytes.IndexByte(list, ',')
		if end < 0 {
			return EqualFold(trim(list), lower)
		}
		if EqualFold(trim(list[:end]), lower) {
			return true
		}
		list = list[end+1:]
	}
}

var comma = []byte{','}

// EqualFold compares in ASCII; lower is in lower case. Unicode knows a
// K that is no k to any HTTP parser.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// read takes a field line apart. A line that begins with white space would be
// obsolete folding (RFC 9112 §5.2), white space before the colon is how CL.TE
// desyncs are hidden (§5.1): neither is a token, so both are refused.
func (f *Field) read(line []byte) error {
	n := 0
	for n < len(line) && class[line[n]]&isToken != 0 {
		n++
	}
	if n == 0 || n == len(line) || line[n] != ':' {
		return badName(line, n)
	}
	f.Name = line[:n]
	f.Value = trim(line[n+1:])
	if i := control(f.Value); i >= 0 {
		return badByte(f.Value[i], "field value has a control character")
	}
	f.ID = Identify(f.Name)
	return nil
}

// badName says why the first n bytes of a line are not a field's name.
func badName(line []byte, n int) *Error {
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return bad("folded field line (obs-fold)")
	case bytes.IndexByte(line, ':') <= 0:
		return bad("field line without a name and a colon")
	case line[n] == ' ' || line[n] == '\t':
		return bad("white space before the colon of a field")
	}
	return badByte(line[n], "field name has a character that is not a token's")
}

// control returns where the first byte is that no field's value can have, or -1.
// Values are long: it looks at eight bytes at a time while there is none, and at
// each where there may be (a byte below SP, or DEL).
func control(b []byte) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ each*0x7f
		if ((x-each*' ')&^x|(del-each)&^del)&high == 0 {
			continue
		}
		for j, c := range b[i : i+8] {
			if class[c]&isControl != 0 {
				return i + j
			}
		}
	}
	for ; i < len(b); i++ {
		if class[b[i]]&isControl != 0 {
			return i
		}
	}
	return -1
}

// trim cuts OWS (RFC 9110 §5.6.3) off both ends.
func trim(b []byte) []byte {
	from, to := 0, len(b)
	for from < to && (b[from] == ' ' || b[from] == '\t') {
		from++
	}
	for from < to && (b[to-1] == ' ' || b[to-1] == '\t') {
		to--
	}
	return b[from:to]
}

// A class says what a byte may be part of.
const (
	isToken   uint8 = 1 << iota // tchar of RFC 9110 §5.6.2
	isControl                   // not of a field's value: CTL but for HTAB, §5.5
	isHost                      // of uri-host [":" port], RFC 3986 §3.2.2
)

var class = func() (t [256]uint8) {
	for c := range 256 {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if c >= '0' && c <= '9' || letter {
			t[c] |= isToken | isHost
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			t[c] |= isControl
		}
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] |= isToken
	}
	for _, c := range "!$%&'*+-._~[]:();,=" {
		t[c] |= isHost
	}
	return t
}()
