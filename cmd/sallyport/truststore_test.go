// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func testRoot(t *testing.T) trustedRoot {
	t.Helper()
	ca, err := newTestCA("Corp")
	if err != nil {
		t.Fatal(err)
	}
	r := newTrustedRoot(ca.cert)
	r.file = "/state/root.pem"
	return r
}

// TestSystemStores: each distribution is known by a directory that only it has,
// and keeps roots in its own way.
func TestSystemStores(t *testing.T) {
	r := testRoot(t)
	for _, c := range []struct {
		dir           string
		ext           string
		added, erased string
	}{
		{"/etc/pki/ca-trust/source/anchors", ".pem", "update-ca-trust extract", "update-ca-trust extract"},
		{"/etc/ca-certificates/trust-source/anchors", ".crt", "trust extract-compat", "trust extract-compat"},
		{"/etc/pki/trust/anchors", ".pem", "update-ca-certificates", "update-ca-certificates"},
		{"/usr/local/share/ca-certificates", ".crt", "update-ca-certificates", "update-ca-certificates --fresh"},
	} {
		root := t.TempDir()
		if s := findSystem(root); s != nil {
			t.Errorf("found in nothing: %s", s)
		}
		if err := os.MkdirAll(root+c.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s := findSystem(root)
		if s == nil {
			t.Errorf("%s: not found", c.dir)
			continue
		}
		file := root + c.dir + "/" + r.name() + c.ext
		got := []string{commandLine(s.add(r)[0]), commandLine(s.added[0]), commandLine(s.del(r)[0]), commandLine(s.deleted[0])}
		want := []string{"install -m 0644 /state/root.pem " + file, c.added, "rm -f " + file, c.erased}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		// Exactly this root counts, under our name.
		other := testRoot(t)
		for _, x := range []struct {
			text []byte
			has  bool
		}{{nil, false}, {other.pem(), false}, {append(r.pem(), other.pem()...), false}, {[]byte("x"), false}, {r.pem(), true}} {
			if x.text != nil {
				if err := os.WriteFile(file, x.text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if has, err := s.has(context.Background(), r); err != nil || has != x.has {
				t.Errorf("%s: has %v, %v, want %v", c.dir, has, err, x.has)
			}
		}
	}
}

// TestInstallWithoutRoot: what only root may do is printed for root, and not tried.
func TestInstallWithoutRoot(t *testing.T) {
	r := testRoot(t)
	cmd := caInstallCommand()
	var out, said bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&said)
	state := t.TempDir()
	c := caInstaller{kinds: storeKinds}
	c.state = state
	if err := c.begin(cmd); err != nil {
		t.Fatal(err)
	}
	r.file = c.record.file(r.sum)
	where := filepath.Join(t.TempDir(), "of root") // is not there, so nobody can write to it
	c.trust(context.Background(), systemStore(where, distributions[3]), []trustedRoot{r})
	err := c.end("install")
	want := "+ sudo install -m 0644 " + r.file + " '" + where + "/" + r.name() + ".crt'\n+ sudo update-ca-certificates\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if err == nil || err.Error() != "the commands that begin with sudo were not run: run them, or sudo sallyport ca install --state "+state {
		t.Errorf("%v", err)
	}
	// They can be run by hand, so what they do is remembered.
	if i := c.record.find("system", where, r.sum); i < 0 {
		t.Error("it is not remembered")
	}
}

// TestTrustRecordLeadsNowhere: who can write the state directory is not who runs
// ca uninstall, perhaps.
func TestTrustRecordLeadsNowhere(t *testing.T) {
	for _, entry := range []string{
		`{"store":"system","where":"/etc","sha256":"../../etc/passwd"}`,
		`{"store":"system","where":"etc","sha256":"` + strings.Repeat("ab", 32) + `"}`,
	} {
		state := t.TempDir()
		if err := os.Mkdir(filepath.Join(state, "trust"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, "trust", "installed.json"), []byte(`{"installed":[`+entry+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openTrustRecord(state); err == nil || !strings.HasSuffix(err.Error(), ": it names what ca install does not write") {
			t.Errorf("%s: %v", entry, err)
		}
	}
	for _, p := range [][2]string{{"system", "/tmp/x/usr/local/share/ca-certificates"}, {"system", "/etc"}, {"other", "/etc"}} {
		if _, err := openStore(p[0], p[1]); err == nil || err.Error() != "nothing is known about the "+p[0]+" store "+p[1] {
			t.Errorf("%v: %v", p, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	got := commandLine([]string{"rm", "a b", "it's", "", "x;y", "\x1b[31m", "sql:/home/a.b"})
	if want := `rm 'a b' 'it'\''s' '' 'x;y' '\x1b[31m' sql:/home/a.b`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestNSSPlaces: databases of profiles are found once each, whatever the home is called.
func TestNSSPlaces(t *testing.T) {
	home := filepath.Join(t.TempDir(), "a[b]*")
	for _, dir := range []string{".pki/nssdb", ".mozilla/firefox/p1", ".mozilla/firefox/none", ".var/app/org.mozilla.firefox/.mozilla/firefox/p2", "snap/chromium/7/.pki/nssdb"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(dir, "none") {
			continue
		}
		if err := os.WriteFile(filepath.Join(home, dir, "cert9.db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"snap/chromium/current": "7", ".mozilla/firefox/same": "p1"} {
		if err := os.Symlink(to, filepath.Join(home, link)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, s := range findNSS(home) {
		rel, _ := filepath.Rel(home, s.where)
		got = append(got, rel)
	}
	want := []string{".pki/nssdb", ".mozilla/firefox/p1", "snap/chromium/7/.pki/nssdb", ".var/app/org.mozilla.firefox/.mozilla/firefox/p2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
