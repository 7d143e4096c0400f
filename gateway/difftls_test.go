// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/tls"
	"io"
	"log"
	"os"
	"slices"
	"sync"
	"testing"
)

// TestTLSMakesNoDifference holds the same dialogues in the clear and inside TLS,
// with the engine and with net/http: clients are answered, and origins asked, the
// same.
func TestTLSMakesNoDifference(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of origins that speak unasked
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	own := &rig{tb: t}
	own.certify("127.0.0.1", "gw.test")
	all := slices.Concat(requests(), answers())
	if testing.Short() {
		some := all[:0]
		for i := 0; i < len(all); i += 7 {
			some = append(some, all[i])
		}
		all = some
	}
	work := make(chan dialogue)
	var workers sync.WaitGroup
	for i := range 8 {
		w := newTwins(t)
		plain, gen := w.engine, w.engine.server.Generation()
		secure := newTwin(gen)
		if i%2 == 1 {
			plain, secure.server.Standard = w.standard, true
		}
		secure.server.TLS = &tls.Config{Certificates: []tls.Certificate{own.cert}}
		secure.tls = &tls.Config{RootCAs: own.roots, ServerName: "gw.test"}
		secure.addr = serve(t, secure.server)
		workers.Go(func() {
			for d := range work {
				p, s := w.hold(d, plain), w.hold(d, secure)
				for _, diff := range s.differs(p) {
					t.Errorf("%s: inside TLS, standard=%v:\n%s", d.name, plain.server.Standard, diff)
				}
				for _, rec := range s.records {
					if rec.ClientTLS == nil {
						t.Errorf("%s: a record without TLS", d.name)
					}
				}
			}
		})
	}
	for _, d := range all {
		work <- d
	}
	close(work)
	workers.Wait()
	t.Logf("%d dialogues", len(all))
}
