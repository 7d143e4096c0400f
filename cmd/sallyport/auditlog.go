// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"sallyport/policy"
)

// auditName is the log in the archive: one JSON object a line, each with the
// SHA-256 of the line before it, so that no line can be changed, left out or
// put in without the next one telling.
const auditName = "audit.log"

// firstPrev is what the first line has for a line before it.
var firstPrev = strings.Repeat("0", 64)

// Results of what the log tells.
const (
	resultAccepted = "accepted" // checked, about to be written to the policy file
	resultInForce  = "in force"
	resultStale    = "in force, stale" // and not what the policy file says
	resultRefused  = "refused"         // it does not load; nothing has changed
	resultFailed   = "failed"
	resultDone     = "done"
)

// An auditEntry is a line of the audit log.
type auditEntry struct {
	Number    uint64       `json:"n"`
	Time      time.Time    `json:"time"`
	Node      string       `json:"node,omitempty"`
	Source    string       `json:"source"` // what led to it
	Result    string       `json:"result"`
	Policy    string       `json:"policy,omitempty"`   // the policy file, absolute; "": the built-in policy
	Revision  string       `json:"revision,omitempty"` // "": it did not come to one
	Previous  string       `json:"previous,omitempty"`
	Commit    string       `json:"commit,omitempty"` // HEAD of the git work tree the policy file is in
	Author    author       `json:"author"`
	Message   string       `json:"message,omitempty"`
	Subject   string       `json:"subject,omitempty"` // of what changes the CA: whom or what it is about
	Serial    string       `json:"serial,omitempty"`  // of the certificate
	Changes   *auditChange `json:"changes,omitempty"`
	Errors    int          `json:"errors,omitempty"` // diagnostics
	Error     string       `json:"error,omitempty"`
	Recovered string       `json:"recovered,omitempty"` // a line before this one that was not written to its end
	Prev      string       `json:"prev"`
}

// auditNames bounds how many rules are named a line.
const auditNames = 100

// An auditChange is which rules differ from the policy before.
type auditChange struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
	More    int      `json:"more,omitempty"` // rules and mappings that are not named here

	Mappings []string `json:"mappings,omitempty"` // new ones with +, and with - those that are gone
}

func auditDiff(before, after *policy.Policy) *auditChange {
	d := policy.Diff(before, after)
	if before == nil || d.None() {
		return nil
	}
	c := &auditChange{}
	cut := func(names []string) []string {
		n := min(len(names), auditNames)
		c.More += len(names) - n
		return names[:n]
	}
	c.Added, c.Removed, c.Changed, c.Mappings = cut(d.Added), cut(d.Removed), cut(d.Changed), cut(d.Mappings)
	return c
}

// failure puts what is wrong with a policy into e.
func (e *auditEntry) failure(err error) {
	var diags *policy.Error
	if errors.As(err, &diags) && len(diags.Diagnostics) > 0 {
		e.Errors, err = len(diags.Diagnostics), diags.Diagnostics[0]
	}
	e.Error = err.Error()
	if len(e.Error) > 1000 {
		e.Error = strings.ToValidUTF8(e.Error[:1000], "") + "…"
	}
}

// what is what a line about the CA is about.
func (e *auditEntry) what() string {
	if e.Serial == "" {
		return e.Subject
	}
	return strings.TrimPrefix(e.Subject+", serial "+e.Serial, ", ")
}

