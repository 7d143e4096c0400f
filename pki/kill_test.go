// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// childVariable makes the test's program one that works on an authority until
// it is killed: WHAT DIRECTORY.
const childVariable = "SALLYPORT_PKI_CHILD"

// child does one thing over and over, and says so whenever it has done it.
func child(what string) {
	what, dir, _ := strings.Cut(what, " ")
	ca, err := Open(filepath.Join(dir, "ca"), secret, Options{Wait: 10 * time.Second})
	if err != nil {
		fmt.Println("broken:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for n := 0; ; n++ {
		if err := childStep(ca, what, dir, n); err != nil {
			fmt.Println("broken:", err)
			os.Exit(1)
		}
	}
}

func childStep(ca *CA, what, dir string, n int) error {
	ctx := context.Background()
	switch what {
	case "issue":
		_, err := childIssue(ca)
		return err
	case "revoke":
		c, err := childIssue(ca)
		if err == nil {
			err = ca.Revoke(ctx, c.SerialNumber, 1, "child")
			fmt.Println("revoked", SerialText(c.SerialNumber))
		}
		return err
	case "rotate":
		if _, err := childIssue(ca); err != nil {
			return err
		}
		// Where the one before was killed is not known: what is out of order
		// is refused, and what was done is not done again.
		d := []Domain{Edge, Identity}[n%2]
		for _, s := range []Step{Prepare, Switch, Retire} {
			if ca.RotateRoot(ctx, d, s) == nil {
				fmt.Println("stepped", d, s)
			}
		}
		if err := ca.RotateIssuer(ctx, Roles[n%4]); err != nil {
			return err
		}
		fmt.Println("rotated", Roles[n%4], ca.state.Load().issuer(Roles[n%4]).generation)
		return nil
	}
	c, err := childIssue(ca)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "backups", SerialText(c.SerialNumber))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = ca.Backup(ctx, f); err == nil {
		err = f.Close()
		fmt.Println("backup", name)
	}
	return err
}

func childIssue(ca *CA) (*x509.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	chain, err := ca.Issue(context.Background(), Request{Role: Client, CSR: req, User: "alice"})
	if err != nil {
		return nil, err
	}
	fmt.Println("issued", SerialText(chain[0].SerialNumber))
	return chain[0], nil
}

// A process that is killed while it issues, revokes, rotates or backs up has
// lost nothing that it has said, leaves a store that is whole and an authority
// that works, and no key in clear in any file: 200 times, at random moments.
func TestKilled(t *testing.T) {
	for _, what := range []string{"issue", "revoke", "rotate", "backup"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "backups"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := Init(filepath.Join(dir, "ca"), secret, Settings{}); err != nil {
				t.Fatal(err)
			}
			k := &killed{dir: dir, said: map[string]bool{}, keys: map[string]*ecdsa.PrivateKey{}}
			times := 50
			if testing.Short() {
				times = 5
			}
			for n := 0; n < times && !t.Failed(); n++ {
				k.run(t, what)
				k.look(t)
			}
			if len(k.said) < times {
				t.Errorf("in %d runs %d things were done: they were killed too early", times, len(k.said))
			}
		})
	}
}

type killed struct {
	dir  string
	said map[string]bool // lines of all children
	last string
	keys map[string]*ecdsa.PrivateKey
}

// run starts a child and kills it at some moment after it is ready.
func (k *killed) run(t *testing.T, what string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+what+" "+k.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for after := rand.N(6); lines.Scan(); after-- {
		if after == 0 { // some lines after it was ready, or right then
			time.AfterFunc(rand.N(20*time.Millisecond), func() { cmd.Process.Kill() })
		}
		switch line := lines.Text(); {
		case line == "ready":
		case strings.HasPrefix(line, "broken"):
			t.Error(line)
		default:
			k.said[line], k.last = true, line
		}
	}
	cmd.Wait()
}

// look holds what is there against what was said.
func (k *killed) look(t *testing.T) {
	t.Helper()
	files := k.read(t) // before Open tidies up
	ca, err := Open(filepath.Join(k.dir, "ca"), secret, Options{Wait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if err := ca.store.(*boltStore).check(); err != nil {
		t.Errorf("ca.db is broken: %v", err)
	}
	for line := range k.said {
		k.holds(t, ca, line)
	}
	if word, name, _ := strings.Cut(k.last, " "); word == "backup" {
		k.restores(t, name)
	}
	k.learn(t, ca)
	k.searched(t, files)
}

func (k *killed) holds(t *testing.T, ca *CA, line string) {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "issued", "revoked":
		r, c, err := ca.Find(rest)
		if err != nil || word == "revoked" && (r.Revoked.IsZero() || !ca.Revoked(c)) {
			t.Errorf("lost: %s: %v", line, err)
		}
	case "rotated":
		var role string
		var generation int
		fmt.Sscan(rest, &role, &generation)
		r, _ := ParseRole(role)
		if i := ca.state.Load().issuer(r); i.generation < generation {
			t.Errorf("lost: %s: it is %d", line, i.generation)
		}
	}
}

func (k *killed) restores(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	to := filepath.Join(t.TempDir(), "ca")
	if err := Restore(to, secret, f); err != nil {
		t.Fatal(err)
	}
	ca, err := Open(to, secret, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	if _, _, err := ca.Find(filepath.Base(name)); err != nil {
		t.Errorf("the backup lost what was issued before it: %v", err)
	}
}

// learn remembers every private key there is.
func (k *killed) learn(t *testing.T, ca *CA) {
	t.Helper()
	err := ca.store.View(func(x tx) error {
		return x.Each(bucketKeys, "", func(key string, _ []byte) bool {
			name, number, _ := strings.Cut(key, "/0")
			var generation int
			fmt.Sscanf(number, "%d", &generation)
			s, err := ca.kek.key(x, name, generation)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				return false
			}
			k.keys[key] = s.(*ecdsa.PrivateKey)
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// read reads all files, those of a process that was killed among them.
func (k *killed) read(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(k.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all[path], err = os.ReadFile(path)
		}
		if fi, _ := e.Info(); err == nil && loose(fi) && path != k.dir {
			t.Errorf("%s is %v", path, fi.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path := range all {
		if filepath.Dir(path) == filepath.Join(k.dir, "backups") && path != strings.TrimPrefix(k.last, "backup ") {
			os.Remove(path) // looked at, or cut short
		}
	}
	return all
}

// searched looks for keys in clear: what begins one in PEM or DER, and the
// numbers of those that are known.
func (k *killed) searched(t *testing.T, files map[string][]byte) {
	t.Helper()
	for path, b := range files {
		if what := inClear(t, k.keys, b); what != "" {
			t.Errorf("%s has a key in clear: %s", path, what)
		}
	}
}
