// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// A Fix is a change that a Diagnostic's hint describes so exactly that a
// program can make it.
type Fix struct {
	Title string
	Edit  Edit
}

var (
	fixMeant   = regexp.MustCompile(`^did you mean "([^"]+)"\?$`)
	fixWrite   = regexp.MustCompile(`^write ("[^"]+")$`)
	fixMethod  = regexp.MustCompile(`: write ([A-Z][A-Z-]*)$`)
	fixNetwork = regexp.MustCompile(`^write (\S+) for the network or (\S+) for the address$`)
)

// Fixes are the changes to the policy file that would settle d; none when it
// takes a person to say what was meant. Where there are several, they exclude
// each other.
func (d Diagnostic) Fixes() []Fix {
	line := []rune(d.Source)
	if d.Col < 1 || d.Col-1+d.Len > len(line) || d.Len < 1 {
		return nil
	}
	written := string(line[d.Col-1 : d.Col-1+d.Len])
	quote := ""
	if len(written) >= 2 && strings.ContainsAny(written[:1], `"'`) && strings.HasSuffix(written, written[:1]) {
		quote = written[:1]
	}
	fix := func(title, text string) Fix {
		return Fix{title, Edit{Span{d.Line, d.Col, d.Len}, text}}
	}
	change := func(to string) Fix { return fix("Change to "+to, quote+to+quote) }
	if m := fixMeant.FindStringSubmatch(d.Hint); m != nil && d.Code != "P077" { // which speaks of a place inside an expression
		if quote == "" && strings.Trim(m[1], "0123456789.") == "" {
			return []Fix{fix("Change to "+m[1], `"`+m[1]+`"`)} // a number to YAML
		}
		return []Fix{change(m[1])}
	}
	if m := fixWrite.FindStringSubmatch(d.Hint); m != nil {
		return []Fix{fix("Write "+m[1], m[1])}
	}
	if m := fixMethod.FindStringSubmatch(d.Hint); m != nil && d.Code == "P074" {
		return []Fix{change(m[1])}
	}
	if m := fixNetwork.FindStringSubmatch(d.Hint); m != nil {
		return []Fix{change(m[1]), change(m[2])}
	}
	if d.Code == "P010" {
		domain, ok := strings.CutPrefix(strings.Trim(written, `"'`), "*")
		if h, err := parsePolicyHost(strings.TrimPrefix(domain, ".")); ok && strings.HasPrefix(domain, ".") && err == nil && !h.IsAddr() {
			return []Fix{fix(fmt.Sprintf("Write %s: %s and every name below it", domain, domain[1:]), quote+domain+quote)}
		}
	}
	return nil
}
