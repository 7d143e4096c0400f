// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"maps"
	"slices"
	"strings"
)

// badPath is a path that cannot be brought to one form.
const badPath = "/%2F"

// cutPaths has a path of each class the patterns of rules can tell apart.
// Where that would be too many, it has those of each pattern by itself.
func (c *cut) cutPaths(rules []*Rule) []string {
	var patterns []pathPattern
	reads := false
	for _, r := range rules {
		patterns = append(patterns, r.paths...)
		for _, u := range c.urlPrefixes(r) {
			patterns = append(patterns, u.path...)
		}
		reads = reads || r.when != nil && r.when.readsPath
	}
	if len(patterns) == 0 {
		if reads {
			return []string{"/", badPath}
		}
		return []string{"/"}
	}
	longest, number := 0, 1
	for _, p := range patterns {
		longest = max(longest, len(p.segments))
	}
	segments := make([][]string, longest+1) // what can stand at each place
	for i := range segments {
		segments[i] = append(segmentsAt(patterns, i), freshSegment(patterns))
		slices.Sort(segments[i])
		segments[i] = slices.Compact(segments[i])
		number = min(number*(len(segments[i])+1), maxPaths+1)
	}
	paths := []string{"/"}
	if number <= maxPaths {
		level := []string{""}
		for i := range segments {
			var next []string
			for _, p := range level {
				for _, s := range segments[i] {
					next = append(next, p+"/"+s)
				}
			}
			paths = append(paths, next...)
			level = next
		}
	} else {
		c.doubt("paths that two patterns speak of were not looked for")
		for _, p := range patterns {
			paths = append(paths, p.instances(freshSegment(patterns), longest)...)
		}
	}
	for _, p := range slices.Clone(paths) { // a slash at the end, and one too many
		if p != "/" {
			paths = append(paths, p+"/")
			if i := strings.LastIndexByte(p, '/'); i > 0 || len(segments) == 1 {
				paths = append(paths, p[:i]+"/"+p[i:])
			}
		}
	}
	return append(paths, badPath)
}

// segmentsAt are the segments that patterns speak of at a place, with their
// stars filled in.
func segmentsAt(patterns []pathPattern, i int) []string {
	var at []string
	for _, p := range patterns {
		if i >= len(p.segments) || p.segments[i] == "*" {
			continue
		}
		at = append(at, strings.ReplaceAll(p.segments[i], "*", "x"))
		if strings.Contains(p.segments[i], "*") {
			at = append(at, strings.ReplaceAll(p.segments[i], "*", ""))
			for _, q := range patterns {
				if i < len(q.segments) && strings.Contains(q.segments[i], "*") {
					if both, ok := bothMatch(p.segments[i], q.segments[i]); ok {
						at = append(at, both)
					}
				}
			}
		}
	}
	return slices.DeleteFunc(at, func(s string) bool { return s == "" })
}

// freshSegment is a segment no pattern speaks of but by a star.
func freshSegment(patterns []pathPattern) string {
	for _, s := range []string{"x", "some", "other"} {
		taken := slices.ContainsFunc(patterns, func(p pathPattern) bool {
			return slices.ContainsFunc(p.segments, func(q string) bool { return q != "*" && starMatch(q, s) })
		})
		if !taken {
			return s
		}
	}
	return "q7zx"
}

// instances are paths of the pattern: itself with its stars filled in and,
// when it has what is below, paths of each depth up to one below depth.
func (p *pathPattern) instances(fresh string, depth int) []string {
	path := ""
	for _, s := range p.segments {
		path += "/" + strings.ReplaceAll(s, "*", fresh)
	}
	paths := []string{max(path, "/")}
	for n := len(p.segments); p.below && n <= depth; n++ {
		path += "/" + fresh
		paths = append(paths, path)
	}
	return paths
}

// urlPrefixes are the URLs of to and to_except, whatever their hosts, always in
// the same order.
func (c *cut) urlPrefixes(r *Rule) []urlPrefix {
	if !r.urls {
		return nil
	}
	found, ok := c.urls[r]
	if !ok {
		found = r.toExcept.urlPrefixes(r.to.urlPrefixes(nil))
		if len(found) > maxURLs {
			c.doubt("%d URLs were asked about, and there are more", maxURLs)
			found = found[:maxURLs]
		}
		if c.urls == nil {
			c.urls = make(map[*Rule][]urlPrefix)
		}
		c.urls[r] = found
	}
	return found
}

// urlPrefixes appends the URLs of s and its lists to found until there are too many.
func (s *hostSet) urlPrefixes(found []urlPrefix) []urlPrefix {
	for _, h := range slices.SortedFunc(maps.Keys(s.urls), Host.compare) {
		if found = append(found, s.urls[h]...); len(found) > maxURLs {
			return found
		}
	}
	for _, l := range s.lists {
		if len(found) <= maxURLs {
			found = l.urlPrefixes(found)
		}
	}
	return found
}
