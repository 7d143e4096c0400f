// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

// Goproxy is a proxy of scripts/bench: the library as it comes, for tunnels. By
// its default it does not verify an origin, so no request is asked of it.
//
// It is a module of its own, so that a peer is no dependency of the gateway's.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/elazarl/goproxy"
)

func main() {
	p := goproxy.NewProxyHttpServer()
	p.ConnectDial = nil // which is else the proxy that the environment names
	log.Fatal(http.ListenAndServe(os.Args[1], p))
}
