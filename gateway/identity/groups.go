// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Groups say which groups users are in, as a file of Apache's mod_authz_groupfile
// does: "group: user user" a line. It is immutable.
type Groups struct {
	of map[string][]string // by user, sorted
}

// ReadGroups reads a groups file; name is what messages call it. A group may
// stand on several lines. Users that nobody can prove to be do no harm.
func ReadGroups(name string, text []byte) (*Groups, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	g := &Groups{of: make(map[string][]string)}
	for i, line := range lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		group, users, ok := strings.Cut(line, ":")
		group = strings.TrimSpace(group)
		switch {
		case !utf8.ValidString(line):
			return nil, &FileError{name, i + 1, "the line is no UTF-8 text"}
		case !ok || group == "" || strings.ContainsAny(group, " \t") || hasControl(group) || len(group) > maxName:
			return nil, &FileError{name, i + 1, "the line is not a group, a colon and its users"}
		}
		for _, u := range strings.Fields(users) {
			user, err := UserName(u)
			if err != nil {
				return nil, &FileError{name, i + 1, fmt.Sprintf("group %q: a name that no user has", group)}
			}
			g.of[user] = append(g.of[user], group)
		}
	}
	for u, of := range g.of {
		slices.Sort(of)
		g.of[u] = slices.Compact(of)
	}
	return g, nil
}
