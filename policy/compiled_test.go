// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// compiledBytes is the file of a list, and the list.
func compiledBytes(t testing.TB, dir, src string, how listFormat) ([]byte, *listFile) {
	t.Helper()
	l := &listFile{src: []byte(src), sum: sha256.Sum256([]byte(src))}
	r := listReader{listFormat: how, set: &hostSet{listed: &nameList{}}}
	r.read(src)
	names := r.set.listed
	names.table = newTable(names.count)
	names.table.seed = 1 // the same file in every process
	for name := range names.names() {
		names.table.setValue(names.table.place(name), nameAndBelow)
	}
	names.count = names.table.count
	file := filepath.Join(dir, compiledName(l.sum, how))
	if err := writeCompiled(file, l.sum, how, r.set); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b, l
}

const shortList = "a.example\n.b.example\nc.d.example\n192.0.2.7\nnot good\nA.example\n"

// FuzzCompiledList: what is not the file that was written is not taken for it;
// and a file with the right sum, which only its maker can make, may be wrong but
// does no harm.
func FuzzCompiledList(f *testing.F) {
	how := listFormat{"domains", "below"}
	good, l := compiledBytes(f, f.TempDir(), shortList, how)
	f.Add(good, uint32(0), byte(0))
	f.Add(good[:len(good)-1], uint32(0), byte(0))
	f.Add(good[:compiledHead], uint32(0), byte(1))
	for i := range 64 {
		f.Add(good, uint32(i*len(good)/64), byte(1<<(i%8)))
	}
	f.Add([]byte(nil), uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, flip byte) {
		b = append([]byte(nil), b...)
		if len(b) > 0 {
			b[int(at)%len(b)] ^= flip
		}
		if _, err := decodeCompiled(b, l.sum, how); err == nil && string(b) != string(good) {
			t.Fatal("another file is taken for the list's")
		}
		harmless(b, l, how)
	})
}

// harmless gives b the sum it should have and asks it of names, which may
// neither panic nor go on for ever. It reports whether b was taken.
func harmless(b []byte, l *listFile, how listFormat) bool {
	if len(b) < compiledHead {
		return false
	}
	copy(b, compiledMagic)
	sum := sha256.Sum256(b[len(compiledMagic)+sha256.Size:])
	copy(b[len(compiledMagic):], sum[:])
	set, err := decodeCompiled(b, l.sum, how)
	if err != nil {
		return false
	}
	for _, name := range []string{"", ".", "a.example", "x.a.example", "x.b.example", "c.d.example", "example", strings.Repeat("a.", 130)} {
		set.listed.has(name)
	}
	return true
}

// What the fuzzer does, without its pace.
func TestForgedCompiledListsAreHarmless(t *testing.T) {
	how := listFormat{"domains", "below"}
	good, l := compiledBytes(t, t.TempDir(), shortList, how)
	r := rand.New(rand.NewPCG(5, 5))
	taken := 0
	for range 100_000 {
		b := append([]byte(nil), good...)
		for range 1 + r.IntN(4) {
			at := r.IntN(len(b))
			if r.IntN(2) == 0 { // sizes, and what they lead to
				at = compiledHead - r.IntN(24) - 1
			}
			b[at] = byte(r.Uint32())
		}
		if harmless(b[:len(b)-r.IntN(2)*r.IntN(len(b))], l, how) {
			taken++
		}
	}
	if taken == 0 {
		t.Error("no forgery got as far as being asked")
	}
}

// Every byte of the file counts.
func TestCompiledListIsProven(t *testing.T) {
	how := listFormat{"domains", "below"}
	good, l := compiledBytes(t, t.TempDir(), shortList, how)
	if set, err := decodeCompiled(good, l.sum, how); err != nil || !set.has(Host{Name: "x.a.example"}) || set.has(Host{Name: "example"}) {
		t.Fatal("the file as it was written is no good:", err)
	}
	for i := range good {
		for _, flip := range []byte{1, 0x80} {
			b := append([]byte(nil), good...)
			b[i] ^= flip
			if _, err := decodeCompiled(b, l.sum, how); err == nil {
				t.Fatalf("byte %d may be anything", i)
			}
		}
		if _, err := decodeCompiled(good[:i], l.sum, how); err == nil {
			t.Fatalf("%d bytes are enough", i)
		}
	}
	for _, other := range []struct {
		sum [32]byte
		how listFormat
	}{{sha256.Sum256([]byte("z")), how}, {l.sum, listFormat{"hosts", "below"}}, {l.sum, listFormat{"domains", "exact"}}} {
		if _, err := decodeCompiled(good, other.sum, other.how); err == nil || err.Error() != "it was made of another list" {
			t.Errorf("%v: %v", other.how, err)
		}
	}
}

