// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package hsts

import (
	"bytes"
	"time"
)

// read is a field's value (RFC 6797 §6.1): directives, each once, in any case and
// order, of which max-age has to be there. Unknown ones are ignored.
func read(value []byte) (age time.Duration, subdomains, ok bool) {
	aged := false
	for part := range bytes.SplitSeq(value, []byte{';'}) {
		name, v, has := bytes.Cut(part, []byte{'='})
		name, v = bytes.Trim(name, " \t"), bytes.Trim(v, " \t")
		switch {
		case bytes.EqualFold(name, []byte("max-age")):
			if aged || !has {
				return 0, false, false
			}
			if age, aged = seconds(v); !aged {
				return 0, false, false
			}
		case bytes.EqualFold(name, []byte("includeSubDomains")):
			if subdomains || has {
				return 0, false, false
			}
			subdomains = true
		}
	}
	return age, subdomains, aged
}

// seconds is a number, which quotes may stand around.
func seconds(v []byte) (time.Duration, bool) {
	if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
		v = v[1 : n-1]
	}
	if len(v) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), int64(longest/time.Second))
	}
	return time.Duration(n) * time.Second, true
}
