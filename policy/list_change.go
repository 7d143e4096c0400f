// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A ListEdit is what is to change on a list of a policy.
type ListEdit struct {
	List   string   // its name under destinations
	File   string   // of the list, as the policy names it; "" when it has one place only
	Inline bool     // the entries in the policy itself are meant, though it has files too
	Add    []string // entries
	Remove []string
	Pin    bool // change the sha256 of a pinned file too
}

// A ListChange is what a ListEdit comes to. Nothing is written yet.
type ListChange struct {
	Files   []FileChange // in the order in which they should be written
	Where   string       // the file with the entries
	Added   []string
	Removed []string
	Notes   []string // entries that were there already, and the like
}

// A FileChange is a new content for a file.
type FileChange struct {
	Path          string // absolute
	Before, After []byte
}

// EditList works out what e does to the policy at path. The policy loads as it
// is, and with the change, or there is an *Error; other errors say why that
// cannot be done to that list. Every file is read by read.
func EditList(path string, e ListEdit, read Reader) (*ListChange, error) {
	for _, w := range slices.Concat(e.Add, e.Remove) {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r == '#' || unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			return nil, fmt.Errorf("%q cannot be on a list: it is not one word", w)
		}
	}
	files, err := policyTexts(path, read)
	if err != nil {
		return nil, err
	}
	f, n := findList(files, e.List)
	if n == nil {
		hint := suggest(e.List, listNames(files))
		if hint != "" {
			hint = "; " + hint
		}
		return nil, fmt.Errorf("%s has no list %q under destinations%s", path, e.List, hint)
	}
	file, err := e.place(f, n)
	if err != nil {
		return nil, err
	}
	c := &ListChange{}
	if file == nil {
		err = c.inline(f, n, e)
	} else {
		err = c.file(f, file, e, files, read)
	}
	if err != nil || len(c.Files) == 0 {
		return c, err
	}
	if _, err := LoadWith(path, c.reader(read)); err != nil {
		return nil, err
	}
	return c, nil
}

// reader reads the files as they are to be.
func (c *ListChange) reader(read Reader) Reader {
	return func(path string, limit int64) ([]byte, time.Time, error) {
		for _, f := range c.Files {
			if f.Path == path {
				if int64(len(f.After)) > limit {
					return nil, time.Time{}, fmt.Errorf("it would be larger than %d MiB", limit>>20)
				}
				return f.After, time.Now(), nil
			}
		}
		return read(path, limit)
	}
}

func findList(files []*policyText, name string) (*policyText, *node) {
	for _, f := range files {
		if n := f.tree.get("destinations").get(name); n != nil {
			return f, n
		}
	}
	return nil, nil
}

// place is the entry with the file that e is about; nil: the entries in the
// policy itself.
func (e *ListEdit) place(f *policyText, n *node) (*node, error) {
	var files []*node
	var names []string
	for _, d := range n.each() {
		if d.has("file") {
			files, names = append(files, d), append(names, d.get("file").text)
		}
	}
	switch i := slices.Index(names, e.File); {
	case e.Inline:
		return nil, nil
	case e.File != "" && i < 0:
		return nil, fmt.Errorf("list %q has no file %s: it has %s", e.List, e.File, orNone(names))
	case e.File != "":
		return files[i], nil
	case len(files) == 0:
		return nil, nil
	case len(files) > 1:
		return nil, fmt.Errorf("list %q has the files %s: say which with --file", e.List, strings.Join(names, " and "))
	case len(n.each()) > 1:
		return nil, fmt.Errorf("list %q has entries in %s and in the file %s: say which with --inline or --file %s", e.List, f.shown, names[0], names[0])
	}
	return files[0], nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

// file changes the file of a list, and its pins.
func (c *ListChange) file(f *policyText, n *node, e ListEdit, files []*policyText, read Reader) error {
	name := n.get("file").text
	c.Where = f.beside(name)
	full, err := filepath.Abs(c.Where)
	if err != nil {
		return err
	}
	src, _, err := read(full, maxList)
	if err != nil {
		return unreadable(c.Where, err)
	}
	format, match := listReading(n)
	t := readListText(src, format, match)
	bad := t.bad
	added, err := t.add(e.Add)
	if err != nil {
		return err
	}
	removed, err := t.remove(e.Remove)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Where, err)
	}
	c.Added, c.Removed, c.Notes = added.done, removed.done, append(added.told, removed.told...)
	after := t.bytes()
	if bytes.Equal(src, after) {
		return nil
	}
	if t.bad != bad {
		return fmt.Errorf("%s would have more bad lines than before: edit it by hand", c.Where)
	}
	c.Files = []FileChange{{full, src, after}}
	return c.pins(full, after, e, files)
}

// pins changes every sha256 of the file.
func (c *ListChange) pins(list string, content []byte, e ListEdit, files []*policyText) error {
	sum := sha256.Sum256(content)
	for _, f := range files {
		d := &Draft{src: f.src}
		var edits []Edit
		for _, p := range f.tree.get("destinations").all() {
			for _, n := range p.value.each() {
				if pin := n.get("sha256"); pin != nil && f.names(n.get("file").text, list) {
					if !e.Pin {
						return fmt.Errorf("%s is pinned by its sha256 on line %d of %s: with --pin, that is changed too", c.Where, pin.line, f.shown)
					}
					edits = append(edits, Edit{pin.span(), hex.EncodeToString(sum[:])})
				}
			}
		}
		if edits != nil {
			c.Files = append(c.Files, FileChange{f.path, f.src, d.Apply(edits)})
		}
	}
	return nil
}

// names reports whether a file that f names is the one at an absolute path.
func (f *policyText) names(name, path string) bool {
	full, err := filepath.Abs(f.beside(name))
	return err == nil && full == path
}

// all are the pairs of a mapping, of nil none.
func (n *node) all() []pair {
	if n == nil {
		return nil
	}
	return n.pairs
}
