// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
)

// A program with the race detector in it sleeps for a second before it exits,
// unless it is told not to. The tests start a thousand.
const raceOptions = "atexit_sleep_ms=10"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", raceOptions)
	testscript.Main(m, map[string]func(){
		"sallyport": func() {
			dieAt(os.Getenv("TEST_DIE_AT"))
			holdAt(os.Getenv("TEST_HOLD_AT"))
			recordPatience = time.Minute
			os.Exit(realMain())
		},
	})
}

// TestScripts runs testdata/script: the real binary on real sockets. The file
// names are the list of features. See testdata/script/README.md for the
// commands beyond testscript's own.
func TestScripts(t *testing.T) { runScripts(t, testscript.Params{Dir: "testdata/script"}) }

// startsGateway is found in a script that can tell one path from the other.
var startsGateway = regexp.MustCompile(`(?m)^(\[.*?\] )?(! )?gateway |sallyport (run|demo)`)

// TestScriptsByNetHTTP runs the same with the engine switched off: whatever a
// script shows holds on either path.
func TestScriptsByNetHTTP(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var on []string
	for _, f := range files {
		script, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch name := filepath.Base(f); {
		case !startsGateway.Match(script.Comment):
		case strings.HasPrefix(name, "policy_"), strings.HasPrefix(name, "ca_"): // about the command; what it serves is not the point
		case strings.HasPrefix(name, "engine_"):
		case strings.HasPrefix(name, "demo"): // its gateway is of its own making, whatever the environment says
		case name == "tls_testssl.txtar": // two minutes about handshakes, which are the same
		default:
			on = append(on, f)
		}
	}
	runScripts(t, testscript.Params{Files: on}, "SALLYPORT_FAST_PATH=off")
}

