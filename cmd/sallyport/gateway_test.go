// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/pflag"
)

// patience is how long anything in a script may take that should happen at
// once. It is never reached by a test that passes.
const patience = 20 * time.Second

// A gatewayProcess is a running sallyport.
type gatewayProcess struct {
	cmd  *exec.Cmd
	out  *journal
	errs *journal
	done chan struct{} // closed when it has ended
	code int
}

// A journal keeps what a process prints and wakes who waits for it.
type journal struct {
	mu    sync.Mutex
	cond  *sync.Cond
	text  bytes.Buffer
	ended bool
}

func newJournal() *journal {
	j := &journal{}
	j.cond = sync.NewCond(&j.mu)
	return j
}

// follow copies r until its end.
func (j *journal) follow(r io.Reader) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadString('\n')
		j.add(line, err != nil)
		if err != nil {
			return
		}
	}
}

func (j *journal) add(text string, last bool) {
	j.mu.Lock()
	j.text.WriteString(text)
	j.ended = last
	j.mu.Unlock()
	j.cond.Broadcast()
}

// wait blocks until the text satisfies ok, and reports false when the process
// or patience ends first.
func (j *journal) wait(ok func(text string) bool) bool {
	late := false
	timer := time.AfterFunc(patience, func() {
		j.mu.Lock()
		late = true
		j.mu.Unlock()
		j.cond.Broadcast()
	})
	defer timer.Stop()
	j.mu.Lock()
	defer j.mu.Unlock()
	for !ok(j.text.String()) {
		if j.ended || late {
			return false
		}
		j.cond.Wait()
	}
	return true
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// cmdGateway starts sallyport run on a free port with the world's DNS and waits
// until it serves: gateway [NAME=]POLICY|- [flags]. It sets $GW, or $NAME, to
// the address and $GW_port, or $NAME_port, to its port. With ! it has to refuse to start: ! gateway POLICY CODE REGEXP [flags].
func cmdGateway(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || neg && len(args) < 3 {
		ts.Fatalf("usage: gateway [name=]policy|- [flags] or ! gateway policy code regexp [flags]")
	}
	w := worldOf(ts)
	name, file := "GW", args[0]
	if m := regexp.MustCompile(`^([A-Z0-9]+)=(.*)$`).FindStringSubmatch(file); m != nil {
		name, file = m[1], m[2]
	}
	var wantCode, wantText string
	flags := args[1:]
	if neg {
		wantCode, wantText, flags = args[1], args[2], args[3:]
	}
	argv := []string{"run"}
	for _, f := range [][2]string{{"--listen", "127.0.0.1:0"}, {"--resolver", ts.Getenv("DNS")}, {"--state", ts.MkAbs("state")}, {"--log", "json"}} {
		if ts.Getenv(envName(f[0][2:])) == "" && !slices.Contains(flags, f[0]) {
			argv = append(argv, f[:]...)
		}
	}
	if file != "-" {
		argv = append(argv, "--policy", file)
	}
	argv = append(argv, flags...)
	bin, err := exec.LookPath("sallyport")
	ts.Check(err)
	g := &gatewayProcess{cmd: exec.Command(bin, argv...), out: newJournal(), errs: newJournal(), done: make(chan struct{})}
	g.cmd.Dir = ts.MkAbs(".")
	names := []string{"HOME", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "GOCOVERDIR", "GORACE", "TEST_HOLD_AT"}
	runCommand().Flags().VisitAll(func(f *pflag.Flag) { names = append(names, envName(f.Name)) })
	for _, name := range names {
		if v := ts.Getenv(name); v != "" {
			g.cmd.Env = append(g.cmd.Env, name+"="+v)
		}
	}
	stdout, err := g.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := g.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(g.cmd.Start())
	var copying sync.WaitGroup
	copying.Go(func() { g.out.follow(stdout) })
	copying.Go(func() { g.errs.follow(stderr) })
	go func() {
		copying.Wait()
		_ = g.cmd.Wait()
		g.code = g.cmd.ProcessState.ExitCode()
		close(g.done)
	}()
	w.started = append(w.started, g)
	if !neg {
		w.gateways[name] = g
	}
	serving := regexp.MustCompile(`"listen":\["([^"]+)"`).FindStringSubmatch
	if neg {
		g.wait(ts)
		if got := strconv.Itoa(g.code); got != wantCode {
			ts.Fatalf("exit code %s, want %s:\n%s", got, wantCode, g.errs)
		}
		if !regexp.MustCompile(wantText).MatchString(g.errs.String()) {
			ts.Fatalf("stderr does not match %q:\n%s", wantText, g.errs)
		}
		return
	}
	var m []string
	g.errs.wait(func(text string) bool { m = serving(text); return m != nil })
	if m == nil {
		ts.Fatalf("the gateway did not start:\n%s%s", g.out, g.errs)
	}
	ts.Setenv(name, m[1])
	_, port, _ := net.SplitHostPort(m[1])
	ts.Setenv(name+"_port", port)
	g.out.wait(regexp.MustCompile(`\n  log .*\n`).MatchString) // the banner's last line
	ts.Check(os.WriteFile(ts.MkAbs("banner"), []byte(g.out.String()), 0o600))
}

func (w *world) gateway(ts *testscript.TestScript, args []string) (*gatewayProcess, []string) {
	name := "GW"
	if len(args) > 0 {
		if _, ok := w.gateways[args[0]]; ok {
			name, args = args[0], args[1:]
		}
	}
	g := w.gateways[name]
	if g == nil {
		ts.Fatalf("no gateway %s", name)
	}
	return g, args
}

// cmdLog waits for a line on the gateway's stderr: log [GATEWAY] REGEXP. With !
// no line so far may match; put it behind a line that has to come later.
func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	if len(args) != 1 {
		ts.Fatalf("usage: [!] log [gateway] regexp")
	}
	re := regexp.MustCompile("(?m)" + args[0])
	if neg {
		if re.MatchString(g.errs.String()) {
			ts.Fatalf("the log matches %q:\n%s", args[0], g.errs)
		}
		return
	}
	if !g.errs.wait(re.MatchString) {
		ts.Fatalf("the log does not match %q:\n%s", args[0], g.errs)
	}
}

