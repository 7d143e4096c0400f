// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// A long list is compiled once into a file: its table, which is mapped into
// memory from then on. The file is named for the content of the list and for
// how that is read, and holds
//
//	magic     8 bytes, with the version of the format and of how lists are read
//	sum      32 bytes: SHA-256 of all that follows
//	sizes     8 bytes each: of meta, slots and names
//	meta     JSON, filled up with spaces
//	slots, names
//
// It is written whole under another name and never changed.
const (
	compiledMagic = "sallyp\x00\x01"
	compiledHead  = len(compiledMagic) + sha256.Size + 3*8
	compiledExt   = ".names"
	compiledKeep  = 30 * 24 * time.Hour
)

type compiledMeta struct {
	List   string // SHA-256 of the list's file, in hex
	Format string
	Match  string
	Count  int
	Seed   uint64
	Depth  uint64
	Nets   []netip.Prefix `json:",omitempty"`
	Bad    badLines
}

// replacedError says why a compiled list was not used. It has been made again.
type replacedError struct{ err error }

func (e *replacedError) Error() string {
	return fmt.Sprintf("what was compiled of it before could not be used and is made again: %v", e.err)
}

var errCompiled = errors.New("it is not a whole file of a compiled list")

// compiledName is the name of the file for a list with that content.
func compiledName(sum [32]byte, how listFormat) string {
	return fmt.Sprintf("%x-%s-%s%s", sum, how.format, how.match, compiledExt)
}

// openCompiled maps the file, after it has been proven to be what was written
// for this list. The error is fs.ErrNotExist when there is none.
func openCompiled(file string, sum [32]byte, how listFormat) (*hostSet, error) {
	m, err := mapFile(file)
	if err != nil {
		return nil, bare(err)
	}
	set, err := decodeCompiled(m.bytes, sum, how)
	if err != nil {
		m.unmap()
		return nil, err
	}
	m.unmapAfter(set.listed.table)
	now := time.Now()
	_ = os.Chtimes(file, now, now) // in use; see prune
	return set, nil
}

func decodeCompiled(b []byte, sum [32]byte, how listFormat) (*hostSet, error) {
	if len(b) < compiledHead || string(b[:len(compiledMagic)]) != compiledMagic {
		return nil, errCompiled
	}
	rest := b[len(compiledMagic)+sha256.Size:]
	if got := sha256.Sum256(rest); string(got[:]) != string(b[len(compiledMagic):][:sha256.Size]) {
		return nil, errCompiled
	}
	var parts [3][]byte
	sizes := rest
	rest = rest[3*8:]
	for i := range parts {
		n := binary.LittleEndian.Uint64(sizes[8*i:])
		if n > uint64(len(rest)) {
			return nil, errCompiled
		}
		parts[i], rest = rest[:n:n], rest[n:]
	}
	var m compiledMeta
	if err := json.Unmarshal(parts[0], &m); err != nil || len(rest) > 0 {
		return nil, errCompiled
	}
	if m.List != fmt.Sprintf("%x", sum) || m.Format != how.format || m.Match != how.match {
		return nil, errors.New("it was made of another list")
	}
	t := &nameTable{seed: m.Seed, depth: m.Depth, count: m.Count, slots: parts[1], names: parts[2]}
	if !t.sound() {
		return nil, errCompiled
	}
	return &hostSet{nets: m.Nets, listed: &nameList{table: t, count: m.Count, bad: m.Bad}}, nil
}

// sound reports whether t's slots and records can be a table: as many of the
// ones as of the others, records that end where the next begins, and an empty
// slot to end a search.
func (t *nameTable) sound() bool {
	n := len(t.slots) / slotSize
	if len(t.slots)%slotSize != 0 || t.count < 0 || t.count >= n {
		return false
	}
	used := 0
	for i := range n {
		slot := binary.LittleEndian.Uint64(t.slots[i*slotSize:])
		if slot == 0 {
			continue
		}
		used++
		if at := slot & (1<<placeBits - 1); at == 0 || at+recordHead > uint64(len(t.names)) {
			return false
		}
	}
	records := 0
	for at := 0; at < len(t.names); records++ {
		if len(t.names)-at < recordHead {
			return false
		}
		at += recordHead + int(t.names[at+4])
		if at > len(t.names) {
			return false
		}
	}
	return used == t.count && records == t.count
}

