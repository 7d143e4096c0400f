// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const logText = 3000 // characters of the records of an exchange

// repeated are fields of a record that say the same in all exchanges of a
// column, or nothing of what became of this one.
var repeated = strings.Fields(`level id start time message proto kind generation revision contract may_ask client decision reason
	client_leg.cipher client_leg.kex client_leg.resumed ms.connect ms.dns ms.first_byte
	origin_leg.addr origin_leg.sha256 origin_leg.cipher origin_leg.kex origin_leg.resumed`)

// viewLog is what the gateway wrote of an exchange, a field a line: without the
// quotes of JSON, of which each would take five bytes on a page. Records after
// the first stand behind an empty line. What is not JSON is shown as it is.
func viewLog(log json.RawMessage, whole bool) string {
	var b strings.Builder
	d := json.NewDecoder(bytes.NewReader(log))
	d.UseNumber()
	if writeFields(&b, d, "", whole) != nil {
		return clip(string(log), logText)
	}
	return clip(strings.TrimSpace(b.String()), logText)
}

// writeFields writes the next value of d, which is called name.
func writeFields(b *strings.Builder, d *json.Decoder, name string, whole bool) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('['):
		for d.More() {
			if name == "" && b.Len() > 0 {
				b.WriteString("\n")
			}
			if err := writeFields(b, d, name, whole); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			full := strings.TrimPrefix(fmt.Sprintf("%s.%s", name, key), ".")
			out := b
			if !whole && slices.Contains(repeated, full) {
				out = new(strings.Builder)
			}
			if err := writeFields(out, d, full, whole); err != nil {
				return err
			}
		}
	case nil:
		fmt.Fprintln(b, name, "null")
		return nil
	default:
		fmt.Fprintln(b, strings.TrimSpace(fmt.Sprintf("%s %v", name, t)))
		return nil
	}
	_, err = d.Token() // the end of the list or object
	return err
}