// cmdSignal sends a gateway a signal: signal [GATEWAY] HUP|TERM|INT|KILL.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: signal [gateway] name")
	}
	sig, ok := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}[args[0]]
	if !ok {
		ts.Fatalf("no signal %s", args[0])
	}
	ts.Check(g.cmd.Process.Signal(sig))
}

// cmdEnded waits until a gateway has ended: ended [GATEWAY] CODE.
func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ended [gateway] code")
	}
	g.wait(ts)
	if got := strconv.Itoa(g.code); got != args[0] {
		ts.Fatalf("exit code %s, want %s:\n%s", got, args[0], g.errs)
	}
}

func (g *gatewayProcess) wait(ts *testscript.TestScript) {
	select {
	case <-g.done:
	case <-time.After(patience):
		ts.Fatalf("the gateway still runs:\n%s", g.errs)
	}
}

func (g *gatewayProcess) kill() {
	if g.cmd.Process != nil {
		_ = g.cmd.Process.Kill()
	}
	<-g.done
}

// cmdJSON waits for an access log line in which every path has its value, as a
// regular expression: json [GATEWAY] rule=web origin_leg.alpn=h2 'ms.total=.+'.
// "" stands for a path that is absent. With ! no line so far may have them all.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	found := func(text string) bool {
		for line := range strings.Lines(text) {
			if lineHas(ts, line, args) {
				return true
			}
		}
		return false
	}
	if neg {
		if found(g.errs.String()) {
			ts.Fatalf("a log line has %q:\n%s", args, g.errs)
		}
		return
	}
	if !g.errs.wait(found) {
		ts.Fatalf("no log line has %q:\n%s", args, g.errs)
	}
}

// cmdRecords waits until a gateway has written so many access log lines, and
// holds it to that number and to an id for each: records [GATEWAY] N. Put it
// behind ended where a line too many could still come.
func cmdRecords(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: records [gateway] n")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var lines int
	ids := make(map[string]bool)
	g.errs.wait(func(text string) bool {
		lines = 0
		for line := range strings.Lines(text) {
			var event struct{ Message, ID string }
			if json.Unmarshal([]byte(line), &event) == nil && event.Message == "request" {
				lines++
				ids[event.ID] = true
			}
		}
		return lines >= want
	})
	if lines != want || len(ids) != want || ids[""] {
		ts.Fatalf("%d access log lines with %d ids, want %d:\n%s", lines, len(ids), want, g.errs)
	}
}

// cmdLogFile writes what a gateway has logged so far to a file: logfile [GATEWAY]
// FILE. Put it behind ended, or a line that has come.
func cmdLogFile(ts *testscript.TestScript, neg bool, args []string) {
	g, args := worldOf(ts).gateway(ts, args)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: logfile [gateway] file")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(g.errs.String()), 0o600))
}

func lineHas(ts *testscript.TestScript, line string, pairs []string) bool {
	var event map[string]any
	if json.Unmarshal([]byte(line), &event) != nil || event["message"] != "request" {
		return false
	}
	for _, pair := range pairs {
		path, want, _ := strings.Cut(pair, "=")
		var v any = event
		for key := range strings.SplitSeq(path, ".") {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		got := ""
		if v != nil {
			got = fmt.Sprint(v)
		}
		re, err := regexp.Compile("^(" + want + ")$")
		ts.Check(err)
		if !re.MatchString(got) {
			return false
		}
	}
	return true
}
