// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

// TestUnpackHoldsAWindow: what little packed bytes can become does not need memory, and
// a window that no coding may have is refused.
func TestUnpackHoldsAWindow(t *testing.T) {
	for _, tt := range []struct {
		coding Coding
		most   uint64 // bytes
	}{{Gzip, 1 << 20}, {Brotli, 18 << 20}, {Zstd, 18 << 20}} {
		var b bytes.Buffer
		p := pack(t, tt.coding, &b)
		if tt.coding == Brotli {
			p = brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 5, LGWin: 24})
		}
		zeros := make([]byte, 1<<20)
		for range 24 {
			if _, err := p.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		p.Close()
		bomb := b.Bytes()
		if tt.coding == Zstd {
			bomb = append([]byte("\x28\xb5\x2f\xfd\x00\x68"), bytes.Repeat([]byte("\x02\x00\x10\x00"), 192)...) // a window of 8 MiB, and blocks of one byte each
		}
		u := NewUnpacker(tt.coding, bytes.NewReader(bomb))
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		buf := make([]byte, 16<<10)
		total, most := 0, uint64(0)
		for i := 0; ; i++ {
			n, err := u.Read(buf)
			total += n
			if i%200 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
			}
			if total >= 24<<20 || err != nil {
				break
			}
		}
		runtime.KeepAlive(u)
		t.Logf("%s: %d bytes became %d, and held %d", tt.coding, len(bomb), total, most)
		if total < 23<<20 || most > tt.most {
			t.Errorf("%s: %d bytes became %d, and held %d, more than %d", tt.coding, len(bomb), total, most, tt.most)
		}
		u.Close()
	}
	for name, head := range map[string]string{
		"a window of 9 MiB":                   "\x28\xb5\x2f\xfd\x00\x69",
		"a window of 1 GiB":                   "\x28\xb5\x2f\xfd\x00\xa0",
		"one piece, of 9 MiB, without window": "\x28\xb5\x2f\xfd\xa0\x00\x00\x90\x00",
	} {
		if _, err := unpacked(Zstd, io.EOF, []byte(head+"\x02\x00\x10\x00")); err == nil || !strings.Contains(err.Error(), "exceed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The large windows of RFC 9841 are not br's.
	if _, err := unpacked(Brotli, io.EOF, []byte("\x11\x1e\x00\x00\x00\x00")); err == nil || !strings.Contains(err.Error(), "WINDOW_BITS") {
		t.Errorf("a large window: %v", err)
	}
}

// TestWindow: Brotli says first how large its window is.
func TestWindow(t *testing.T) {
	for bits := 10; bits <= 24; bits++ {
		var b bytes.Buffer
		w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 5, LGWin: bits})
		fmt.Fprint(w, page)
		w.Close()
		u := NewUnpacker(Brotli, &b)
		if n := u.Window(); n != 16<<20 {
			t.Errorf("before it is read, the window is %d", n)
		}
		if got, err := io.ReadAll(u); string(got) != page || err != nil || u.Window() != 1<<bits {
			t.Errorf("with %d bits the window is %d; %v", bits, u.Window(), err)
		}
	}
	if windowBits(0x11) != 0 { // of the large ones
		t.Error("0x11 is a window's")
	}
}