// writeCompiled makes the file, and its directory.
func writeCompiled(file string, sum [32]byte, how listFormat, set *hostSet) (err error) {
	l := set.listed
	meta, err := json.Marshal(compiledMeta{
		List: fmt.Sprintf("%x", sum), Format: how.format, Match: how.match, Count: l.count,
		Seed: l.table.seed, Depth: l.table.depth, Nets: set.nets, Bad: l.bad,
	})
	if err != nil {
		return err
	}
	dir := filepath.Dir(file)
	state := filepath.Dir(dir)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		give(dir, state)
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	prune(dir, time.Now().Add(-compiledKeep))
	f, err := os.CreateTemp(dir, "*.part") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	for len(meta)%slotSize != 0 {
		meta = append(meta, ' ')
	}
	var sizes []byte
	parts := [][]byte{nil, meta, l.table.slots, l.table.names}
	for _, p := range parts[1:] {
		sizes = binary.LittleEndian.AppendUint64(sizes, uint64(len(p)))
	}
	parts[0] = sizes
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	for _, p := range append([][]byte{h.Sum([]byte(compiledMagic))}, parts...) {
		if _, err := f.Write(p); err != nil {
			return err
		}
	}
	give(f.Name(), dir)
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
	return nil
}

// prune removes what was compiled or begun and has not been used since. A file
// that is mapped stays until it is not.
func prune(dir string, since time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != compiledExt && ext != ".part" {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().Before(since) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// A mappedFile is one whose bytes are in memory, whether read or mapped.
type mappedFile struct {
	bytes []byte
	undo  func([]byte)
}

func (m mappedFile) unmap() {
	if m.undo != nil {
		m.undo(m.bytes)
	}
}

// owned refuses a file that somebody else could have written.
func owned(info fs.FileInfo, mine bool) error {
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !mine:
		return errors.New("it belongs to somebody else")
	case info.Mode()&0o022 != 0:
		return errors.New("others can write it")
	}
	return nil
}

// A CompiledList is what CompileList has made.
type CompiledList struct {
	List  string // the list's file
	File  string // that of the compiled list; "" when it is too short to have one
	Names int
	Nets  int
	Bytes int64 // of File
	Bad   int   // lines left out
	New   bool  // false: it was there already
	Took  time.Duration
}

// CompileList puts the list file at path into the directory cache, where every
// policy that names it finds it (see Loader). Format and match are as in a
// policy, and may be "". A list of at most 100,000 names is not worth a file and
// only counted.
func CompileList(path, format, match, cache string) (CompiledList, error) {
	begin := time.Now()
	how := formatOf(format, match)
	out := CompiledList{List: path}
	switch {
	case how.format != "domains" && how.format != "hosts" || how.match != "below" && how.match != "exact":
		return out, fmt.Errorf("compiling %s: lists of names are compiled, format domains or hosts, match below or exact", path)
	case cache == "":
		return out, fmt.Errorf("compiling %s: no directory is given to keep it in", path)
	}
	src, _, err := ReadFile(path, maxList)
	if err != nil {
		return out, fmt.Errorf("compiling %s: %w", path, bare(err))
	}
	l := &listFile{src: src, sum: sha256.Sum256(src)}
	file := filepath.Join(cache, compiledName(l.sum, how))
	before, _ := os.Stat(file)
	set, err := l.parse(how, cache)
	if damage := new(replacedError); err != nil && !errors.As(err, &damage) {
		return out, fmt.Errorf("compiling %s: %w", path, err)
	}
	out.Names, out.Nets, out.Bad = set.listed.count, len(set.nets), set.listed.bad.Count
	if info, err := os.Stat(file); err == nil && set.listed.table != nil {
		out.File, out.Bytes = file, info.Size()
		out.New = before == nil || !os.SameFile(before, info)
	}
	out.Took = time.Since(begin)
	return out, nil
}
