// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A ReadFile returns the content of a file.
type ReadFile func(path string) ([]byte, error)

// A directive is a line of squid.conf, in words.
type directive struct {
	file  string
	line  int
	words []string
	text  string
}

func (d directive) note(message string) Note {
	return Note{File: d.file, Line: d.line, Text: d.text, Message: message}
}

const (
	maxIncludes = 16 // levels
	maxFiles    = 1000
)

// squidLines reads a squid.conf with what it includes. Lines that end in a
// backslash go on; what stands behind a word that begins with # is a comment.
func squidLines(name string, src []byte, read ReadFile) ([]directive, []Note) {
	files := 0
	return includedLines(name, src, read, 0, &files)
}

func includedLines(name string, src []byte, read ReadFile, level int, files *int) (all []directive, notes []Note) {
	if *files++; level > maxIncludes || *files > maxFiles {
		return nil, []Note{{File: name, Message: "includes are nested too deeply, or too many; this one was not read"}}
	}
	lines := strings.Split(string(src), "\n")
	for i := 0; i < len(lines); i++ {
		no := i + 1
		line := strings.TrimRight(lines[i], "\r")
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimRight(lines[i], "\r")
		}
		d := directive{file: name, line: no, words: squidWords(line)}
		if len(d.words) == 0 {
			continue
		}
		d.text = strings.Join(d.words, " ")
		if d.words[0] != "include" {
			all = append(all, d)
			continue
		}
		for _, pattern := range d.words[1:] {
			pattern = strings.Trim(pattern, `"`)
			paths, err := filepath.Glob(beside(name, pattern))
			if err != nil || len(paths) == 0 {
				paths = []string{beside(name, pattern)}
			}
			for _, path := range paths {
				text, err := read(path)
				if err != nil {
					notes = append(notes, d.note(fmt.Sprintf("not included: %v; import again with the file there", err)))
					continue
				}
				more, moreNotes := includedLines(path, text, read, level+1, files)
				all, notes = append(all, more...), append(notes, moreNotes...)
			}
		}
	}
	return all, notes
}

// squidWords cuts a line at spaces; quotes keep a word together and stay.
func squidWords(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		if line[0] == '#' {
			break
		}
		end := strings.IndexAny(line, " \t")
		if q := line[0]; q == '"' || q == '\'' {
			if i := strings.IndexByte(line[1:], q); i >= 0 {
				end = i + 2
			}
		}
		if end < 0 || end > len(line) {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
	return words
}

// beside is a path that file names.
func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}

// squidValues are the values of an acl, with those in the files it names.
func squidValues(d directive, words []string, read ReadFile) (values []string, err error) {
	for _, w := range words {
		path, quoted := "", len(w) > 1 && w[0] == '"' && w[len(w)-1] == '"'
		if quoted {
			path = w[1 : len(w)-1]
		} else if strings.HasPrefix(w, `parameters("`) && strings.HasSuffix(w, `")`) {
			path = w[len(`parameters("`) : len(w)-2]
		}
		if path == "" {
			values = append(values, w)
			continue
		}
		src, e := read(beside(d.file, path))
		if e != nil {
			err = fmt.Errorf("its file cannot be read: %w", e)
			continue
		}
		for line := range strings.SplitSeq(string(src), "\n") {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			if i := strings.Index(line, " #"); i >= 0 {
				line = strings.TrimSpace(line[:i])
			}
			values = append(values, line)
		}
	}
	return values, err
}
