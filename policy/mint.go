// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"time"
)

// A Mint says what the certificates are like that are minted for users who ask
// by a rule: templates, of which every one that loads names one user, whoever
// that is. The user's name stands alone in its place, and in the SPIFFE ID behind
// the word "user", which nothing else can be: whatever profiles there are, no
// name of one user, in any of them, is another's. The zero value has the user's
// name alone.
type Mint struct {
	Unit  string        // organizational unit of the subject; "": none
	Path  string        // of the SPIFFE ID, without the slash at its beginning; "": user/{user}
	Email bool          // the user's name is an email address, and stands there as one
	TTL   time.Duration // from a minute to an hour; 0: ten minutes
}

// A Subject is whom a certificate is minted for. It may be compared: equal ones
// may have the same certificate.
type Subject struct {
	User  string
	Email string // "": none
	Unit  string // "": none
	Path  string // of the SPIFFE ID, without the slash at its beginning; "": user/USER
	TTL   time.Duration
}

const (
	userWord = "{user}"
	ruleWord = "{rule}"

	shortestMint = time.Minute
	longestMint  = time.Hour
	mostSegments = 16
	longestName  = 64 // letters of a user, a unit or a segment
)

// Subject fills m for a user and a rule. It refuses a name that is not 1 to 64
// letters, digits and . _ - @, or is a dot or two: any other could end the place
// that it is to stand in.
func (m *Mint) Subject(user, rule string) (Subject, error) {
	s := Subject{User: user, TTL: m.TTL}
	if !segment(user) {
		return s, fmt.Errorf("a certificate can name only users of up to %d letters, digits and . _ - @", longestName)
	}
	if m.Email {
		if at := strings.IndexByte(user, '@'); at < 1 || at != strings.LastIndexByte(user, '@') || at == len(user)-1 {
			return s, fmt.Errorf("a certificate is to have the user's name as an email address, which it is not")
		}
		s.Email = user
	}
	if m.Unit == "" && m.Path == "" {
		return s, nil
	}
	if m.ruled() && !segment(rule) {
		return s, fmt.Errorf("a certificate can name only rules of up to %d letters, digits and . _ - @", longestName)
	}
	fill := strings.NewReplacer(userWord, user, ruleWord, rule) // once: what was filled in is not looked at
	s.Unit, s.Path = fill.Replace(m.Unit), fill.Replace(m.Path)
	return s, nil
}

// ruled reports whether certificates say by which rule.
func (m *Mint) ruled() bool { return strings.Contains(m.Unit+m.Path, ruleWord) }

// describe is m for people; "" for the zero value.
func (m *Mint) describe(rule string) string {
	if *m == (Mint{}) {
		return ""
	}
	var parts []string
	if m.Unit != "" {
		parts = append(parts, "OU="+m.Unit)
	}
	if m.Path != "" {
		parts = append(parts, "spiffe://{trust_domain}/"+m.Path)
	}
	if m.Email {
		parts = append(parts, "email:"+userWord)
	}
	if m.TTL != 0 {
		parts = append(parts, "for "+m.TTL.String())
	}
	return strings.ReplaceAll(strings.Join(parts, ", "), ruleWord, rule)
}

// segment reports whether s can stand in a certificate's name: it is one segment
// of a SPIFFE ID (SPIFFE-ID §2.2), with '@' beside, and nothing that ends or
// escapes anything in a subject, a URI or an email address.
func segment(s string) bool {
	return s != "" && len(s) <= longestName && s != "." && s != ".." && strings.Trim(s, segmentLetters) == ""
}

const segmentLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@"
