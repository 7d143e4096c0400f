// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// roots are those of --cert, or the edge roots of the CA: more than one while
// it is being rotated.
func (c *caInstaller) roots() (roots []trustedRoot, err error) {
	file := c.cert
	var text []byte
	if file != "" {
		if text, err = readAnyFile(file); err != nil {
			return nil, &exitError{exitFailed, fmt.Errorf("%s %w", line(file), err)}
		}
	} else {
		file = "the CA"
		if text, err = c.edge(); err != nil {
			return nil, err
		}
	}
	certs, err := readRoots(text)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("%s: %w", line(file), err)}
	}
	for _, x := range certs {
		switch {
		case !x.BasicConstraintsValid || !x.IsCA:
			err = fmt.Errorf("%s is no authority: only a root can be trusted for others", line(x.Subject.String()))
		case time.Now().After(x.NotAfter):
			err = fmt.Errorf("%s expired on %s", line(x.Subject.String()), x.NotAfter.UTC().Format(certTime))
		}
		if err != nil {
			return nil, &exitError{exitFailed, fmt.Errorf("%s: %w", line(file), err)}
		}
		roots = append(roots, newTrustedRoot(x))
	}
	return roots, nil
}

// edge asks the CA for its edge roots, as PEM.
func (c *caInstaller) edge() ([]byte, error) {
	var all []caCert
	if err := c.ask(c.cmd, "GET", "/v1/ca/roots", nil, &all); err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, r := range all {
		if r.Domain == "edge" {
			text.WriteString(r.PEM)
		}
	}
	return []byte(text.String()), nil
}

// stores are those that were asked for and are there.
func (c *caInstaller) stores() (stores []*trustStore) {
	none := func(what string) {
		if c.asked {
			c.fail(what)
		}
	}
	if slices.Contains(c.kinds, "system") {
		if s := findSystem(""); s != nil {
			stores = append(stores, s)
		} else {
			none("system: this machine keeps its roots in no way that is known")
		}
	}
	if slices.Contains(c.kinds, "nss") {
		home, _ := os.UserHomeDir()
		found := findNSS(home)
		_, err := exec.LookPath("certutil")
		switch {
		case len(found) == 0:
			none("nss: there is no database of Firefox or Chromium below " + line(home))
		case err != nil:
			c.fail(fmt.Sprintf("nss: %s and no certutil to change them with: install libnss3-tools (Debian) or nss-tools (Fedora)", count(len(found), "database", "databases")))
		default:
			stores = append(stores, found...)
		}
	}
	if slices.Contains(c.kinds, "java") {
		switch s := findJava(); {
		case s == nil:
			none("java: there is no Java on the path or in JAVA_HOME")
		case followsSystem(s.where):
			if !slices.Contains(c.kinds, "system") {
				none("java: its roots are the system's: take --stores system")
			}
		default:
			stores = append(stores, s)
		}
	}
	return stores
}

// followsSystem: Java's roots are made from the system's.
func followsSystem(keystore string) bool {
	return keystore == debianJava || strings.HasPrefix(keystore, "/etc/pki/")
}
