// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketOptions: no multipath, no Nagle, keep-alive within two minutes.
func TestSocketOptions(t *testing.T) {
	everyWay(t, func(t *testing.T, dial way) {
		near, err := dial(&Dialer{Permit: ban().permit}, "127.0.0.1:"+listen(t, "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		rc := rawConn(near)
		option := func(level, name int) (v int) {
			rc.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, name) })
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := option(unix.SOL_SOCKET, unix.SO_PROTOCOL); v != unix.IPPROTO_TCP {
			t.Errorf("protocol %d", v)
		}
		if option(unix.IPPROTO_TCP, unix.TCP_NODELAY) != 1 {
			t.Error("Nagle is on")
		}
		idle, interval, count := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL), option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
		if option(unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 1 || idle+interval*count > 120 {
			t.Errorf("keep-alive: %d s + %d * %d s", idle, interval, count)
		}
	})
}

const searchEnv = "SALLYPORT_TEST_SEARCH"

// TestSearchList runs again in a mount namespace where resolv.conf has a
// search list.
func TestSearchList(t *testing.T) {
	if os.Getenv(searchEnv) != "" {
		dns := hosts(t, map[string][]string{"intranet.corp.example.": {"127.0.0.1"}})
		d := &Dialer{Permit: ban().permit, Resolver: dns.resolver()}
		if _, err := d.DialContext(t.Context(), "tcp", "intranet:443"); err == nil {
			t.Error("found through the search list")
		}
		if q := dns.questions(); !slices.Equal(q, []string{"intranet."}) {
			t.Errorf("asked for %q", q)
		}
		// The list is there: without the dot it is used.
		addrs, err := dns.resolver().LookupHost(t.Context(), "intranet")
		if err != nil || !slices.Equal(addrs, []string{"127.0.0.1"}) {
			t.Errorf("the namespace has no search list: %v, %v", addrs, err)
		}
		return
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("unshare is not installed")
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\nsearch corp.example\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(unshare, "-rm", "mount", "--bind", conf, "/etc/resolv.conf").CombinedOutput(); err != nil {
		t.Skipf("no mount namespace to be had: %v: %s", err, out)
	}
	cmd := exec.Command(unshare, "-rm", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$1" -test.run '^TestSearchList$' -test.v`, conf, os.Args[0])
	cmd.Env = append(os.Environ(), searchEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
