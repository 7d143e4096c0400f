// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// maxFile is the most that a file of users or groups may have.
const maxFile = 16 << 20

// Passwords are the users of an htpasswd file: one "name:hash" a line, empty
// lines and those that begin with # left out. It is immutable.
type Passwords struct {
	users map[string]*hash
	names []string // sorted
}

// A hash is a password as it is kept.
type hash struct {
	check func(password string) bool // slow, on purpose
	sum   [32]byte                   // of the text: tells a changed password from an unchanged one
}

// A FileError says what is wrong with one line of a file.
type FileError struct {
	File string
	Line int // from 1
	Msg  string
}

func (e *FileError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// ReadPasswords reads an htpasswd file; name is what messages call it. Hashes by
// bcrypt and argon2id are taken, and Apache's MD5 (apr1) with a warning; a file
// with any other line is refused as a whole, because leaving a line out could
// leave a user out that the administrator counts on.
func ReadPasswords(name string, text []byte) (p *Passwords, warnings []string, err error) {
	p = &Passwords{users: make(map[string]*hash)}
	if len(text) > maxFile {
		return nil, nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	for i, line := range lines(text) {
		user, h, warning, err := readPassword(line)
		if err != nil {
			return nil, nil, &FileError{name, i + 1, err.Error()}
		}
		if h == nil {
			continue
		}
		if p.users[user] != nil {
			return nil, nil, &FileError{name, i + 1, fmt.Sprintf("user %q stands here for the second time", user)}
		}
		if warning != "" {
			warnings = append(warnings, (&FileError{name, i + 1, warning}).Error())
		}
		p.users[user] = h
		p.names = append(p.names, user)
	}
	sort.Strings(p.names)
	return p, warnings, nil
}

// lines are those of text, without their ends and without a byte order mark.
func lines(text []byte) []string {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	all := strings.Split(string(text), "\n")
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], "\r")
	}
	return all
}

// readPassword reads one line; h is nil when it says nothing. Errors and warnings
// do not repeat the hash.
func readPassword(line string) (user string, h *hash, warning string, err error) {
	if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
		return "", nil, "", nil
	}
	if !utf8.ValidString(line) {
		return "", nil, "", fmt.Errorf("the line is no UTF-8 text")
	}
	user, text, ok := strings.Cut(line, ":")
	if !ok {
		return "", nil, "", fmt.Errorf("the line is not a name, a colon and a hash")
	}
	if user, err = UserName(user); err != nil {
		return "", nil, "", fmt.Errorf("the name before the colon is none: it has to be 1 to %d bytes without control characters and without space around it", maxName)
	}
	text, _, _ = strings.Cut(text, ":") // Apache reads no further
	text = strings.TrimRight(text, " \t")
	check, weak, err := readHash(text)
	if err != nil {
		return "", nil, "", fmt.Errorf("user %q: %w", user, err)
	}
	if weak {
		warning = fmt.Sprintf("user %q: the password is kept by apr1 (MD5), which can be guessed quickly by who gets at the file: set it anew by htpasswd -B", user)
	}
	return user, &hash{check, sha256.Sum256([]byte(text))}, warning, nil
}

// Len is how many users there are.
func (p *Passwords) Len() int {
	if p == nil {
		return 0
	}
	return len(p.names)
}
