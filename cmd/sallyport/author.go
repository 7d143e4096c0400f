// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
)

// An author is whose process did something.
type author struct {
	User string `json:"user,omitempty"`
	UID  int    `json:"uid"`
	Sudo string `json:"sudo,omitempty"` // who became root by sudo
}

func (a author) String() string {
	switch {
	case a.Sudo != "":
		return a.Sudo + " as " + a.User
	case a.User != "":
		return a.User
	}
	return "an unknown user"
}

func thisAuthor() author {
	a := author{UID: os.Getuid()}
	if u, err := user.Current(); err == nil {
		a.User = u.Username
	}
	if a.UID == 0 {
		a.Sudo = os.Getenv("SUDO_USER")
	}
	return a
}

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// gitCommit is the commit that is checked out where the file at path is; "" when
// that is no git work tree, or one that cannot be read. The file itself may
// differ from it.
func gitCommit(path string) string {
	dir := filepath.Dir(path)
	for {
		git := filepath.Join(dir, ".git")
		info, err := os.Stat(git)
		if err == nil {
			if !info.IsDir() { // a linked work tree
				to, ok := strings.CutPrefix(firstLine(git), "gitdir: ")
				if !ok {
					return ""
				}
				if git = to; !filepath.IsAbs(git) {
					git = filepath.Join(dir, to)
				}
			}
			return headOf(git)
		}
		if up := filepath.Dir(dir); up == dir {
			return ""
		} else {
			dir = up
		}
	}
}

// headOf follows HEAD of a git directory.
func headOf(git string) string {
	head := firstLine(filepath.Join(git, "HEAD"))
	ref, symbolic := strings.CutPrefix(head, "ref: ")
	if !symbolic {
		return commitID.FindString(head)
	}
	if !filepath.IsLocal(ref) {
		return ""
	}
	common := git // branches are kept once for all work trees
	if c := firstLine(filepath.Join(git, "commondir")); c != "" {
		if common = c; !filepath.IsAbs(c) {
			common = filepath.Join(git, c)
		}
	}
	for _, dir := range []string{git, common} {
		if id := commitID.FindString(firstLine(filepath.Join(dir, ref))); id != "" {
			return id
		}
	}
	packed := beginning(filepath.Join(common, "packed-refs"), 4<<20)
	for line := range strings.Lines(packed) {
		if id, name, _ := strings.Cut(strings.TrimSpace(line), " "); name == ref {
			return commitID.FindString(id)
		}
	}
	return ""
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(beginning(path, 4096), "\n")
	return strings.TrimSpace(line)
}

// beginning is up to n bytes of a regular file; "" when it cannot be read.
func beginning(path string, n int64) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, n))
	return string(b)
}