// log appends e to the audit log; number, time, node, author and chain are filled
// in here. It returns when the line is on disk. The archive has to be locked.
func (a *archive) log(e auditEntry) error {
	f, err := a.open(auditName, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return fmt.Errorf("the audit log: %w", err)
	}
	defer f.Close()
	last, torn, err := tail(f)
	if err != nil {
		return fmt.Errorf("the audit log %s: %w", a.path(auditName), err)
	}
	e.Number, e.Prev = 1, firstPrev
	if last != nil {
		var before auditEntry
		_ = json.Unmarshal(last, &before) // verify tells of a line that is none
		e.Number, e.Prev = before.Number+1, lineHash(last)
	}
	e.Time = time.Now()
	if e.Author == (author{}) { // else whoever asked this process
		e.Author = thisAuthor()
	}
	e.Node, _ = os.Hostname()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if len(torn) > 0 { // written by a process that was killed, and acknowledged to nobody
		e.Recovered = string(bytes.ToValidUTF8(torn, []byte("�")))
		size -= int64(len(torn))
		if err := f.Truncate(size); err != nil {
			return fmt.Errorf("the audit log %s: %w", a.path(auditName), err)
		}
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	step("about to log")
	if err := extend(f, size, line.Bytes()); err != nil {
		return fmt.Errorf("the audit log %s: %w", a.path(auditName), err)
	}
	if last == nil {
		return syncDir(a.root)
	}
	return nil
}

// extend appends a line to a file of that size, whole or not at all.
func extend(f interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
}, size int64, line []byte,
) error {
	_, err := f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err != nil { // a full disk has taken part of it
		return errors.Join(err, f.Truncate(size))
	}
	return nil
}

func lineHash(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// tail returns the last whole line of f, without its end, nil when there is
// none, and what follows it.
func tail(f io.ReadSeeker) (last, torn []byte, err error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, nil, err
	}
	for size := int64(64 << 10); ; size *= 4 {
		from := max(0, end-size)
		buf := make([]byte, end-from)
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			return nil, nil, err
		}
		if _, err := io.ReadFull(f, buf); err != nil {
			return nil, nil, err
		}
		i := bytes.LastIndexByte(buf, '\n')
		if i < 0 {
			if from == 0 {
				return nil, buf, nil
			}
			continue
		}
		torn = buf[i+1:]
		if j := bytes.LastIndexByte(buf[:i], '\n'); j >= 0 || from == 0 {
			return buf[j+1 : i], torn, nil
		}
	}
}

// A brokenChain tells where an audit log is not what was written.
type brokenChain struct {
	line int // from 1
	msg  string
}

// readAudit reads an audit log, and returns with the entries the first place
// at which the chain does not hold, nil when it does, and the hash of the last
// line. What is behind that place is returned as well as it can be read.
func readAudit(r io.Reader) (entries []auditEntry, broken *brokenChain, hash string, err error) {
	br := bufio.NewReader(r)
	hash = firstPrev
	for n := 1; ; n++ {
		line, err := br.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return entries, broken, hash, nil
		}
		if err != nil && err != io.EOF {
			return entries, broken, hash, err
		}
		whole := err == nil
		line = bytes.TrimSuffix(line, []byte("\n"))
		var e auditEntry
		bad := json.Unmarshal(line, &e)
		switch {
		case broken != nil:
		case !whole:
			broken = &brokenChain{n, "it was not written to its end; the next entry will keep what there is of it"}
		case bad != nil:
			broken = &brokenChain{n, "it is no entry"}
		case e.Prev != hash && n == 1:
			broken = &brokenChain{n, "it was not the first line: lines before it are gone, or it was changed"}
		case e.Prev != hash:
			broken = &brokenChain{n - 1, fmt.Sprintf("it is not the line that line %d was written behind: one of the two was changed, or lines between them are gone", n)}
		case e.Number != uint64(n):
			broken = &brokenChain{n, fmt.Sprintf("it says that it is number %d", e.Number)}
		}
		if bad == nil {
			entries = append(entries, e)
		}
		hash = lineHash(line)
	}
}

// audit reads the archive's log.
func (a *archive) audit() (entries []auditEntry, broken *brokenChain, hash string, err error) {
	f, err := a.root.Open(auditName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, firstPrev, nil
	}
	if err != nil {
		return nil, nil, "", err
	}
	defer f.Close()
	return readAudit(f)
}
