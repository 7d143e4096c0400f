// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tunnel

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// herd is how many tunnels BenchmarkHerd moves bulk through at once.
const herd = 100

// herdLoad is both ends of a herd of tunnels, which move n MiB together.
func herdLoad(control net.Conn, n int) error {
	defer control.Close()
	at := control.RemoteAddr().String()
	errs := make(chan error, herd)
	for i := range herd {
		client, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		origin, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		go func() { errs <- bulkLoad(client, origin, (n+i)/herd) }()
	}
	for range herd {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkHerd moves 1 MiB an operation through a hundred tunnels. It is worth
// running without privileges, where pipes have an end (pipe_linux.go):
//
//	go test -c ./tunnel && setpriv --reuid nobody --clear-groups ./tunnel.test -test.run '^$' -test.bench Herd
func BenchmarkHerd(b *testing.B) {
	for _, j := range joiners {
		b.Run(j.name, func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			self, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s - herd %d", loadEnv, ln.Addr(), b.N))
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			var conns [1 + 2*herd]net.Conn
			var all sync.WaitGroup
			b.SetBytes(1 << 20)
			b.ResetTimer()
			before := cpu()
			for i := range conns {
				if conns[i], err = ln.Accept(); err != nil {
					b.Fatal(err)
				}
				if i > 0 && i%2 == 0 {
					all.Add(1)
					j.join(conns[i-1], conns[i], all.Done)
				}
			}
			all.Wait()
			b.ReportMetric((cpu()-before).Seconds()/float64(b.N)*1e9/(1<<20), "cpu-s/GB")
			b.StopTimer()
			conns[0].Close()
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
