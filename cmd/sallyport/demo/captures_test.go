// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileName(t *testing.T) {
	for _, c := range []struct {
		column string
		taken  []string
		want   string
	}{
		{"tunnel", nil, "tunnel.pcapng"},
		{"squid tunnel", nil, "squid-tunnel.pcapng"},
		{"../../etc/passwd", nil, "------etc-passwd.pcapng"},
		{"büro\x00", nil, "b-ro-.pcapng"},
		{"a b", []string{"a-b.pcapng", "A-B-2.pcapng"}, "a-b-3.pcapng"},
		{"Tunnel", []string{"tunnel.pcapng"}, "Tunnel-2.pcapng"}, // some file systems do not tell them apart
	} {
		if got := fileName(c.column, c.taken); got != c.want {
			t.Errorf("%q beside %q: %s, want %s", c.column, c.taken, got, c.want)
		}
	}
}

// TestCaptureDir: secrets go where nobody else reads, and where nothing else is.
func TestCaptureDir(t *testing.T) {
	base := t.TempDir()
	path := func(name string) string { return filepath.Join(base, name) }
	for _, err := range []error{
		os.Mkdir(path("open"), 0o777),
		os.Mkdir(path("used"), 0o700), os.WriteFile(path("used/letter"), nil, 0o600),
		os.WriteFile(path("file"), nil, 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"used":  path("used") + " is not empty, and packets do not go where other files are: name a new directory",
		"file":  "looking into " + path("file") + ", where packets are to go: ",
		"no/no": "making a directory for packets: mkdir " + path("no/no") + ": no such file or directory",
	} {
		if _, err := NewCaptureDir(path(name)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	for _, name := range []string{"new", "open"} {
		d, err := NewCaptureDir(path(name))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path(name)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
		d.Abandon()
	}
	if _, err := os.Stat(path("new")); err == nil {
		t.Error("the directory that was made is still there")
	}
	if _, err := os.Stat(path("open")); err != nil {
		t.Error("a directory that was there is gone")
	}
}

// smallResult is of a run with two columns, of so many bytes each.
func smallResult(n int) *Result {
	rec := newRecording()
	for _, column := range []string{"direct", "relay"} {
		f := rec.open("client", column == "direct", netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
		f.add(false, bytes.Repeat([]byte("x"), n))
		f.Column = column
	}
	return &Result{Report: &Report{Columns: []Column{{ID: "direct"}, {ID: "relay"}}}, Recording: rec}
}

// TestNoHalfFiles: on a disk that is full before the last file is whole, nothing is
// left, and whoever asked is told so. The disk is a limit on files here, which the
// kernel keeps in the same place.
func TestNoHalfFiles(t *testing.T) {
	const key = "TEST_CAPTURES_IN"
	if dir := os.Getenv(key); dir != "" {
		d, err := NewCaptureDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Write(smallResult(200_000))
		t.Log(err)
		if err == nil || !strings.Contains(err.Error(), "writing packets: write "+dir+"/") || !strings.HasSuffix(err.Error(), "; no packets were kept") {
			t.Error("that is not what is to be said")
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "wires")
	cmd := exec.Command("sh", "-c", `ulimit -f 64 && exec "$0" -test.v -test.run '^TestNoHalfFiles$'`, os.Args[0])
	cmd.Env = append(os.Environ(), key+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("file too large")) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something is left")
	}
}

// TestWriteBesideAnother: what has come into the directory meanwhile is kept.
func TestWriteBesideAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wires")
	d, err := NewCaptureDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "relay.pcapng"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(smallResult(10)); err == nil {
		t.Error("a file of somebody else was written over")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "relay.pcapng" {
		t.Errorf("%v %v", left, err)
	}
}

// TestKeysOf: a file has the keys of its own sessions and no others.
func TestKeysOf(t *testing.T) {
	random := bytes.Repeat([]byte{0xab}, 32)
	hello := append([]byte{recordHandshake, 3, 1, 0, 44, messageClientHello, 0, 0, 40, 3, 3}, random...)
	log := []byte("# comment\nCLIENT_RANDOM " + strings.Repeat("ab", 32) + " 01\nCLIENT_RANDOM " + strings.Repeat("cd", 32) + " 02\nX " + strings.Repeat("ab", 32) + " 03\n")
	want := "CLIENT_RANDOM " + strings.Repeat("ab", 32) + " 01\nX " + strings.Repeat("ab", 32) + " 03\n"
	for name, c := range map[string]struct {
		sent []byte
		want string
	}{
		"TLS":                 {hello, want},
		"TLS in a CONNECT":    {append([]byte("CONNECT a:1 HTTP/1.1\r\n\r\n"), hello...), want},
		"cut off":             {hello[:40], ""},
		"a CONNECT alone":     {[]byte("CONNECT a:1 HTTP/1.1\r\n\r\n"), ""},
		"plain":               {[]byte("GET / HTTP/1.1\r\n\r\n"), ""},
		"nothing":             {nil, ""},
		"an alert and no key": {append([]byte{recordAlert, 3, 1, 0, 60}, random...), ""},
	} {
		if got := string(keysOf(log, []*Flow{chunked("client", false, Chunk{Data: c.sent})})); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
