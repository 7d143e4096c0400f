// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"text/tabwriter"
	"time"
)

// bannerRules is how many rules are shown at the start; a policy can have thousands.
const bannerRules = 20

// banner tells whoever started the gateway what is enforced where, what to
// paste, and where files are.
func banner(w io.Writer, o runOptions, listeners []net.Listener, l *loaded) {
	p := l.gen.Policy
	for _, listener := range listeners {
		fmt.Fprintf(w, "sallyport serves clients on %s\n", listener.Addr())
	}
	url := "http://" + reachable(listeners[0].Addr())
	fmt.Fprintf(w, "\n  export http_proxy=%s https_proxy=%s HTTP_PROXY=%s HTTPS_PROXY=%s\n\n", url, url, url, url)
	bannerTLS(w, o, listeners[0].Addr())
	source := "the built-in policy"
	if o.policy != "" {
		source = o.policy
	}
	if l.stale != nil {
		source = warnStale(w, o, l)
	}
	fmt.Fprintf(w, "Enforced by %s, revision %s; the first rule that matches decides:\n\n", source, p.Revision[:8])
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, r := range p.Rules {
		if i == bannerRules {
			fmt.Fprintf(t, "  (%d more)\t\n", len(p.Rules)-i)
			break
		}
		fmt.Fprintf(t, "  %s\t%s\n", r.Name, r.Summary())
	}
	fmt.Fprintf(t, "  (otherwise)\tdeny\n")
	t.Flush()
	fmt.Fprintf(w, "\nFiles:\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if o.policy == "" {
		fmt.Fprintf(t, "  policy\tbuilt in; to write your own: sallyport policy starter > policy.yaml, then run --policy policy.yaml\n")
	} else {
		for _, f := range p.Files() {
			fmt.Fprintf(t, "  policy\t%s\n", f)
		}
	}
	state := o.state
	if state == "" {
		state = "none (give one with --state)"
	}
	fmt.Fprintf(t, "  state\t%s (secrets by name: secrets/NAME, client certificates: secrets/NAME.pem)\n", state)
	fmt.Fprintf(t, "  log\tstderr\n")
	t.Flush()
	fmt.Fprintln(w)
}

// bannerTLS tells how to come by TLS, and what to trust for that.
func bannerTLS(w io.Writer, o runOptions, addr net.Addr) {
	if len(o.tls.names) == 0 {
		return
	}
	_, port, _ := net.SplitHostPort(addr.String())
	url := "https://" + net.JoinHostPort(o.tls.names[0], port)
	fmt.Fprintf(w, "By TLS on the same port:\n\n  export http_proxy=%s https_proxy=%s HTTP_PROXY=%s HTTPS_PROXY=%s\n", url, url, url, url)
	if o.tls.directory == "" {
		state := caFlags{state: o.state}
		fmt.Fprintf(w, "  sallyport ca root%s --domain edge > edge.pem    # what clients trust\n", state.shown())
		fmt.Fprintf(w, "  sallyport ca issue%s --user NAME --out NAME     # a certificate that proves who a client is\n", state.shown())
	}
	fmt.Fprintln(w)
}

// warnStale tells whoever started the gateway that it does not enforce what
// the policy file says, and returns what it does enforce.
func warnStale(w io.Writer, o runOptions, l *loaded) string {
	fmt.Fprintf(w, "WARNING (policy_stale): %s does not load; sallyport policy check %s tells why.\n", o.policy, o.policy)
	if l.kept.IsZero() {
		fmt.Fprint(w, "No earlier policy was kept. EVERYTHING IS DENIED until it loads.\n\n")
		return "--boot-policy=deny-all"
	}
	fmt.Fprintf(w, "The last good one, in force since %s, is enforced until it does.\n\n", l.kept.Format(time.DateTime))
	return "the last good policy"
}

// reachable is addr as a client on this machine can use it.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr.String()
}
