package page_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is one tab of the browser.
type tab struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // to chromedp the context is the tab
	url string

	mu         sync.Mutex
	complaints []string // of the browser about the page
}

// open opens a tab on the page at url, and closes it at the end of the test. Whatever the browser
// complains of is an error of the test, unless it is taken.
func open(t *testing.T, url string) *tab {
	t.Helper()
	if newTab == nil {
		t.Skip(missing)
	}
	ctx, cancel := newTab()
	limit := patience
	if conformance {
		limit *= 2 // there is more to look at
	}
	ctx, end := context.WithTimeout(ctx, limit)
	b := &tab{t: t, ctx: ctx, url: url}
	t.Cleanup(func() {
		end()
		cancel()
		for _, complaint := range b.take() {
			t.Errorf("the browser complains: %s", complaint)
		}
	})
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// listen takes complaints down.
func (b *tab) listen(event any) {
	var text string
	switch e := event.(type) {
	case *log.EventEntryAdded:
		text = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprintf("console: %s", e.Type)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.url) {
			text = "request to " + e.Request.URL
		}
	}
	if text == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, text)
}

// take returns and forgets what the browser has complained of.
func (b *tab) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.complaints
	b.complaints = nil
	return taken
}

// call sends a command to the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatalf("calling %s: %v", command.Method, err)
	}
	return result
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v", err)
	}
}

// look sets the width and the color scheme.
func (b *tab) look(width int, scheme string) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: 900, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// visit loads a page.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + path))
}

// press presses keys, one after the other.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

// leave presses keys that lead to another page, and waits for that.
func (b *tab) leave(keys string) {
	b.t.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(keys)); err != nil {
		b.t.Fatalf("going to another page: %v", err)
	}
}

// eval runs a script and returns what it returns, or what its promise becomes.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("running %.200s: %v", script, err)
	}
	return result
}

// script runs a script for what it does.
func (b *tab) script(text string) {
	b.t.Helper()
	eval[bool](b, "{"+text+"}; true")
}

// until waits until a script is true.
func (b *tab) until(script string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](script, chromedp.WithPollingTimeout(patience/3))); err != nil {
		b.t.Fatalf("waiting for %s: %v; the page:\n%.2000s", script, err, eval[string](b, `document.body.innerText`))
	}
}

// refresh makes the page ask for what is new, as it does when its tab is looked at again.
func (b *tab) refresh() {
	b.t.Helper()
	b.script(`document.dispatchEvent(new Event("visibilitychange"))`)
}

// picture writes what the tab shows, the whole page or the first height pixels of it.
func (b *tab) picture(file string, height float64) {
	b.t.Helper()
	size := call(b, page.GetLayoutMetrics, cdp.Empty{}).CSSContentSize
	clip := &page.Viewport{Width: size.Width, Height: size.Height, Scale: 1}
	if height > 0 {
		clip.Height = min(clip.Height, height)
	}
	beyond := true
	png := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: clip, CaptureBeyondViewport: &beyond}).Data
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// violation is what axe found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// checkAccessibility runs axe-core on the page as it is.
func (b *tab) checkAccessibility(where string) {
	b.t.Helper()
	script, why := axe()
	if why != "" {
		b.t.Skip(why)
	}
	// The page's policy does not let it load the script; the debugger may.
	b.script(script)
	found := eval[struct {
		Violations []violation
		Passes     int
		Unsure     []string
	}](b, `axe.run(document, {resultTypes: ["violations", "incomplete"], runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}).then(r => ({
		Violations: r.violations, Passes: r.passes.length, Unsure: r.incomplete.map(i => i.id)}))`)
	if found.Passes < 15 {
		b.t.Errorf("%s: axe has passed %d rules only: has it run?", where, found.Passes)
	}
	for _, v := range found.Violations {
		var nodes []string
		for _, n := range v.Nodes {
			nodes = append(nodes, n.HTML+"\n"+n.FailureSummary)
		}
		b.t.Errorf("%s: axe: %s (%s): %s\n%.1500s", where, v.ID, v.Impact, v.Help, strings.Join(nodes, "\n"))
	}
	for _, id := range found.Unsure {
		if !slices.Contains([]string{"color-contrast"}, id) {
			b.t.Errorf("%s: axe is not sure about %s", where, id)
		}
	}
}
