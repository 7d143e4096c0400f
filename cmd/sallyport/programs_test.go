// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// ports are those given to scripts, which run side by side.
var ports struct {
	mu    sync.Mutex
	last  int
	given map[int]bool
}

// freePort returns a port of 127.0.0.1 that nobody listens on, for a program
// that cannot be asked which one it took. It is below the range that outgoing
// connections get theirs from, so that none of those sits on it meanwhile.
func freePort() (int, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
		ports.last = 20000 + os.Getpid()%5000
	}
	for range 10000 {
		if ports.last++; ports.last >= 32000 {
			ports.last = 20000
		}
		if ports.given[ports.last] {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.last)))
		if err != nil {
			continue
		}
		ports.given[ports.last] = true
		return ports.last, l.Close()
	}
	return 0, errors.New("no free port")
}

// cmdFreePort sets a variable to a port that nobody uses: freeport NAME.
func cmdFreePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport name")
	}
	port, err := freePort()
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(port))
}

// A daemon is somebody else's program that serves while a script runs.
type daemon struct {
	cmd  *exec.Cmd
	out  *journal
	done chan struct{}
}

// cmdDaemon starts a program in the foreground and waits until what it prints
// says that it is ready: daemon NAME REGEXP PROGRAM [ARG...]. It is ended with
// the script.
func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: daemon name regexp program [arg...]")
	}
	w, name, ready := worldOf(ts), args[0], regexp.MustCompile("(?m)"+args[1])
	program, err := exec.LookPath(args[2])
	ts.Check(err)
	if program, err = filepath.Abs(program); err != nil {
		ts.Check(err)
	}
	d := &daemon{cmd: exec.Command(program, args[3:]...), out: newJournal(), done: make(chan struct{})}
	d.cmd.Dir = ts.MkAbs(".")
	d.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR")}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children end with it
	r, pw := io.Pipe()
	d.cmd.Stdout, d.cmd.Stderr = pw, pw
	d.cmd.WaitDelay = patience
	ts.Check(d.cmd.Start())
	go d.out.follow(r)
	go func() {
		_ = d.cmd.Wait()
		pw.Close()
		close(d.done)
	}()
	w.daemons[name] = d
	if !d.out.wait(ready.MatchString) {
		ts.Fatalf("%s did not say %q:\n%s", name, args[1], d.out)
	}
}

// close asks the program to end, and its children when it has.
func (d *daemon) close() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
	}
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // a group of ours; ESRCH: nobody was left
	<-d.done
}

// cmdSaid waits for what a daemon prints: said NAME REGEXP. With ! it has not
// said so up to now.
func cmdSaid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || worldOf(ts).daemons[args[0]] == nil {
		ts.Fatalf("usage: [!] said daemon regexp")
	}
	out, re := worldOf(ts).daemons[args[0]].out, regexp.MustCompile("(?m)"+args[1])
	if neg && re.MatchString(out.String()) || !neg && !out.wait(re.MatchString) {
		ts.Fatalf("%s said:\n%s", args[0], out)
	}
}

// cmdServerCert writes NAME.crt and NAME.key, a server's certificate of the test root:
// servercert NAME HOST...
func cmdServerCert(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: servercert name host...")
	}
	w := worldOf(ts)
	c, err := w.ca.issue(x509.ExtKeyUsageServerAuth, "test origin", -time.Hour, long, args[1:]...)
	ts.Check(err)
	ts.Check(writePair(w.dir, args[0], c))
}

// cmdFill writes a file of so many bytes that do not compress: fill FILE BYTES.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill file bytes")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = io.Copy(f, io.LimitReader(rand.NewChaCha8([32]byte{1}), n))
	ts.Check(errors.Join(err, f.Close()))
}

// cmdSame compares files byte for byte: [!] same FILE FILE. Unlike cmp it does
// not print megabytes when they differ.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] same file file")
	}
	a, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	if bytes.Equal(a, b) == neg {
		ts.Fatalf("%s has %d bytes, %s has %d", args[0], len(a), args[1], len(b))
	}
}

// serveGit answers from the repositories in dir by git's own CGI program.
func serveGit(w http.ResponseWriter, r *http.Request, dir string) {
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// A CGI program is told a body's length and given no chunks.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	h := cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Root: "/git",
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester",
			"GIT_CONFIG_NOSYSTEM=1", "HOME=" + dir,
		},
	}
	h.ServeHTTP(w, r)
}

// cmdReadme runs a command line that the README shows, word for word: readme LINE.
// Its program is the one under test, whatever it was built as.
func cmdReadme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: readme line")
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	ts.Check(err)
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[0]) + `( +#.*)?$`).Match(text) {
		ts.Fatalf("the README does not show %q", args[0])
	}
	line, file, redirected := strings.Cut(strings.TrimPrefix(args[0], "bin/"), " > ")
	words := strings.Fields(line)
	ts.Check(ts.Exec(words[0], words[1:]...))
	if redirected {
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(ts.ReadFile("stdout")), 0o600))
	}
}
