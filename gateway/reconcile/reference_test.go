// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"regexp"
	"strconv"
	"strings"
)

// What Body, Page and Unpacker do by the byte is here said once more, by regular
// expressions on the whole text.

var (
	// A run is what stands between two bytes that end whatever they are in. It has one link
	// at most, in front of which no URL has begun, and no word goes on.
	aRun  = regexp.MustCompile("[^\\x00-\\x20\\x7f\"'`<>(){}\\[\\]|]+")
	aLink = regexp.MustCompile(`(?s)^((?:[^?/@%\\]*[^A-Za-z0-9+\-._?/@%\\])?[hH][tT][tT][pP])[sS]((?::\\/\\/|://)([^?#&]*))`)
	// What it leads to.
	aTarget = regexp.MustCompile(`(?s)^([A-Za-z0-9._-]+)(?::([1-9][0-9]*)?)?(/.*)?$`)
	// A tag, from its beginning on.
	aTag       = regexp.MustCompile(`(?s)^<[A-Za-z](?:[^>"']|"[^"]*"|'[^']*')*>`)
	integrity  = regexp.MustCompile(`(?i)integrity`)
	notASlash  = regexp.MustCompile(`(?s)\\(?:[^/]|$)`)
	metaTag    = regexp.MustCompile(`(?is)^<meta[ \t\n\f\r/>]`)
	aReference = regexp.MustCompile(`^http://[A-Za-z0-9._-]+(:\d*)?(/|$)`)
)

// allButNo originates everything but hosts with "no" in them.
type allButNo struct{}

func (allButNo) Originates(_, asked string, port uint16) bool {
	if !aReference.MatchString(asked) || port == 80 {
		panic("the policy was asked for " + asked)
	}
	return !strings.Contains(asked, "no")
}

// bodyReference is what Body makes of a text.
func bodyReference(text string) string {
	return aRun.ReplaceAllStringFunc(text, func(run string) string {
		m := aLink.FindStringSubmatch(run)
		if m == nil || len("https")+len(m[2]) > longestLink || notASlash.MatchString(m[3]) {
			return run
		}
		target := aTarget.FindStringSubmatch(strings.ReplaceAll(m[3], `\`, ""))
		if target == nil || target[2] == "80" {
			return run
		}
		if _, err := strconv.ParseUint(target[2], 10, 16); target[2] != "" && err != nil {
			return run
		}
		if !(allButNo{}).Originates("", "http://"+target[0], 0) {
			return run
		}
		return m[1] + m[2] + run[len(m[0]):]
	})
}

// pageReference is what Page makes of one; known says that its characters are.
func pageReference(page string, known bool) string {
	var out strings.Builder
	text := ""
	for len(page) > 0 {
		i := strings.IndexByte(page, '<')
		if i < 0 {
			break
		}
		text, page = text+page[:i], page[i:]
		tag := aTag.FindString(page[:min(len(page), longestTag)])
		switch {
		case len(page) == 1 || !regexp.MustCompile(`^<[A-Za-z]`).MatchString(page):
			tag = page[:1]
			text += tag
		case tag == "":
			tag = page[:min(len(page), longestTag)]
			text += tag
		case metaTag.MatchString(tag):
			equiv, content, charset := meta([]byte(tag)) // FuzzMeta's
			unread := !known && charset != "" && !likeASCII(charset)
			known = known || charset != ""
			switch fit, ok := metaPolicy([]byte(tag), content); {
			case equiv == "content-security-policy" && ok:
				out.WriteString(bodyReference(text) + string(fit))
				text = ""
			case equiv == "content-security-policy" || unread:
				out.WriteString(bodyReference(text) + tag)
				text = ""
			default:
				text += tag
			}
			if unread {
				return out.String() + page[len(tag):]
			}
		case integrity.MatchString(tag):
			out.WriteString(bodyReference(text) + tag)
			text = ""
		default:
			text += tag
		}
		page = page[len(tag):]
	}
	return out.String() + bodyReference(text+page)
}

// saysItself finds what a text says itself of its characters where it begins.
var saysItself = regexp.MustCompile(`(?s)^(?:(\xef\xbb\xbf)|(\xfe\xff|\xff\xfe)|@charset "([^"]*)"|<\?xml(.*?)\?>)`)

// reference is what a Fitting's Text makes of one.
func reference(f Fitting, text string) string {
	m := saysItself.FindStringSubmatch(latin1(text))
	known := f.charset
	switch {
	case m == nil || known && m[1] == "" && m[2] == "" || len(bytesOfLatin1(m[0])) > longestOpening:
	case m[2] != "":
		return text
	case m[1] != "":
		known = true
	default:
		charset := string(bytesOfLatin1(m[3]))
		if strings.HasPrefix(text, "<?xml") {
			charset = labelled(bytesOfLatin1(m[4]), "encoding")
		}
		if !likeASCII(charset) {
			return text
		}
		known = known || charset != ""
	}
	if f.html {
		return pageReference(text, known)
	}
	return bodyReference(text)
}

// latin1 is bytes as characters, for regular expressions, which take bytes that are no
// UTF-8 for one and the same.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func bytesOfLatin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}
