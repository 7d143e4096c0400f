// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"sallyport/certs"
	"sallyport/gateway"
	"sallyport/policy"
	"sallyport/tunnel"
)

type runOptions struct {
	listen   []string
	policy   string
	boot     string
	state    string
	log      string
	drain    time.Duration
	resolver string
	fastPath string
	identity identityOptions
	missing  func(policy.Fact) string // what it takes to have what a policy depends on
	minting  func(*policy.Policy) (*minting, error)
	tls      tlsOptions

	acmeServe acmeServeOptions
}

func runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Run the gateway. Without --policy a built-in policy serves clients on this
machine only. Every flag can also be given as SALLYPORT_ and its name, as in
SALLYPORT_POLICY. A changed policy file is loaded at once, and on SIGHUP.`,
		Example: `  sallyport run
  sallyport run --policy policy.yaml --listen 127.0.0.1:3128 --listen '[::1]:3128'
  SALLYPORT_LISTEN=10.0.0.1:3128 sallyport run --policy policy.yaml --log json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnv(cmd); err != nil {
				return err
			}
			return run(o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.listen, "listen", []string{"127.0.0.1:3128"}, "address to serve clients on; repeat for several")
	f.StringVar(&o.policy, "policy", "", "policy file (default: the built-in one)")
	f.StringVar(&o.boot, "boot-policy", "last-good", "what to do when the policy file does not load and no earlier one can be used: last-good refuses to start, deny-all denies everything")
	f.StringVar(&o.state, "state", defaultState(), "directory of secrets and of what is kept between runs")
	f.StringVar(&o.log, "log", "", "json or console, on stderr (default: console on a terminal, else json)")
	f.DurationVar(&o.drain, "drain", 30*time.Second, "how long requests and tunnels may go on after SIGTERM")
	f.StringVar(&o.fastPath, "fast-path", "on", "off: serve HTTP/1.1 by Go's net/http instead of the gateway's own engine, to compare")
	o.identity.flags(f)
	f.StringVar(&o.resolver, "resolver", "", "DNS server to ask, as IP:PORT (default: the system's)")
	o.tls.flags(f)
	o.acmeServe.flags(f)
	return cmd
}

// run is the composition root: it puts the packages together, starts nothing
// before everything it needs is there, and ends what it started.
func run(o runOptions) error {
	logger, err := newLogger(o.log)
	if err != nil {
		return err
	}
	adoptLibraries(&logger)
	resolver, err := newResolver(o.resolver)
	if err != nil {
		return err
	}
	if o.fastPath != "on" && o.fastPath != "off" {
		return &exitError{code: exitUsage, err: fmt.Errorf("--fast-path %s: it is on or off", o.fastPath)}
	}
	if err := o.tls.check(o.state); err != nil {
		return err
	}
	if err := o.acmeServe.check(o.tls); err != nil {
		return err
	}
	admin := newAdmin(&caSlot{
		state: o.state, passphraseFile: o.tls.passphraseFile, wait: 10 * time.Second,
		log: func(format string, a ...any) { logger.Info().Msgf(format, a...) },
	})
	defer admin.ca.close()
	ca, err := openOwnCA(o, admin, &logger)
	if err != nil {
		return &exitError{code: exitFailed, err: err}
	}
	names := &tunnel.Names{Resolver: resolver}
	origins := openOrigins(o.state, names, &logger)
	defer origins.sources.Close()
	who, err := openIdentities(o, &logger)
	if err != nil {
		return err
	}
	o.missing = func(f policy.Fact) string { return cmp.Or(admin.ca.missing(f), who.missing(f)) }
	o.minting = func(p *policy.Policy) (*minting, error) { return admin.ca.minting(p, o.tls.names) }
	active, err := openActive(o, origins, &logger)
	if err != nil {
		return err
	}
	strict := openHSTS(o.state, &logger)
	hits, expiry, failed, refused := &hits{state: o.state}, &expiry{logger: &logger}, &handshakes{}, &refusals{}
	server := &gateway.Server{
		Generation: active.Generation,
		Dialer:     tunnel.Dialer{Names: names},
		Describe:   certs.Describe,
		Delegate:   admin.ca.delegate,
		HSTS:       strict.hosts,
		CookieKey:  cookieKey(o.state, &logger),
		Standard:   o.fastPath == "off",
		Observe: func(r *gateway.Record) {
			logRecord(&logger, r)
			hits.Observe(r)
			expiry.Observe(r)
			failed.Observe(r)
			refused.Observe(r)
		},
		ErrorLog: log.New(warnings{&logger}, "", 0),
	}
	// Signals are caught before anybody can know that we listen.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	listeners, err := listen(o.listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	front, err := openFront(ctx, o, ca, listeners, names, &logger)
	if err != nil {
		closeAll(listeners)
		return err
	}
	front.configure(server, &pages{generation: active.Generation, ca: admin.ca.opened, refused: refused, port: ownPort(listeners)})
	if err := who.meet(server, admin.ca); err != nil {
		closeAll(listeners)
		return &exitError{code: exitFailed, err: err}
	}
	watch, err := watchFiles(active.now.Load().files)
	if err != nil {
		closeAll(listeners)
		return fmt.Errorf("watching the policy's files: %w", err)
	}
	defer watch.Close()
	proofs, err := watchFiles(who.paths())
	if err != nil {
		closeAll(listeners)
		return fmt.Errorf("watching the files of clients: %w", err)
	}
	defer proofs.Close()
	who.reload("file change") // what was written before anybody watched
	admin.of(front, who, expiry)
	admin.changed, admin.rotated = server.Recheck, front.rotated
	admin.minting = func() *minting { return active.now.Load().mints }
	admin.handle("GET /v1/origins/expiring", func(*adminCall) (any, error) { return expiry.List(), nil })
	admin.handle("GET /v1/handshakes", func(*adminCall) (any, error) { return failed.List(), nil })
	stopAdmin, err := serveAdmin(admin)
	if err != nil {
		logger.Error().Str("error", err.Error()).Msg("commands about the CA and certificates do not reach this gateway")
	}
	defer stopAdmin()
	reload := newReloader(active, server, watch, expiry, &logger)
	go followLoad(ctx)
	go origins.sources.Run(ctx)
	go expiry.run(ctx, active.now.Load)
	defer front.start(ctx)()
	defer strict.keep(&logger)()              // what was heard last is kept, too
	defer hits.keep(active.policy, &logger)() // the last counts are written when everything has ended
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	banner(os.Stdout, o, listeners, active.now.Load())
	logger.Info().Str("revision", active.policy().Revision[:8]).Strs("listen", addresses(listeners)).Msg("serving")
	go reload.run(ctx)
	defer reload.Finish()

	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				return stop(server, &logger, o.drain, signals)
			}
			reload.Ask("SIGHUP")
			front.reload()
			who.again(server, "SIGHUP")
		case <-proofs.Changed:
			who.again(server, "file change")
		case <-watch.Changed:
			reload.Ask("file change")
		case err := <-ended:
			if !errors.Is(err, http.ErrServerClosed) {
				closeAll(listeners)
				return &exitError{code: exitFailed, err: fmt.Errorf("serving: %w", err)}
			}
		}
	}
}