// A table that is full of slots and has none for a name would be searched
// forever; one whose slots point anywhere reads what is not there.
func TestUnsoundTablesAreRefused(t *testing.T) {
	full := newTable(2)
	full.place("a.example")
	for at := 0; at < len(full.slots); at += slotSize {
		binary.LittleEndian.PutUint64(full.slots[at:], 1)
	}
	wild := newTable(2)
	wild.place("a.example")
	for at := 0; at < len(wild.slots); at += slotSize {
		if s := binary.LittleEndian.Uint64(wild.slots[at:]); s != 0 {
			binary.LittleEndian.PutUint64(wild.slots[at:], s|1<<39)
		}
	}
	overlong := newTable(2)
	overlong.names[overlong.place("a.example")+4] = 200
	counted := newTable(2)
	counted.place("a.example")
	counted.count = 2
	for name, x := range map[string]*nameTable{"full": full, "wild": wild, "overlong": overlong, "counted": counted} {
		if x.sound() {
			t.Errorf("%s: sound", name)
		}
		x.covers("a.example") // ends, and does not panic
		x.covers("b.example")
	}
}

// mappings counts the mappings of files in dir that this process has.
func mappings(t *testing.T, dir string) int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip("no /proc/self/maps to see mappings in: ", err)
	}
	return strings.Count(string(maps), dir)
}

// A list stays mapped while a policy has it, and no longer.
func TestMappedListGoesWithItsPolicy(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("mappings are seen in Linux's /proc")
	}
	replace(t, &longNames, 10)
	dir, cache := t.TempDir(), t.TempDir()
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "n%d.example\n", i)
	}
	writeText(t, filepath.Join(dir, "long.txt"), b.String())
	file := filepath.Join(dir, "policy.yaml")
	writeText(t, file, "version: 1\nrules: [{name: a, from: any, to: listed, mode: tunnel}]\ndestinations: {listed: {file: long.txt}}\n")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				p, err := Loader{ListCache: cache}.Load(file)
				if err != nil || len(p.Warnings()) > 0 {
					t.Error(err, p.Warnings())
					return
				}
				q, _ := ParseRequest("CONNECT x.n7.example:443")
				for range 100 {
					if d := p.Decide(q); d.RuleName() != "a" {
						t.Error(answer(d))
					}
				}
				runtime.GC()
			}
		})
	}
	all.Wait()
	p, err := Loader{ListCache: cache}.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if mappings(t, cache) == 0 {
		t.Error("the list is not mapped")
	}
	runtime.KeepAlive(p)
	for deadline := time.Now().Add(30 * time.Second); mappings(t, cache) > 0; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("nobody has the list, and it is mapped still")
		}
	}
}

// What was compiled and is not used any more is not kept for ever, and nothing
// else in the directory is touched.
func TestUnusedCompiledListsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * compiledKeep)
	for _, name := range []string{"old" + compiledExt, "new" + compiledExt, "old.part", "old.txt"} {
		file := filepath.Join(dir, name)
		writeText(t, file, "x")
		if strings.HasPrefix(name, "old") {
			if err := os.Chtimes(file, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	compiledBytes(t, dir, shortList, listFormat{"domains", "below"})
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	var names []string
	for _, f := range left {
		names = append(names, filepath.Base(f))
	}
	if len(names) != 3 || !strings.Contains(fmt.Sprint(names), "old.txt") || !strings.Contains(fmt.Sprint(names), "new"+compiledExt) {
		t.Errorf("left are %v", names)
	}
}

func TestCompileList(t *testing.T) {
	replace(t, &longNames, 2)
	dir, cache := t.TempDir(), filepath.Join(t.TempDir(), "made", "when", "needed")
	list := filepath.Join(dir, "list.txt")
	writeText(t, list, shortList)
	first, err := CompileList(list, "", "", cache)
	if err != nil || !first.New || first.Names != 3 || first.Nets != 1 || first.Bad != 1 || first.Bytes == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := CompileList(list, "domains", "below", cache)
	if err != nil || again.New || again.File != first.File || again.Names != 3 {
		t.Errorf("again %+v, %v", again, err)
	}
	if info, err := os.Stat(first.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	writeText(t, first.File, "damaged")
	if third, err := CompileList(list, "", "", cache); err != nil || !third.New || third.Names != 3 {
		t.Errorf("after damage %+v, %v", third, err)
	}
	writeText(t, list, "a.example\n")
	if short, err := CompileList(list, "", "", cache); err != nil || short.File != "" || short.Names != 1 {
		t.Errorf("short %+v, %v", short, err)
	}
	for format, want := range map[string]string{"cidr": "compiling " + list + ": lists of names are compiled, format domains or hosts, match below or exact"} {
		if _, err := CompileList(list, format, "", cache); err == nil || err.Error() != want {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := CompileList(filepath.Join(dir, "gone"), "", "", cache); err == nil || !strings.HasSuffix(err.Error(), "gone: no such file or directory") {
		t.Error(err)
	}
	if _, err := CompileList(list, "", "", ""); err == nil {
		t.Error("compiled into no directory")
	}
}
