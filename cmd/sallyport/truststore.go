// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sallyport/certs/inspect"
)

// A trustedRoot is a root that is to be trusted on this machine.
type trustedRoot struct {
	cert *x509.Certificate // nil when it is to go
	sum  string            // SHA-256, hexadecimal
	file string            // where it is, for the commands
}

func newTrustedRoot(c *x509.Certificate) trustedRoot {
	sum := sha256.Sum256(c.Raw)
	return trustedRoot{cert: c, sum: hex.EncodeToString(sum[:])}
}

// name is what the root is called in every store: nobody else's has it.
func (r trustedRoot) name() string { return "sallyport-" + r.sum[:16] }

// A trustStore is one place where programs of this machine look for roots. It
// makes commands and runs none but to look.
type trustStore struct {
	kind  string // "system", "nss", "java"
	where string // directory, database or keystore

	// has reports whether exactly this root is there under our name.
	has func(ctx context.Context, r trustedRoot) (bool, error)
	add func(r trustedRoot) [][]string
	del func(r trustedRoot) [][]string
	// added and deleted are run once behind all of these.
	added, deleted [][]string
	// root: only root may change it.
	root bool
}

func (s *trustStore) String() string { return s.kind + " " + s.where }

// storeKinds are all kinds, in the order in which they are changed.
var storeKinds = []string{"system", "nss", "java"}

// openStore returns the store at a place that a record names. Who could write
// the record leads nobody else, who may do more, to other places.
func openStore(kind, where string) (*trustStore, error) {
	switch kind {
	case "system":
		for _, d := range distributions {
			if where == d.anchors {
				return systemStore(where, d), nil
			}
		}
	case "nss":
		return nssStore(where), ownedByUs(filepath.Join(where, "cert9.db"))
	case "java":
		return javaStore(where), ownedByUs(where)
	}
	return nil, fmt.Errorf("nothing is known about the %s store %s", line(kind), line(where))
}

// ownedByUs refuses files of other users: what they belong to would not be able
// to use them any more, or is not what it seems.
func ownedByUs(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if uid, _ := owner(info); uid >= 0 && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user: do this as that user", line(file))
	}
	return nil
}

// A commandRunner prints commands and, unless it is dry, runs them.
type commandRunner struct {
	out  io.Writer
	dry  bool
	sudo bool // they are for root to run
}

// run prints and runs commands until one fails.
func (c commandRunner) run(ctx context.Context, commands [][]string) error {
	for _, args := range commands {
		sudo := ""
		if c.sudo {
			sudo = "sudo "
		}
		fmt.Fprintf(c.out, "+ %s%s\n", sudo, commandLine(args))
		if c.dry {
			continue
		}
		if _, err := runQuietly(ctx, args); err != nil {
			return err
		}
	}
	return nil
}

// commandPatience is more than any of the commands takes; hooks of the system's
// store may start a Java machine.
const commandPatience = 3 * time.Minute

// runQuietly runs a command, which cannot ask anybody anything, and returns
// what it said; the error holds its last words.
func runQuietly(ctx context.Context, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		words := strings.TrimSpace(said.String() + "\n" + out.String()) // keytool says its errors on stdout
		words = words[strings.LastIndexByte(words, '\n')+1:]
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errors.New("it did not end")
		}
		return nil, fmt.Errorf("%s: %w: %s", args[0], err, line(words))
	}
	return out.Bytes(), nil
}

// commandLine is args as they can be typed.
func commandLine(args []string) string {
	var words []string
	for _, a := range args {
		plain := a != "" && strings.IndexFunc(a, func(r rune) bool {
			return !strings.ContainsRune("/._-+=:@%,", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) < 0
		if !plain {
			a = "'" + strings.ReplaceAll(line(a), "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// isRoot reports whether text is PEM of exactly this root.
func (r trustedRoot) isRoot(text []byte) bool {
	b, rest := pem.Decode(text)
	if b == nil || b.Type != "CERTIFICATE" || bytes.Contains(rest, []byte("-----BEGIN ")) {
		return false
	}
	sum := sha256.Sum256(b.Bytes)
	return hex.EncodeToString(sum[:]) == r.sum
}

func (r trustedRoot) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})
}

// readRoots reads the certificates of a PEM file, which has nothing else in it.
func readRoots(text []byte) ([]*x509.Certificate, error) {
	c, err := inspect.Read(context.Background(), text, nil)
	switch {
	case err != nil:
		return nil, errors.New(line(err.Error()))
	case len(c.Damaged) > 0:
		return nil, errors.New(line(c.Damaged[0]))
	case len(c.Keys) > 0:
		return nil, errors.New("there is a private key in it: name a file with the root's certificate alone")
	case len(c.Certificates) == 0:
		return nil, errors.New("there is no certificate in it")
	case len(c.Certificates) > maxRoots:
		return nil, fmt.Errorf("there are %d certificates in it: this is for the roots of one CA", len(c.Certificates))
	}
	return c.Certificates, nil
}

// maxRoots is how many roots a CA has, with those of two rotations at once.
const maxRoots = 8
