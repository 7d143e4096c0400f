// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/policy"
)

var listedNames = flag.Int("names", 100_000, "how many names are on the list in TestReloadUnderTraffic")

// A witness reads a gateway's log: the access records, and a word for every
// policy that was loaded.
type witness struct {
	mu      sync.Mutex
	records []accessRecord
	other   []string
	loaded  chan string // the revision
}

type accessRecord struct {
	Message, Method, URL, Rule, Decision, Reason, Revision, Outcome string

	Status int
	Start  time.Time
	New    string // of "policy loaded"
	Listen []string
}

func (w *witness) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec accessRecord
		if json.Unmarshal(lines.Bytes(), &rec) != nil {
			rec.Message = lines.Text()
		}
		switch rec.Message {
		case "request":
			w.mu.Lock()
			w.records = append(w.records, rec)
			w.mu.Unlock()
		case "policy loaded":
			w.loaded <- rec.New
		case "serving":
			w.loaded <- rec.Listen[0]
		default:
			w.mu.Lock()
			w.other = append(w.other, lines.Text())
			w.mu.Unlock()
		}
	}
	close(w.loaded)
}

// hosts are the names that are asked for. Those with an even number are on one
// list, the others on the other; the last is on neither.
const hosts = 101

func hostName(i int) string {
	if i == hosts-1 {
		return "always.test"
	}
	return fmt.Sprintf("h%d.test", i)
}

// A list of any length is replaced again and again under a gateway that many
// clients use: each request is answered, and every decision in the access log
// is that of the list it says it was made by. (Issue 4)
func TestReloadUnderTraffic(t *testing.T) {
	d := newDesk(t)
	names, err := startDNS()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(names.close)
	names.set("*.test", "127.0.0.1")
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "web") })}
	webAddr, echoAddr := serveOn(t, func(l net.Listener) { _ = web.Serve(l) }), serveOn(t, greet)
	t.Cleanup(func() { web.Close() })

	d.write(d.file, `version: 1
destinations: {blocked: {file: list.txt}}
rules:
  - {name: blocked, from: any, to: blocked, ports: any, mode: deny}
  - {name: others, from: 127.0.0.0/8, to: any, ports: any, mode: [relay, tunnel], tunnel: {tls: optional}, allow_private: true}
`)
	list := filepath.Join(d.dir, "list.txt")
	var lists [2]string
	policies := make(map[string]*policy.Policy) // by the first digits of the revision
	var revisions [2]string
	for i := range lists {
		var b strings.Builder
		for n := range *listedNames {
			fmt.Fprintf(&b, "%x.number%d.list%d.example\n", n*7919, n, i)
		}
		for h := i; h < hosts-1; h += 2 {
			fmt.Fprintln(&b, hostName(h))
		}
		lists[i] = b.String()
		d.write(list, lists[i])
		p, err := policy.Load(d.file)
		if err != nil {
			t.Fatal(err)
		}
		revisions[i] = p.Revision[:8]
		policies[revisions[i]] = p
	}

	cmd := exec.Command(d.bin, "run", "--listen", "127.0.0.1:0", "--policy", d.file, "--state", d.state, "--log", "json", "--resolver", names.addr())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &witness{loaded: make(chan string, 100)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.follow(stderr)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	gateway := w.next(t)

	// Two tunnels that stay: one to a host that the other list has.
	always := greetedTunnel(t, gateway, "always.test:"+echoAddr)
	cut := greetedTunnel(t, gateway, hostName(0)+":"+echoAddr) // not on list 1, which is in force

	var asked, cuts, slowest atomic.Int64
	failures := make(chan error, 100)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: gateway})}
			defer transport.CloseIdleConnections()
			for i := c; ; i += 8 {
				select {
				case <-stop:
					return
				default:
				}
				begin := time.Now()
				var err error
				if host := hostName(i % hosts); c%2 == 0 {
					err = get(transport, host+":"+webAddr)
				} else {
					err = connect(gateway, host+":"+echoAddr)
				}
				asked.Add(1)
				if errors.Is(err, errCut) {
					cuts.Add(1)
					err = nil
				}
				for took := int64(time.Since(begin)); ; {
					before := slowest.Load()
					if took <= before || slowest.CompareAndSwap(before, took) {
						break
					}
				}
				if err != nil {
					failures <- fmt.Errorf("request %d: %w", i, err)
					return
				}
			}
		})
	}
	const swaps = 4
	type span struct{ from, to time.Time }
	var spans []span
	for n := range swaps {
		s := span{from: time.Now()}
		next := filepath.Join(d.dir, "next.txt")
		d.write(next, lists[n%2])
		if err := os.Rename(next, list); err != nil {
			t.Fatal(err)
		}
		if got := w.next(t); got != revisions[n%2] {
			t.Fatalf("revision %s was loaded, want %s", got, revisions[n%2])
		}
		s.to = time.Now()
		spans = append(spans, s)
		if _, err := fmt.Fprintf(always, "still here %d\n", n); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	clients.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	for n := range swaps {
		if line, err := bufio.NewReader(io.LimitReader(always, 13)).ReadString('\n'); line != fmt.Sprintf("still here %d\n", n) {
			t.Errorf("a tunnel that is allowed by both lists says %q, %v", line, err)
		}
	}
	if b, err := io.ReadAll(cut); len(b) > 0 || err == nil {
		t.Errorf("a tunnel that is allowed no longer was not cut: %q, %v", b, err)
	}
	always.Close()
	_ = cmd.Process.Signal(os.Interrupt)
	<-ended

	if got, want := len(w.records), int(asked.Load())+2; got != want {
		t.Errorf("%d requests were asked, %d are recorded", want, got)
	}
	counts, closed := make(map[string]int), 0
	other := map[string]string{revisions[0]: revisions[1], revisions[1]: revisions[0]}
	for _, r := range w.records {
		p := policies[r.Revision[:min(8, len(r.Revision))]]
		if p == nil {
			t.Fatalf("%+v was decided by no policy there was", r)
		}
		want := judgeAgain(t, p, r)
		if got := [3]string{r.Rule, r.Decision, r.Reason}; got != want {
			t.Fatalf("%+v: revision %s decides %q", r, r.Revision, want)
		}
		switch {
		case r.Status == 200 && r.Decision != "deny" || r.Status == 403 && r.Decision == "deny":
			if r.Outcome == "closed" {
				closed++
			}
		case r.Status == 403 && r.Outcome == "closed" && judgeAgain(t, policies[other[r.Revision[:8]]], r)[1] == "deny":
			// the next one came while the origin was connected to
		default:
			t.Errorf("%+v", r)
		}
		counts[r.Revision+" "+r.Decision]++
	}
	if closed < int(cuts.Load())+1 { // some had heard all they wanted to
		t.Errorf("%d tunnels were cut, and their clients say %d", closed, cuts.Load()+1)
	}
	if len(counts) != 6 { // deny, relay and tunnel by each list
		t.Errorf("decisions: %v", counts)
	}
	during := make([]int, swaps)
	for _, r := range w.records {
		for i, s := range spans {
			if r.Start.After(s.from) && r.Start.Before(s.to) {
				during[i]++
			}
		}
	}
	if slices.Contains(during, 0) {
		t.Errorf("requests decided while a list was loaded: %v", during)
	}
	for _, line := range w.other {
		if !strings.Contains(line, `"level":"info"`) {
			t.Errorf("the gateway says %s", line)
		}
	}
	t.Logf("%d names: %v requests while lists were loaded in %v; the slowest request took %v; %v",
		*listedNames, during, spansOf(spans, func(s span) time.Duration { return s.to.Sub(s.from).Round(time.Millisecond) }),
		time.Duration(slowest.Load()).Round(time.Millisecond), slices.Sorted(maps.Keys(counts)))
}

