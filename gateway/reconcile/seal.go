// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key seals cookies. Whoever has it can read and make those of every client. A
// nil Key seals nothing: what would have to be sealed is not passed on.
type Key []byte

// KeySize is that of a Key, in bytes.
const KeySize = 32

// A sealed cookie is kept by a client under a name of the gateway's own, which
// says what it is called at the origin and where it goes; its value is encrypted and
// good for one client, one place and one name, until the cookie is over. Everything
// there is to know of it is in it, so nothing is remembered of it here.
//
//	sallyport-0-NAME  of one host and no other
//	sallyport-2-NAME  of everything below the last two labels of the host
//	sallyport-m-NAME  no value: says of the cookie NAME that it was Secure
const ours = "sallyport-"

// marking says that NAME, which stays what it is, was Secure.
const marking = ours + "m-"

// sealing are the ways to encode what is sealed: characters of any cookie's value.
var sealing = base64.RawURLEncoding.Strict()

// A place is where a cookie goes: to host alone, or to domain and all below it.
type place struct {
	labels int // of the domain; 0: host alone
	name   string
}

// placeOf is where a cookie of host goes that says Domain (RFC 6265 §5.2.3, §5.3);
// false when host cannot say so, and its clients do not keep it.
func placeOf(host, domain string) (place, bool) {
	domain = strings.ToLower(strings.TrimPrefix(domain, "."))
	switch {
	case domain == "":
		return place{0, host}, true
	case isAddr(host):
		return place{0, host}, domain == host || "["+host+"]" == domain
	case domain != host && !strings.HasSuffix(host, "."+domain):
		return place{}, false
	}
	return place{1 + strings.Count(domain, "."), domain}, true
}

func isAddr(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Contains(host, ":") || last != "" && last[0] >= '0' && last[0] <= '9'
}

// placeIn is the place of a cookie that came to host; false when it was not made to.
func placeIn(host string, labels int) (place, bool) {
	if labels == 0 {
		return place{0, host}, true
	}
	from := len(host)
	for range labels {
		if from <= 0 {
			return place{}, false
		}
		from = strings.LastIndexByte(host[:from], '.')
	}
	return place{labels, host[from+1:]}, !isAddr(host)
}

// sealedName is what a client calls a cookie of that name and place.
func (p place) sealedName(name string) string { return ours + strconv.Itoa(p.labels) + "-" + name }

// readName is the reverse. labels is -1 for a marking.
func readName(ourName []byte) (labels int, name string, ok bool) {
	rest, ok := strings.CutPrefix(string(ourName), ours)
	if !ok {
		return 0, "", false
	}
	digits, name, ok := strings.Cut(rest, "-")
	if !ok || name == "" {
		return 0, "", false
	}
	if digits == "m" {
		return -1, name, true
	}
	labels, err := strconv.Atoi(digits)
	if err != nil || labels < 0 || strconv.Itoa(labels) != digits || labels > 127 {
		return 0, "", false
	}
	return labels, name, true
}

// aead is made for one client, place and name: so a sealed value is good nowhere
// else, and no key meets many nonces.
func (k Key) aead(client string, p place, name string) cipher.AEAD {
	h := hmac.New(sha256.New, k)
	for _, part := range []string{"cookie that ends", client, strconv.Itoa(p.labels), p.name, name} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		panic("reconcile: " + err.Error()) // 32 bytes are a key
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("reconcile: " + err.Error())
	}
	return a
}

// longestLife is how long a cookie is good at most, one without an end of its own
// included (RFC 6265bis §5.5).
const longestLife = 400 * 24 * time.Hour

// endSize is that of what stands before a value: the second when it is over, as Unix
// counts.
const endSize = 8

func (k Key) seal(client string, p place, name string, value []byte, end time.Time) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, uint64(end.Unix())), value...)
	return sealing.AppendEncode(nil, k.aead(client, p, name).Seal(nil, nil, b, nil))
}

// open is the reverse of seal; false also for a cookie that is over at now.
func (k Key) open(client string, p place, name string, sealed []byte, now time.Time) ([]byte, bool) {
	if len(k) == 0 || len(sealed) < sealedSize(0) {
		return nil, false
	}
	b, err := sealing.AppendDecode(nil, sealed)
	if err != nil {
		return nil, false
	}
	b, err = k.aead(client, p, name).Open(nil, nil, b, nil)
	if err != nil || now.Unix() >= int64(binary.BigEndian.Uint64(b)) {
		return nil, false
	}
	return b[endSize:], true
}

// NewKey makes a Key.
func NewKey() Key {
	k := make(Key, KeySize)
	_, _ = rand.Read(k) // never fails
	return k
}

// sealedSize is how long n bytes are when they are sealed.
func sealedSize(n int) int { return sealing.EncodedLen(12 + endSize + n + 16) }

// kept is list without what is there twice.
func kept(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}
