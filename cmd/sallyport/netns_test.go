// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScriptsOnPublicAddresses runs testdata/netns in a network namespace of
// its own, where the loopback interface has public addresses and ports 80 and
// 443 are free: the only place where the built-in policy can be met as users
// meet it. The namespace reaches nothing else.
func TestScriptsOnPublicAddresses(t *testing.T) {
	if os.Getenv("SALLYPORT_TEST_NETNS") != "" {
		for _, args := range []string{
			"link set lo up",
			"addr add 93.184.216.34/32 dev lo",
			"addr add 93.184.216.36/32 dev lo",
			"addr add 93.184.216.37/32 dev lo",
			"addr add 93.184.216.38/32 dev lo",
			"addr add 10.1.2.3/32 dev lo",
			"addr add 10.1.2.4/32 dev lo",
			"addr add 169.254.169.254/32 dev lo",
			"-6 addr add 2606:2800:21f::1/128 dev lo nodad",
		} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v %s", args, err, out)
			}
		}
		runScripts(t, testscript.Params{Dir: "testdata/netns"})
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip (iproute2) is not installed")
	}
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v %s", err, out)
	}
	args := []string{
		"--user", "--map-root-user", "--net", os.Args[0], "-test.run", "^TestScriptsOnPublicAddresses$", "-test.timeout", "5m",
		"-test.parallel", "1", // there is one of each address and port
	}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), "SALLYPORT_TEST_NETNS=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip("a script was skipped; its reason is above")
	}
}