func runScripts(t *testing.T, params testscript.Params, vars ...string) {
	testscript.Run(t, testscript.Params{
		Dir: params.Dir, Files: params.Files,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(append(env.Vars, "GORACE="+raceOptions), vars...)
			w := newWorld(env)
			env.Values[worldKey{}] = w
			env.Defer(w.close)
			return w.setUp(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"origin":       cmdOrigin,
			"crl":          cmdCRL,
			"ocsp":         cmdOCSP,
			"saw":          cmdSaw,
			"dns":          cmdDNS,
			"https":        cmdHTTPS,
			"echkeys":      cmdECHKeys,
			"expand":       cmdExpand,
			"gateway":      cmdGateway,
			"log":          cmdLog,
			"signal":       cmdSignal,
			"ended":        cmdEnded,
			"raw":          cmdRaw,
			"tokenkey":     cmdTokenKey,
			"token":        cmdToken,
			"talk":         cmdTalk,
			"json":         cmdJSON,
			"records":      cmdRecords,
			"logfile":      cmdLogFile,
			"refused":      cmdRefused,
			"cert":         cmdCert,
			"certificates": cmdCertificates,
			"watching":     cmdWatching,
			"many":         cmdMany,
			"fetch2":       cmdFetch2,
			"login":        cmdLogin,
			"visit":        cmdVisit,
			"browser":      cmdBrowser,

			"freeport":   cmdFreePort,
			"handshake":  cmdHandshake,
			"daemon":     cmdDaemon,
			"said":       cmdSaid,
			"servercert": cmdServerCert,
			"readme":     cmdReadme,
			"fill":       cmdFill,
			"same":       cmdSame,
			"waitfor":    cmdWaitFor,
			"damage":     cmdDamage,
			"left":       cmdLeft,
			"untilsame":  cmdUntilSame,
			"timeisover": cmdTimeIsOver,
			"revision":   cmdRevision,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil
			}
			if module, ok := strings.CutPrefix(cond, "python:"); ok { // of Debian's own Python
				return exec.Command("/usr/bin/python3", "-c", "import "+module).Run() == nil, nil
			}
			if module, ok := strings.CutPrefix(cond, "perl:"); ok {
				return exec.Command("perl", "-M"+module, "-e1").Run() == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

type worldKey struct{}

// A world is what one script runs in: its certificates, names, origins and gateways.
type world struct {
	dir      string
	ca       *testCA
	dns      *fakeDNS
	middle   *testCA // below ca; nil: no origin has wanted it
	origins  map[string]*testOrigin
	certs    map[string]*x509.Certificate // of the origins
	gateways map[string]*gatewayProcess
	started  []*gatewayProcess // all of them, whatever their names refer to now
	talks    map[string]*conversation
	daemons  map[string]*daemon
	visitor  *visitor // nil: nobody has visited anything
	browser  *browser // nil: none was started
}

func newWorld(env *testscript.Env) *world {
	return &world{
		dir:      env.WorkDir,
		origins:  make(map[string]*testOrigin),
		certs:    make(map[string]*x509.Certificate),
		gateways: make(map[string]*gatewayProcess),
		talks:    make(map[string]*conversation),
		daemons:  make(map[string]*daemon),
	}
}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// setUp writes ca.pem, client certificates and a password-free environment in
// which nothing of the machine's own configuration is used.
func (w *world) setUp(env *testscript.Env) error {
	var err error
	if w.ca, err = newTestCA("sallyport test root"); err != nil {
		return err
	}
	if err := w.ca.writeFiles(w.dir); err != nil {
		return err
	}
	if w.dns, err = startDNS(); err != nil {
		return err
	}
	w.dns.set("*.test", "127.0.0.1")
	for _, kv := range [][2]string{
		{"DNS", w.dns.addr()},
		{"HOME", filepath.Join(w.dir, "home")},
		{"NO_COLOR", "1"},
		{"no_proxy", ""},
		{"NO_PROXY", ""},
		{"http_proxy", ""},
		{"https_proxy", ""},
		{"SSL_CERT_DIR", "/dev/null"},
		{"LONG", strings.Repeat("y", 70<<10)},
		{"LONGNAME", strings.Repeat("n", 250)},
		{"PADDED", strings.Repeat(`1;`+strings.Repeat("p", 1000)+`\r\n.\r\n`, 50)},
	} {
		env.Setenv(kv[0], kv[1])
	}
	return os.MkdirAll(filepath.Join(w.dir, "home"), 0o700)
}

func (w *world) close() {
	for _, c := range w.talks {
		c.close()
	}
	if w.browser != nil {
		_ = w.browser.close()
	}
	for _, g := range w.started {
		g.kill()
	}
	for _, d := range w.daemons {
		d.close()
	}
	for _, o := range w.origins {
		o.close()
	}
	if w.dns != nil {
		w.dns.close()
	}
}

// cmdExpand replaces $NAME and ${NAME} in files: the ports of this run are not
// known when a script is written.
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand file...")
	}
	for _, name := range args {
		text := ts.ReadFile(name)
		out := os.Expand(text, func(k string) string {
			if v := ts.Getenv(k); v != "" {
				return v
			}
			return "$" + k
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(out), 0o600))
	}
}

// cmdCert issues one more client certificate: cert NAME [LIFE] leaves NAME.crt,
// NAME.key and both in NAME.pem.
func cmdCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: cert name [life]")
	}
	w, name, life := worldOf(ts), args[0], long
	if len(args) > 1 {
		var err error
		life, err = time.ParseDuration(args[1])
		ts.Check(err)
	}
	c, err := w.ca.issue(x509.ExtKeyUsageClientAuth, name, -time.Hour, life)
	ts.Check(err)
	ts.Check(writePair(w.dir, name, c))
	ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), []byte(ts.ReadFile(name+".crt")+ts.ReadFile(name+".key")), 0o600))
	// A line of the key, to look for where it must not be.
	ts.Setenv(name+"_key", regexp.QuoteMeta(strings.Split(ts.ReadFile(name+".key"), "\n")[1]))
}

// cmdDNS changes what a name resolves to: dns NAME ADDRESS...
func cmdDNS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: dns name address...")
	}
	worldOf(ts).dns.set(strings.ToLower(args[0]), args[1:]...)
}
