// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

func TestReadSecret(t *testing.T) {
	const visible = "it has a character that no field can have: it must be one line of visible US-ASCII characters and spaces"
	long := strings.Repeat("x", longestSecret)
	for _, tt := range []struct {
		text, want, wrong string
		mode              os.FileMode
	}{
		{text: "s3cret-1", want: "s3cret-1"},
		{text: "s3cret-1\n", want: "s3cret-1"},
		{text: "s3cret-1\r\n", want: "s3cret-1"},
		{text: "user name:pass", want: "user name:pass", mode: 0o400},
		{text: long + "\r\n", want: long},
		{text: long + "x", wrong: "it has more than 8192 bytes"},
		{text: long + "xyz\nmuch more", wrong: "it has more than 8192 bytes"},
		{text: "", wrong: "it is empty"},
		{text: "\n", wrong: "it is empty"},
		{text: "s3cret\n", wrong: "it has fewer than 8 characters, which can be guessed"},
		{text: "s3cret-1\n\n", wrong: visible},
		{text: "s3cret-1\nX: y", wrong: visible},
		{text: "s3cret\x00-1", wrong: visible},
		{text: "s3cret\t-1", wrong: visible},
		{text: "s3cret-\u00e9", wrong: visible},
		{text: "s3cret-\xff1", wrong: visible},
		{text: " s3cret-1", wrong: "it begins or ends with a space, which would be lost"},
		{text: "s3cret-1", mode: 0o640, wrong: "others than its owner can use it (mode 0640): chmod 600 FILE"},
		{text: "s3cret-1", mode: 0o604, wrong: "others than its owner can use it (mode 0604): chmod 600 FILE"},
	} {
		file := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.mode != 0 {
			if err := os.Chmod(file, tt.mode); err != nil {
				t.Fatal(err)
			}
		}
		got, err := readSecret(file)
		wrong := ""
		if err != nil {
			wrong = strings.ReplaceAll(err.Error(), file, "FILE")
		}
		if got != tt.want || wrong != tt.wrong {
			t.Errorf("%.20q: %.20q, %q; want %q", tt.text, got, wrong, tt.wrong)
		}
	}
}

// Nobody waits for what will never be written.
func TestReadSecretThatIsNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "s")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		fifo:        "it is not a regular file",
		t.TempDir(): "it is not a regular file",
		fifo + "/x": "not a directory",
		fifo + "x":  "there is none: write its one line to that file, with mode 0600",
	} {
		if _, err := readSecret(file); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

// What net/http quotes of an origin is not told (the text is that of Go's
// transport.go).
func TestLibrariesTellNothingOfAnswers(t *testing.T) {
	var b bytes.Buffer
	logger := zerolog.New(&b)
	l := log.New(libraries{&logger}, "", 0)
	l.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "s3cret", nil)
	l.Printf("http: something else")
	const want = `{"level":"warn","error":"an origin spoke unasked on a connection that was kept, which is closed","message":"net/http"}
{"level":"warn","error":"http: something else","message":"net/http"}
`
	if b.String() != want {
		t.Errorf("%s, want %s", b.String(), want)
	}
}

// TestBuffersThatAreTooSmallAreTold in our words, and not in quic-go's to whoever reads stderr.
func TestBuffersThatAreTooSmallAreTold(t *testing.T) {
	var out bytes.Buffer
	logger := zerolog.New(&out)
	log.New(libraries{&logger}, "", 0).Print("failed to sufficiently increase receive buffer size (was: 208 kiB, wanted: 7168 kiB, got: 416 kiB). See https://github.com/quic-go/quic-go/wiki/UDP-Buffer-Sizes for details.")
	want := `{"level":"warn","error":"failed to sufficiently increase receive buffer size (was: 208 kiB, wanted: 7168 kiB, got: 416 kiB)",` +
		`"message":"HTTP/3 is slower than it could be: the kernel allows its sockets small buffers (net.core.rmem_max, net.core.wmem_max)"}` + "\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
