// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A browser is a Chromium without a window that does what a script says, one
// thing after the other, by its DevTools protocol.
type browser struct {
	cmd  *exec.Cmd
	to   *os.File
	from *bufio.Reader
	tab  struct{ TargetID, SessionID string }
	last int    // the number of the last call
	page string // what loaded the page that was last complete
}

// cmdBrowser: browser start [FLAG...], go URL, do SCRIPT, until SCRIPT, eval SCRIPT, shot FILE WIDTH [dark].
func cmdBrowser(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || args[0] != "start" && len(args) < 2 {
		ts.Fatalf("usage: browser start|go|do|until|eval|shot ...")
	}
	w := worldOf(ts)
	if args[0] == "start" {
		if w.browser != nil {
			w.browser.close()
		}
		b, err := startBrowser(ts.MkAbs("."), ts.Getenv("HOME"), args[1:])
		ts.Check(err)
		w.browser = b
		return
	}
	b := w.browser
	if b == nil {
		ts.Fatalf("no browser has been started")
	}
	defer time.AfterFunc(patience, b.kill).Stop()
	switch args[0] {
	case "go":
		ts.Check(b.visit(args[1]))
	case "do": // something by which another page comes
		before := b.page
		_, err := b.eval(args[1])
		ts.Check(err)
		ts.Check(b.another(before))
	case "until": // its scripts have done something
		ts.Check(b.until(args[1]))
	case "eval":
		text, err := b.eval(args[1])
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), text)
		return
	case "shot":
		ts.Check(b.shot(ts.MkAbs(args[1]), args[2:]))
		return
	default:
		ts.Fatalf("browser %s?", args[0])
	}
	page, err := b.eval(`location.href + "\n" + document.documentElement.outerHTML`)
	ts.Check(err)
	fmt.Fprintln(ts.Stdout(), page)
}

// startBrowser starts it with a profile of its own in dir, asks nobody about
// anything, and opens one tab.
func startBrowser(dir, home string, flags []string) (*browser, error) {
	profile, err := os.MkdirTemp(dir, "profile")
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	theirs, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, theirsToo, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "chromium.log"))
	if err != nil {
		return nil, err
	}
	b := &browser{cmd: exec.Command(program, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
		"--no-first-run", "--proxy-bypass-list=<-loopback>", "--user-data-dir=" + profile, "--remote-debugging-pipe",
	}, flags...)...), to: to, from: bufio.NewReader(from)}
	b.cmd.ExtraFiles = []*os.File{theirs, theirsToo}
	b.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}
	b.cmd.Stdout, b.cmd.Stderr = log, log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its processes end with it
	err = b.cmd.Start()
	log.Close()
	theirs.Close()
	theirsToo.Close()
	if err != nil {
		return nil, err
	}
	defer time.AfterFunc(patience, b.kill).Stop()
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// open opens the tab and asks to be told when its pages are complete.
func (b *browser) open() error {
	if err := b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &b.tab); err != nil {
		return err
	}
	if err := b.call("Target.attachToTarget", map[string]any{"targetId": b.tab.TargetID, "flatten": true}, &b.tab); err != nil {
		return err
	}
	if err := b.call("Page.enable", map[string]any{}, nil); err != nil {
		return err
	}
	if err := b.call("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil); err != nil {
		return err
	}
	return b.another("") // the empty one
}

// message is what the protocol says either way: a call, its answer, an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`

	Result json.RawMessage           `json:"result,omitempty"`
	Error  *struct{ Message string } `json:"error,omitempty"`
}

// errNotDone is what the browser says of what it cannot do.
var errNotDone = errors.New("the browser did not do it")

// call asks for something and stores the answer in result, if that is not nil.
func (b *browser) call(method string, params, result any) error {
	b.last++
	with, err := json.Marshal(params)
	if err != nil {
		return err
	}
	text, err := json.Marshal(message{ID: b.last, Session: b.tab.SessionID, Method: method, Params: with})
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return fmt.Errorf("asking the browser for %s: %w", method, err)
	}
	for {
		m, err := b.next()
		switch {
		case err != nil:
			return fmt.Errorf("asking the browser for %s: %w", method, err)
		case m.ID != b.last:
			continue
		case m.Error != nil:
			return fmt.Errorf("%s: %w: %s", method, errNotDone, m.Error.Message)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		}
		return nil
	}
}

// next reads what the browser says next.
func (b *browser) next() (message, error) {
	text, err := b.from.ReadBytes(0)
	if err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		return message{}, err
	}
	if m.Method == "Page.lifecycleEvent" {
		var event struct{ FrameID, LoaderID, Name string }
		if err := json.Unmarshal(m.Params, &event); err != nil {
			return message{}, err
		}
		if event.Name == "load" && event.FrameID == b.tab.TargetID { // not a frame's in it
			b.page = event.LoaderID
		}
	}
	return m, nil
}

// another waits until a page is complete that is another than the one before.
func (b *browser) another(before string) error {
	for b.page == before {
		if _, err := b.next(); err != nil {
			return fmt.Errorf("waiting for a page: %w", err)
		}
	}
	return nil
}

func (b *browser) visit(url string) error {
	before := b.page
	var got struct{ ErrorText string }
	if err := b.call("Page.navigate", map[string]any{"url": url}, &got); err != nil {
		return err
	}
	if got.ErrorText != "" {
		return fmt.Errorf("%s: %s", url, got.ErrorText)
	}
	return b.another(before)
}

// until waits until a script, which each page that comes meanwhile is asked anew,
// is true.
func (b *browser) until(script string) error {
	for {
		got, err := b.eval("new Promise(tell => { const look = () => (" + script + ") ? tell(true) : requestAnimationFrame(look); look() })")
		if got == "true" {
			return nil
		}
		if err != nil && !errors.Is(err, errNotDone) { // which a page that goes makes of it
			return err
		}
	}
}

// eval runs a script in the page and returns its value as text, when that is there.
func (b *browser) eval(script string) (string, error) {
	var got struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	err := b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &got)
	if err == nil && got.ExceptionDetails != nil {
		err = fmt.Errorf("%s: %w: %s", script, errNotDone, got.ExceptionDetails)
	}
	return fmt.Sprint(got.Result.Value), err
}

// shot writes a picture of the page to a file, so many pixels wide, and dark if
// that is said.
func (b *browser) shot(file string, how []string) error {
	width, err := strconv.Atoi(how[0])
	if err != nil {
		return err
	}
	scheme := "light"
	if len(how) > 1 {
		scheme = how[1]
	}
	if err := b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}, nil); err != nil {
		return err
	}
	if err := b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil); err != nil {
		return err
	}
	var got struct{ Data string }
	if err := b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &got); err != nil {
		return err
	}
	picture, err := base64.StdEncoding.DecodeString(got.Data)
	if err != nil {
		return err
	}
	return os.WriteFile(file, picture, 0o600)
}

// kill ends all of its processes.
func (b *browser) kill() { _ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) } // a group of ours

func (b *browser) close() error {
	b.kill()
	_ = b.cmd.Wait() // killed
	return b.to.Close()
}
