// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func policyExplainCommand() *cobra.Command {
	var (
		as     []string
		at     string
		plain  bool
		tls    bool
		asJSON bool
		last   int
		state  string
	)
	cmd := &cobra.Command{
		Use:   "explain FILE [METHOD] URL | explain FILE CONNECT HOST:PORT | explain --last[=N]",
		Short: "Show how a policy decides a request, rule by rule",
		Long: `Show how a policy decides a request, rule by rule. With --last, explain the last
TLS handshakes that failed at the gateway that runs on the state directory: whose
fault it was, and what to do. A request that a policy relays is refused when the gateway
of the state directory remembers that the host has asked for https only (HSTS).`,
		Example: `  sallyport policy explain policy.yaml GET http://example.com/
  sallyport policy explain policy.yaml CONNECT github.com:22 --as ip:10.20.9.9,group:engineering
  sallyport policy explain policy.yaml POST https://www.dropbox.com/s/abc --as ip:10.1.1.1,user:eva --at 2026-11-24T22:00:00+01:00`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("last") {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.RangeArgs(2, 3)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("last") {
				return explainLast(cmd, state, last, asJSON)
			}
			q, err := question(args[1:], as, at, plain)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			q.ClientTLS = tls
			p, err := policy.Load(args[0])
			if err != nil {
				return refused(cmd.ErrOrStderr(), err)
			}
			e := p.Explain(q)
			refuses := explainHSTS(e, q, state)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					policy.Explanation
					HSTS string `json:"hsts,omitempty"`
				}{e, refuses})
			}
			if _, err = fmt.Fprint(cmd.OutOrStdout(), e); err == nil && refuses != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "hsts      %s\n", refuses)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&as, "as", nil, "who asks: `ip:10.1.1.1,user:eva,group:staff,cert:…,claim:k=v`; without ip, 127.0.0.1")
	f.StringVar(&at, "at", "", "when, as `2026-11-24T22:00:00+01:00`; default now")
	f.BoolVar(&plain, "plain", false, "the https URL is sent to the gateway in plaintext, not through CONNECT")
	f.BoolVar(&tls, "tls", false, "the client speaks TLS to the gateway")
	f.BoolVar(&asJSON, "json", false, "print the explanation as JSON")
	f.IntVar(&last, "last", 1, "explain the last `N` TLS handshakes that failed, the newest first")
	f.Lookup("last").NoOptDefVal = "1"
	stateFlag(cmd, &state)
	return cmd
}

// explainLast asks the running gateway for handshakes that failed.
func explainLast(cmd *cobra.Command, state string, n int, asJSON bool) error {
	if n < 1 || n > mostHandshakes {
		return &exitError{exitUsage, fmt.Errorf("--last=%d: the last %d are kept", n, mostHandshakes)}
	}
	c, err := openAdmin(state, func() (*admin, func(), error) {
		return nil, nil, &exitError{exitNegative, fmt.Errorf("no gateway runs on the state directory %s: what failed is kept in its memory, and in the access log as \"event\"", state)}
	})
	if err != nil {
		return err
	}
	defer c.close()
	list := []failedHandshake{}
	if err := c.call(commandContext(cmd), "GET", "/v1/handshakes", nil, &list); err != nil {
		return err
	}
	list = list[:min(n, len(list))]
	if asJSON {
		return printJSON(cmd.OutOrStdout(), list)
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "no TLS handshake has failed since the gateway started")
		return err
	}
	for i := range list {
		list[i].print(cmd.OutOrStdout())
	}
	return nil
}

// question makes a query of the command line.
func question(request, as []string, at string, plain bool) (policy.Query, error) {
	q, err := policy.ParseRequest(strings.Join(request, " "))
	if err != nil {
		return q, err
	}
	if plain {
		if q.Kind != policy.Inner {
			return q, errors.New("--plain goes with an https:// URL")
		}
		q.Kind = policy.Plain
	}
	if q.At, err = moment(at); err != nil {
		return q, err
	}
	q.Client = policy.Client{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	for _, list := range as {
		for _, item := range strings.Split(list, ",") {
			if err := prove(&q.Client, item); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// moment is the time that --at says, now when it says none.
func moment(at string) (time.Time, error) {
	if at == "" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return t, fmt.Errorf("--at %q is no time: write it as 2026-11-24T22:00:00+01:00", at)
	}
	return t, nil
}

// prove adds one item of --as to what is proven about the client.
func prove(c *policy.Client, item string) error {
	kind, value, _ := strings.Cut(item, ":")
	if value == "" {
		return fmt.Errorf("--as %q: write ip:, user:, group:, cert: or claim: and a value", item)
	}
	switch kind {
	case "ip":
		a, err := netip.ParseAddr(value)
		if err != nil {
			return fmt.Errorf("--as %q: %q is not an address", item, value)
		}
		c.Addr = a.Unmap().WithZone("")
	case "user":
		c.User = value
	case "group":
		c.Groups = append(c.Groups, value)
	case "cert":
		c.Certs = append(c.Certs, value)
	case "claim":
		c.Claims = append(c.Claims, value)
	default:
		return fmt.Errorf("--as %q: %q is not one of ip, user, group, cert and claim", item, kind)
	}
	return nil
}
