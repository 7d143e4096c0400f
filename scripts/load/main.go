// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Load is the client of scripts/bench. It loads one proxy in one way, reads the
// processor time that the proxy used over exactly the window it counts in, and
// prints one line; with -report it makes the tables and the plot of many such
// lines.
//
// wrk would do for kept connections, and for nothing else: it cannot CONNECT,
// hold idle tunnels, or read the proxy's clock when its own window begins. One
// client for all workloads is worth more than a faster one for some; what the
// client costs is not what is measured.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"
)

var (
	mode    = flag.String("mode", "kept", "kept or new connections, bulk, idle tunnels, all mixed; once prints the status of one request")
	proxy   = flag.String("proxy", "", "host:port of the proxy")
	pid     = flag.Int("pid", 0, "the proxy's process; its children count too")
	origin  = flag.String("origin", "", "host:port of the origin, as the client names it")
	form    = flag.String("form", "origin", "how: origin or absolute (form of the target, with -scheme), connect")
	plain   = flag.String("plain", "", "host:port of an origin without TLS, for the tunnels of a mixed load")
	scheme  = flag.String("scheme", "http", "of an absolute target")
	secure  = flag.Bool("tls", false, "TLS to the origin, in the tunnel")
	roots   = flag.String("roots", "", "PEM file to verify the origin by, with -tls")
	size    = flag.Int64("size", 1024, "bytes of an answer; the path is /SIZE")
	clients = flag.Int("c", 32, "connections at a time")
	rate    = flag.Float64("rate", 0, "requests a second, measured from when each is due; 0: as fast as answers come")
	tunnels = flag.Int("n", 8000, "idle tunnels")
	warm    = flag.Duration("warm", time.Second, "before the window")
	window  = flag.Duration("d", 3*time.Second, "the window")
	report  = flag.String("report", "", "make the tables of a file of results")
	plot    = flag.String("svg", "", "and the plot")

	tlsConfig *tls.Config
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run() error {
	if *report != "" {
		return makeReport(*report, *plot, os.Stdout)
	}
	if *secure || *mode == "mixed" {
		pem, err := os.ReadFile(*roots)
		if err != nil {
			return err
		}
		host, _, err := net.SplitHostPort(*origin)
		if err != nil {
			return err
		}
		tlsConfig = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host}
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("no certificate in %s", *roots)
		}
	}
	if err := reachable(); err != nil {
		return err
	}
	if *mode == "once" {
		fmt.Println(status())
		return nil
	}
	if err := ready(); err != nil {
		return err
	}
	switch *mode {
	case "idle":
		return idle()
	case "mixed":
		return mixed()
	}
	return load()
}

// reachable waits until the proxy accepts connections.
func reachable() error {
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", *proxy)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// ready waits until a request is answered as it should be: some proxies accept
// before they can resolve a name. What it asks for is small whatever is loaded.
func ready() error {
	w := usual()
	w.size = 1 << 10
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		c, err := w.dial(2 * time.Second)
		if err == nil {
			_, err = c.exchange(nil)
			c.close()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// status is what one request is answered with, 0 when it is not.
func status() int {
	c, err := usual().dial(30 * time.Second)
	if err == nil {
		_, err = c.exchange(nil)
		c.close()
	}
	var s statusError
	switch {
	case err == nil:
		return 200
	case errors.As(err, &s):
		return int(s)
	}
	return 0
}
