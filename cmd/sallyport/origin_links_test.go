// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// links answers with a text that has links to o itself by https, packed by a coding,
// "whole" for none. What has an ETag in the query has it, and can be had in parts and
// under conditions; with held=yes the second half waits until it is released.
func (o *testOrigin) links(w http.ResponseWriter, r *http.Request, coding string) {
	q, link := r.URL.Query(), "https://"+r.Host
	if cookie := q.Get("cookie"); cookie != "" {
		w.Header().Set("Set-Cookie", cookie)
	}
	first, second := "<p>"+link+"/first</p>\n", "<p>"+link+"/second</p>\n"
	if tag := q.Get("etag"); tag != "" {
		w.Header().Set("ETag", `"`+tag+`"`)
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(first+second))
		return
	}
	to := packing(w, coding)
	fmt.Fprint(to, first)
	if q.Get("held") != "" {
		if f, ok := to.(interface{ Flush() error }); ok {
			_ = f.Flush()
		}
		_ = http.NewResponseController(w).Flush()
		o.note("holding")
		<-o.release
	}
	fmt.Fprint(to, second)
	to.Close()
}

// packing packs for w, and says so.
func packing(w http.ResponseWriter, coding string) io.WriteCloser {
	if coding != "whole" {
		w.Header().Set("Content-Encoding", coding)
	}
	switch coding {
	case "gzip":
		return gzip.NewWriter(w)
	case "br":
		return brotli.NewWriter(w)
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return z
	}
	return unpacked{w}
}

type unpacked struct{ io.Writer }

func (unpacked) Close() error { return nil }