func spansOf[T any](spans []T, of func(T) time.Duration) (d []time.Duration) {
	for _, s := range spans {
		d = append(d, of(s))
	}
	return d
}

func (w *witness) next(t *testing.T) string {
	t.Helper()
	select {
	case s, ok := <-w.loaded:
		if ok {
			return s
		}
		t.Fatalf("the gateway has ended:\n%s", strings.Join(w.other, "\n"))
	case <-time.After(3 * patience):
		w.mu.Lock()
		defer w.mu.Unlock()
		t.Fatalf("no policy was loaded:\n%s", strings.Join(w.other, "\n"))
	}
	return ""
}

// judgeAgain asks p what the gateway asked it.
func judgeAgain(t *testing.T, p *policy.Policy, r accessRecord) [3]string {
	t.Helper()
	request := "CONNECT " + r.URL
	if r.Method != http.MethodConnect {
		request = r.Method + " " + r.URL
	}
	q, err := policy.ParseRequest(request)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	q.Client, q.At = policy.Client{Addr: netip.MustParseAddr("127.0.0.1")}, r.Start
	d := p.Decide(q)
	return [3]string{d.Rule.Name, d.Mode.String(), d.Reason.String()}
}

// serveOn starts a server and returns its port.
func serveOn(t *testing.T, serve func(net.Listener)) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go serve(l)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// greet is an origin that says hello and then echoes.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(c, "hello")
			_, _ = io.Copy(c, c)
		}()
	}
}

// get asks for a page and holds the answer to being whole: the page, or a refusal.
func get(transport *http.Transport, addr string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusForbidden && (res.StatusCode != http.StatusOK || string(b) != "web") {
		return fmt.Errorf("%s, %q, %w", res.Status, b, err)
	}
	return nil
}

// errCut: a tunnel was cut because the next policy does not allow it.
var errCut = errors.New("the tunnel was cut")

// connect opens a tunnel, unless it is refused, and hears what the origin says.
func connect(gateway, addr string) error {
	c, br, status, err := tunnelTo(gateway, addr)
	if err != nil || status != http.StatusOK {
		if status == http.StatusForbidden {
			return nil
		}
		return fmt.Errorf("status %d, %w", status, err)
	}
	defer c.Close()
	line, err := br.ReadString('\n')
	if errors.Is(err, syscall.ECONNRESET) {
		return errCut
	}
	if line != "hello\n" {
		return fmt.Errorf("the origin says %q, %w", line, err)
	}
	return nil
}

func tunnelTo(gateway, addr string) (net.Conn, *bufio.Reader, int, error) {
	c, err := net.DialTimeout("tcp", gateway, patience)
	if err != nil {
		return nil, nil, 0, err
	}
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return nil, nil, 0, err
	}
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", addr, addr)
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect})
	if err != nil {
		c.Close()
		return nil, nil, 0, err
	}
	if res.StatusCode != http.StatusOK {
		c.Close()
	}
	return c, br, res.StatusCode, nil
}

// greetedTunnel is a tunnel whose origin has said hello.
func greetedTunnel(t *testing.T, gateway, addr string) net.Conn {
	t.Helper()
	c, br, status, err := tunnelTo(gateway, addr)
	if err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v", status, err)
	}
	t.Cleanup(func() { c.Close() })
	if line, err := br.ReadString('\n'); line != "hello\n" || br.Buffered() > 0 {
		t.Fatalf("the origin says %q, %v", line, err)
	}
	return c
}
