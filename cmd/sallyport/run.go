// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
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

// check refuses flags that do not go together.
func (o *runOptions) check() error {
	if o.fastPath != "on" && o.fastPath != "off" {
		return &exitError{code: exitUsage, err: fmt.Errorf("--fast-path %s: it is on or off", o.fastPath)}
	}
	if err := o.tls.check(o.state); err != nil {
		return err
	}
	return o.acmeServe.check(o.tls)
}

// recordPatience is tunnel.Names's; tests have more, whose machines have more to do.
var recordPatience time.Duration

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
	if err := o.check(); err != nil {
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
	names := &tunnel.Names{Resolver: resolver, Patience: recordPatience}
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
	seen := newObservers(o.state, &logger)
	server := &gateway.Server{
		Generation: active.Generation,
		Dialer:     tunnel.Dialer{Names: names},
		Describe:   certs.Describe,
		Delegate:   admin.ca.delegate,
		HSTS:       strict.hosts,
		CookieKey:  cookieKey(o.state, &logger),
		Standard:   o.fastPath == "off",
		Observe:    seen.Observe,
		ErrorLog:   log.New(warnings{&logger}, "", 0),
	}
	// Signals are caught before anybody can know that we listen.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	listeners, err := listen(o.listen)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	front, err := openFront(ctx, o, ca, listeners, names, &logger)
	if err != nil {
		return err
	}
	front.configure(server, &pages{generation: active.Generation, ca: admin.ca.opened, refused: seen.refused, port: ownPort(listeners)})
	if err := who.meet(server, admin.ca); err != nil {
		return &exitError{code: exitFailed, err: err}
	}
	watch, err := watchFiles(active.now.Load().files)
	if err != nil {
		return fmt.Errorf("watching the policy's files: %w", err)
	}
	defer watch.Close()
	proofs, err := watchFiles(who.paths())
	if err != nil {
		return fmt.Errorf("watching the files of clients: %w", err)
	}
	defer proofs.Close()
	who.reload("file change") // what was written before anybody watched
	admin.of(front, who, seen, active)
	admin.changed = server.Recheck
	stopAdmin, err := serveAdmin(admin)
	if err != nil {
		logger.Error().Str("error", err.Error()).Msg("commands about the CA and certificates do not reach this gateway")
	}
	defer stopAdmin()
	reload := newReloader(active, server, watch, seen.expiry, &logger)
	go followLoad(ctx)
	go origins.sources.Run(ctx)
	go seen.expiry.run(ctx, active.now.Load)
	defer front.start(ctx)()
	defer strict.keep(&logger)()                   // what was heard last is kept, too
	defer seen.hits.keep(active.policy, &logger)() // the last counts are written when everything has ended
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
