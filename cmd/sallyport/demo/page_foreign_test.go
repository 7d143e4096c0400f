// Copyright 2026 The sallyport authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// program is where a foreign program is, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s, which judges the page: %v", name, err)
	}
	return path
}

// checker is a file of the npm packages that tools/page names.
func checker(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PAGE_CHECKERS")
	if dir == "" {
		t.Skip("PAGE_CHECKERS does not name the node_modules of tools/page, which judge the page")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// pages are those of a whole report, of one that is shown in all detail, and of
// one that is made to break them.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	small := aReport(t)
	small.Exchanges = small.Exchanges[:15]
	bad := aReport(t)
	bad.Exchanges = bad.Exchanges[:15]
	n := 0
	poison(reflect.ValueOf(bad).Elem(), &n)
	out := make(map[string]string)
	for name, r := range map[string]*Report{"all": aReport(t), "small": small, "hostile": bad} {
		out[name] = filepath.Join(dir, name+".html")
		if err := os.WriteFile(out[name], written(t, r), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestPageIsValidToTidy(t *testing.T) {
	tidy := program(t, "tidy")
	for name, page := range pages(t) {
		// It would drop <use> and <b> that it takes for empty.
		if out, err := exec.Command(tidy, "-q", "-e", "--drop-empty-elements", "no", page).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestPageIsValidToW3C(t *testing.T) {
	java, jar := program(t, "java"), checker(t, "vnu-jar/build/dist/vnu.jar")
	args := []string{"-jar", jar}
	for _, page := range pages(t) {
		args = append(args, page)
	}
	if out, err := exec.Command(java, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// axe is what a page that is looked at by axe-core finds out.
type axe struct {
	Dark       bool `json:"dark"`
	Width      int  `json:"width"`
	Scroll     int  `json:"scroll"` // as wide as the page is
	Passes     int  `json:"passes"`
	Contrast   bool `json:"contrast"` // was looked at
	Violations []struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	} `json:"violations"`
}

// look is a script that opens everything, lets axe-core judge it and writes what
// it found into the page.
const look = `
for (const d of document.querySelectorAll("details")) d.open = true;
axe.run({resultTypes: ["violations"]}).then(r => JSON.stringify({
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  width: innerWidth, scroll: document.documentElement.scrollWidth,
  passes: r.passes.length, contrast: r.passes.concat(r.violations).some(p => p.id == "color-contrast"),
  violations: r.violations,
}), e => "failed: " + e).then(s => {
  const out = document.createElement("plaintext");
  out.id = "axe";
  out.textContent = s;
  document.body.replaceChildren(out);
});`

func TestPageIsAccessible(t *testing.T) {
	chromium, library := program(t, "chromium"), checker(t, "axe-core/axe.min.js")
	script, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	small := aReport(t) // two exchanges, in all columns: one shown in full, one in a few lines
	small.Exchanges = slices.DeleteFunc(small.Exchanges, func(e Exchange) bool { return e.Name != "login" && e.Name != "expired" })
	page := string(written(t, small))
	// The page forbids scripts, which is tested elsewhere; this one needs two.
	page = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).ReplaceAllString(page, "")
	page = strings.Replace(page, "</body>", "<script>"+string(script)+"</script><script>"+look+"</script></body>", 1)
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dark := range []bool{false, true} {
		for _, width := range []int{400, 1600} {
			t.Run(fmt.Sprintf("dark=%v,width=%d", dark, width), func(t *testing.T) {
				found := judged(t, chromium, file, dark, width)
				for _, v := range found.Violations {
					for _, n := range v.Nodes[:min(3, len(v.Nodes))] {
						t.Errorf("%s (%s), %d times: %s\n%s", v.ID, v.Help, len(v.Nodes), n.HTML, n.Summary)
					}
				}
				if found.Dark != dark || found.Passes < 10 || !found.Contrast {
					t.Errorf("judged were dark=%v, contrast %v, %d rules", found.Dark, found.Contrast, found.Passes)
				}
				if found.Scroll > found.Width {
					t.Errorf("the page is %d wide in a window of %d", found.Scroll, found.Width)
				}
			})
		}
	}
}

func judged(t *testing.T, chromium, file string, dark bool, width int) axe {
	t.Helper()
	scheme := map[bool]string{false: "1", true: "0"}[dark]
	cmd := exec.Command(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--user-data-dir="+t.TempDir(), "--blink-settings=preferredColorScheme="+scheme, fmt.Sprintf("--window-size=%d,1200", width),
		"--virtual-time-budget=5000", "--dump-dom", "file://"+file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	page, err := html.Parse(bytes.NewReader(dom))
	if err != nil {
		t.Fatal(err)
	}
	list := find(page, hasAttr("id", "axe"))
	if len(list) == 0 {
		t.Fatalf("axe did not end; the page is %.2000s\n%s", dom, &stderr)
	}
	said := text(list[0])
	said, _, _ = strings.Cut(said, "</plaintext>") // which has no end, and is written with one
	var found axe
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		t.Fatalf("%v in %.500s", err, said)
	}
	return found
}
