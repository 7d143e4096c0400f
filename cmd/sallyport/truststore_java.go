// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// javaPassword is what every Java's keystore of roots is published with.
const javaPassword = "changeit"

// findJava returns the keystore of roots of the Java that JAVA_HOME names or
// that is on the path; nil when there is none.
func findJava() *trustStore {
	home := os.Getenv("JAVA_HOME")
	if home == "" {
		keytool, err := exec.LookPath("keytool")
		if err != nil {
			return nil
		}
		if keytool, err = filepath.EvalSymlinks(keytool); err != nil {
			return nil
		}
		home = filepath.Dir(filepath.Dir(keytool))
	}
	for _, name := range []string{"lib/security/cacerts", "jre/lib/security/cacerts"} {
		file, err := filepath.EvalSymlinks(filepath.Join(home, name))
		if err == nil {
			return javaStore(file)
		}
	}
	return nil
}

// debianJava is the keystore that Debian fills from the system's store, by a
// hook that is not told what has gone.
const debianJava = "/etc/ssl/certs/java/cacerts"

func javaStore(file string) *trustStore {
	alias := func(r trustedRoot) string {
		if file == debianJava {
			return "debian:" + r.name() + ".pem"
		}
		return r.name()
	}
	tool := func(args ...string) []string {
		return append([]string{keytool()}, append(args, "-keystore", file, "-storepass", javaPassword)...)
	}
	return &trustStore{
		kind: "java", where: file, root: !writable(file),
		has: func(ctx context.Context, r trustedRoot) (bool, error) {
			text, err := runQuietly(ctx, append(tool("-list", "-rfc"), "-alias", alias(r)))
			if i := strings.Index(string(text), "-----BEGIN "); i >= 0 {
				text = text[i:]
			}
			return err == nil && r.isRoot(text), nil
		},
		add: func(r trustedRoot) [][]string {
			return [][]string{append(tool("-importcert", "-noprompt", "-file", r.file), "-alias", alias(r))}
		},
		del: func(r trustedRoot) [][]string { return [][]string{append(tool("-delete"), "-alias", alias(r))} },
	}
}

// keytool is JAVA_HOME's, or the one on the path.
func keytool() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if path := filepath.Join(home, "bin", "keytool"); executable(path) {
			return path
		}
	}
	return "keytool"
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
