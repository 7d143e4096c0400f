// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package policy

import "os"

// mapFile reads the file: the collector takes it when nobody has it any more.
func mapFile(name string) (mappedFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return mappedFile{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return mappedFile{}, err
	}
	if !info.Mode().IsRegular() {
		return mappedFile{}, errCompiled
	}
	b, err := os.ReadFile(name)
	return mappedFile{bytes: b}, err
}

func give(string, string) {}

func (m mappedFile) unmapAfter(*nameTable) {}
