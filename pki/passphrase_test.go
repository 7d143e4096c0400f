// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestPassphraseFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "ca")
	if _, err := ReadPassphrase(dir, "", ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := NewPassphrase(dir); err != nil {
		t.Fatal(err)
	}
	beside, err := ReadPassphrase(dir, "", "")
	if err != nil || len(beside.Text) != 44 || !beside.Beside || beside.From != filepath.Join(dir, "passphrase") {
		t.Errorf("%+v, %v", beside, err)
	}
	for name, mode := range map[string]fs.FileMode{dir: 0o700, beside.From: 0o600} {
		if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s is %v, %v", name, fi.Mode(), err)
		}
	}
	if err := NewPassphrase(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if again, _ := ReadPassphrase(dir, "", ""); !bytes.Equal(again.Text, beside.Text) {
		t.Error("the second replaced the first")
	}
	if n := files(t, dir); len(n) != 1 {
		t.Errorf("files left: %v", n)
	}

	// What is named goes before what systemd has, and that before what lies beside.
	credentials := t.TempDir()
	if p, err := ReadPassphrase(dir, "", credentials); err != nil || !p.Beside {
		t.Errorf("no credential: %+v, %v", p, err)
	}
	credential := filepath.Join(credentials, "sallyport-passphrase")
	writeMode(t, credential, "from systemd\n", 0o440)
	if p, err := ReadPassphrase(dir, "", credentials); err != nil || string(p.Text) != "from systemd" || p.Beside {
		t.Errorf("a credential: %+v, %v", p, err)
	}
	named := filepath.Join(t.TempDir(), "secret")
	writeMode(t, named, "from a file\r\n", 0o400)
	link := named + ".link" // as Kubernetes has it
	if err := os.Symlink(named, link); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{named, link} {
		if p, err := ReadPassphrase(dir, f, credentials); err != nil || string(p.Text) != "from a file" || p.Beside || p.From != f {
			t.Errorf("%s: %+v, %v", f, p, err)
		}
	}
}

func TestPassphraseFilesRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir string) (file, credentials string)
		is   error
		want string // with DIR for the directory
	}{
		{"a file for the group", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/p", "long enough", 0o640)
			return dir + "/p", ""
		}, ErrLoose, "reading the passphrase DIR/p: others may read or change it: run chmod 600 DIR/p"},
		{
			"a file that is not there", func(t *testing.T, dir string) (string, string) { return dir + "/p", "" }, fs.ErrNotExist,
			"reading the passphrase DIR/p: stat DIR/p: no such file or directory",
		},
		{"a pipe", func(t *testing.T, dir string) (string, string) {
			if err := syscall.Mkfifo(dir+"/p", 0o600); err != nil {
				t.Skip(err)
			}
			return dir + "/p", ""
		}, nil, "reading the passphrase DIR/p: it is a p--------- and not a regular file"},
		{"a short one", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/p", "short\n", 0o600)
			return dir + "/p", ""
		}, nil, "reading the passphrase DIR/p: want 8 to 4096 bytes"},
		{"a long one", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/p", strings.Repeat("x", 5000), 0o600)
			return dir + "/p", ""
		}, nil, "reading the passphrase DIR/p: want 8 to 4096 bytes"},
		{"a credential for all", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/sallyport-passphrase", "long enough", 0o444)
			return "", dir
		}, ErrLoose, "reading the passphrase DIR/sallyport-passphrase: others may read or change it: run chmod 600 DIR/sallyport-passphrase"},
		{"a directory for all", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/passphrase", "long enough", 0o600)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			return "", ""
		}, ErrLoose, "reading the passphrase: DIR: others may read or change it: run chmod 700 DIR"},
		{"beside, for all", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/passphrase", "long enough", 0o644)
			return "", ""
		}, ErrLoose, "reading the passphrase DIR/passphrase: others may read or change it: run chmod 600 DIR/passphrase"},
		{"beside, a link", func(t *testing.T, dir string) (string, string) {
			writeMode(t, dir+"/real", "long enough", 0o600)
			if err := os.Symlink("real", dir+"/passphrase"); err != nil {
				t.Fatal(err)
			}
			return "", ""
		}, nil, "reading the passphrase DIR/passphrase: it is a L--------- and not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			file, credentials := c.make(t, dir)
			_, err := ReadPassphrase(dir, file, credentials)
			if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || err.Error() != want || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// What a process left behind that was killed is gone when the authority is
// next opened: copies of ca.db, and of a passphrase that was moved elsewhere.
func TestLeftoversAreRemoved(t *testing.T) {
	ca, dir := diskCA(t, Settings{})
	ca.Close()
	for _, n := range []string{temporary("ca.db"), temporary("passphrase"), "notes"} {
		writeMode(t, filepath.Join(dir, n), "left", 0o600)
	}
	reopen(t, dir)
	if n := files(t, dir); !slices.Equal(n, []string{"ca.db", "notes"}) {
		t.Errorf("there are %v", n)
	}
}

// Who still has a closed authority in hand is told so.
func TestClosed(t *testing.T) {
	ca, _ := diskCA(t, Settings{})
	c := issueClient(t, ca, "alice")[0]
	ca.Close()
	req, _ := csr(t, x509.CertificateRequest{})
	_, err := ca.Issue(t.Context(), Request{Role: Client, CSR: req, User: "alice"})
	_, _, found := ca.Find(SerialText(c.SerialNumber))
	for name, err := range map[string]error{
		"Issue": err, "Find": found, "Revoke": ca.Revoke(t.Context(), c.SerialNumber, 1, ""), "SetURL": ca.SetURL("http://x.test"),
		"Backup": ca.Backup(t.Context(), io.Discard), "Put": ca.Secrets().Put(t.Context(), "x", nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ca.db and its directory are opened when nobody else can read or change
// them, and no link leads elsewhere.
func TestLooseDatabaseIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(dir string) error
		want string
	}{
		{"a directory for the group", func(dir string) error { return os.Chmod(dir, 0o750) }, "DIR: others may read or change it: run chmod 700 DIR"},
		{"a file for all", func(dir string) error { return os.Chmod(dir+"/ca.db", 0o604) }, "DIR/ca.db: others may read or change it: run chmod 600 DIR/ca.db"},
		{"a link", func(dir string) error {
			return errors.Join(os.Rename(dir+"/ca.db", dir+"/real.db"), os.Symlink("real.db", dir+"/ca.db"))
		}, "DIR/ca.db: it is a L--------- and not a regular file"},
		{"no file", func(dir string) error { return os.Remove(dir + "/ca.db") }, "there is no certification authority"},
		{"no directory", func(dir string) error { return os.RemoveAll(dir) }, "there is no certification authority"},
		{"an empty file", func(dir string) error { return os.Truncate(dir+"/ca.db", 0) }, `its format is "", and this program knows 1 only`},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca, dir := diskCA(t, Settings{})
			ca.Close()
			if err := c.do(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, secret, Options{})
			if want := "opening the certification authority in " + dir + ": " + strings.ReplaceAll(c.want, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func writeMode(t testing.TB, name, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