// stop drains the server; a second signal, or the end of the time, cuts what
// is left.
func stop(server *gateway.Server, logger *zerolog.Logger, drain time.Duration, signals <-chan os.Signal) error {
	logger.Info().Int("tunnels", server.Tunnels()).Stringer("drain", drain).Msg("stopping: no new connections, waiting for open ones")
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	again := make(chan struct{})
	go func() {
		for s := range signals {
			if s != syscall.SIGHUP {
				close(again)
				cancel()
				return
			}
		}
	}()
	err := server.Shutdown(ctx)
	select {
	case <-again:
		return &exitError{code: exitFailed, err: errors.New("stopped at once by a second signal")}
	default:
	}
	if err != nil {
		logger.Warn().Msg("stopped; what was still open after the drain time was cut")
		return nil
	}
	logger.Info().Msg("stopped")
	return nil
}

// listen opens all listeners or none.
func listen(addrs []string) ([]net.Listener, error) {
	var open []net.Listener
	for _, addr := range addrs {
		l, err := gateway.Listen(context.Background(), addr)
		if err != nil {
			closeAll(open)
			return nil, &exitError{code: exitFailed, err: listenError(addr, err)}
		}
		open = append(open, l)
	}
	return open, nil
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program serves there; end it, or choose another address with --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: ports below 1024 need a privilege; choose a higher one with --listen", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine has no such address", addr)
	}
	return fmt.Errorf("cannot listen on %s: %w; an address looks like 127.0.0.1:3128", addr, err)
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func addresses(listeners []net.Listener) []string {
	var out []string
	for _, l := range listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// newResolver asks addr alone; "" means the system's resolvers.
func newResolver(addr string) (*net.Resolver, error) {
	if addr == "" {
		return nil, nil
	}
	if host, _, err := net.SplitHostPort(addr); err != nil || net.ParseIP(host) == nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("--resolver %s is not an address with a port, as in 10.0.0.53:53", addr)}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}, nil
}

// defaultState follows systemd (StateDirectory=) and the XDG base directories.
// "" when there is no home either.
func defaultState() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "sallyport")
	}
	if home, err := os.UserHomeDir(); err == nil && home != "" {
		return filepath.Join(home, ".local", "state", "sallyport")
	}
	return ""
}
