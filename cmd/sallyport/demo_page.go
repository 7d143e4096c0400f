// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/sallyport/demo"
)

// A demoPage is where the page of a comparison goes.
type demoPage struct {
	file  string // "": nowhere
	serve bool
}

func (p *demoPage) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "html", "", "write the report to a `file`, as one page that needs nothing else")
	cmd.Flags().BoolVar(&p.serve, "serve", false, "show the page on this machine, until it is interrupted")
	cmd.MarkFlagsMutuallyExclusive("json", "serve")
}

// check finds out before anything is tried that the page cannot be written.
func (p *demoPage) check() error {
	if p.file == "" {
		return nil
	}
	switch info, err := os.Lstat(p.file); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file, and the page does not go there: name another", p.file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for the page's place: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(p.file)); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s for the page: make it first", filepath.Dir(p.file))
	}
	return nil
}

// finish writes the page and shows it, until ctx ends.
func (p *demoPage) finish(ctx context.Context, out io.Writer, r *demo.Report) error {
	if p.file == "" && !p.serve {
		return nil
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		return err
	}
	if p.file != "" {
		who := stamp{mode: 0o644, uid: -1, gid: -1}
		if info, err := os.Lstat(p.file); err == nil {
			who = stampOf(info)
		}
		if err := replaceFile(p.file, page.Bytes(), who); err != nil {
			return err
		}
	}
	if p.serve {
		return servePage(ctx, out, page.Bytes())
	}
	return nil
}

// servePage shows a page on loopback, at an address that it prints, until ctx
// ends. A browser is opened where somebody sits before one.
func servePage(ctx context.Context, out io.Writer, page []byte) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serving the page: %w; write it to a file with --html", err)
	}
	address := l.Addr().String()
	server := &http.Server{
		Handler:           pageHandler(address, page),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	fmt.Fprintf(out, "The report is at http://%s/ until this ends (Ctrl-C).\n", address)
	if atDesktop(isTerminal(os.Stdout), os.Getenv) {
		openBrowser("http://" + address + "/")
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the page: %w", err)
	case <-ctx.Done():
		return server.Close()
	}
}

// pageHandler answers for one page and one name: a page of another site that has
// its own name lead here, to read what is served, gets nothing.
func pageHandler(host string, page []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.Host != host:
			http.Error(w, "this is http://"+host+"/", http.StatusMisdirectedRequest)
		case r.URL.Path != "/":
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the page can only be read", http.StatusMethodNotAllowed)
		default:
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", "frame-ancestors 'none'") // the page says the rest
			_, _ = w.Write(page)                                       // a client that left
		}
	})
}

// atDesktop reports whether somebody at a terminal has a screen for a browser.
func atDesktop(terminal bool, getenv func(string) string) bool {
	return terminal && (getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != "")
}
