package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp/kb"
	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/server/page"
	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// paths are one of each page, by a name for its picture.
var paths = []struct{ name, path string }{
	{"overview", "/"},
	{"object", "/objects/Website/shop/checkout"},
	{"failing-object", "/objects/Service/shop/web-0"},
	{"definition", "/definitions/website"},
	{"definitions", "/definitions"},
	{"child", "/objects/Deployment/shop/checkout"},
	{"attention", "/attention"},
	{"sources", "/sources"},
	{"config", "/config"},
	{"search", "/search?q=shop"},
	{"missing", "/definitions/nothing"},
}

var (
	schemes = []string{"light", "dark"}
	widths  = []int{390, 1280, 1920}
)

// TestAccessibility runs axe-core in both color schemes, and looks for what a narrow or a wide
// window cuts off.
func TestAccessibility(t *testing.T) {
	reporter := &switchable{Reporter: pagetest.Everything()}
	url, _ := serve(t, reporter)
	b := open(t, url)
	some, replicas := paths[:3], map[string]statusz.Reporter{"nobody": pagetest.Nobody()}
	if conformance {
		some = paths
		replicas = map[string]statusz.Reporter{
			"nobody": pagetest.Nobody(), "standby": pagetest.Standby(), "cut-off": pagetest.CutOff(), "lost": pagetest.Lost(), "starting": pagetest.Starting(),
		}
	}
	for _, p := range some {
		b.checkWidths(p.name, p.path, func(width int) bool { return conformance || width == 1280 && p.name != "object" })
		if p.name == "missing" {
			b.take() // that it is not there
		}
	}
	for name, r := range replicas {
		reporter.set(r)
		b.checkWidths(name, "/", func(int) bool { return conformance })
		if conformance {
			for _, p := range paths[1:7] {
				b.checkWidths(name+"-"+p.name, p.path, func(width int) bool { return width == 390 })
			}
		}
	}
}

// checkWidths looks at a page in every width and color scheme, and checks its accessibility where
// that is wanted.
func (b *tab) checkWidths(name, path string, accessibility func(width int) bool) {
	b.t.Helper()
	b.look(1280, "light")
	b.visit(path)
	b.script(`document.querySelectorAll("details").forEach(folded => folded.open = true)`)
	for _, scheme := range schemes {
		for _, width := range widths {
			where := fmt.Sprintf("%s, %s, %s, %d px", name, path, scheme, width)
			b.look(width, scheme)
			if wide := eval[int](b, `document.documentElement.scrollWidth`); wide > width {
				b.t.Errorf("%s: the page is %d px wide: %s", where, wide, eval[string](b, widest))
			}
			if accessibility(width) {
				b.checkAccessibility(where)
			}
			if pictures != "" {
				b.picture(filepath.Join(pictures, fmt.Sprintf("%s-%s-%d.png", name, scheme, width)), 0)
			}
		}
	}
}

// widest names elements that reach out of the window.
const widest = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 120)).join("\n")`

// TestEveryStateIsSeen: a word for each, that is not hidden, and a shape besides the color.
func TestEveryStateIsSeen(t *testing.T) {
	url, _ := serve(t, pagetest.Everything())
	b := open(t, url)
	for _, width := range widths {
		b.look(width, "light")
		b.visit("/")
		text := eval[string](b, `document.body.innerText`)
		wanted := []string{"4 of 10 definitions", "failing", "not ready", "fought over", "held", "refused", "A newer config is refused", "This replica leads", "and 5 more", "given up", "not retried before it changes"}
		for _, state := range status.States() {
			wanted = append(wanted, string(state))
		}
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("at %d px %q cannot be read", width, want)
			}
		}
		if bare := eval[int](b, `[...document.querySelectorAll(".pill")].filter(e => !e.querySelector("svg") || !e.innerText.trim()).length`); bare > 0 {
			t.Errorf("at %d px %d states are a color alone", width, bare)
		}
		shapes := eval[int](b, `new Set([...document.querySelectorAll(".definitions .pill use")].map(e => e.getAttribute("href"))).size`)
		if shapes < 6 {
			t.Errorf("at %d px the states have %d shapes", width, shapes)
		}
	}
	b.visit("/objects/Service/shop/web-0")
	text := eval[string](b, `document.body.innerText`)
	for _, want := range []string{"retry", "panic", "cancelled", "terminal", pagetest.Markup} {
		if !strings.Contains(text, want) {
			t.Errorf("the object does not show %q", want)
		}
	}
}

// TestKeyboard goes through the page by the tabulator key alone.
func TestKeyboard(t *testing.T) {
	url, _ := serve(t, pagetest.Everything())
	b := open(t, url)
	b.look(1280, "light")
	b.visit("/")
	type stop struct {
		Name, Outline string
		Seen          bool
		Last          bool
	}
	const focused = `(e => ({Name: (e.innerText || e.value || e.id).trim(), Outline: getComputedStyle(e).outlineStyle + " " + getComputedStyle(e).outlineWidth,
		Seen: e.getBoundingClientRect().height > 0 && e.getBoundingClientRect().bottom > 0 && e.getBoundingClientRect().top < innerHeight,
		Last: e === [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")].filter(e => e.checkVisibility()).at(-1)}))(document.activeElement)`
	b.press(kb.Tab)
	if first := eval[stop](b, focused); first.Name != "Skip to the content" || !first.Seen {
		t.Errorf("the first stop is %+v, want the way to the content", first)
	}
	b.press(kb.Enter)
	b.until(`document.activeElement.id === "content"`)
	b.press(kb.Tab)
	if next := eval[stop](b, focused); next.Name != "13 failing, 2 given up" {
		t.Errorf("the stop after the way to the content is %+v", next)
	}
	b.visit("/")
	stops := 0
	for s := (stop{}); !s.Last && stops < 400; stops++ {
		b.press(kb.Tab)
		if s = eval[stop](b, focused); strings.HasPrefix(s.Outline, "none") || strings.HasSuffix(s.Outline, " 0px") || !s.Seen || s.Name == "" {
			t.Fatalf("stop %d cannot be seen: %+v", stops, s)
		}
	}
	all := eval[int](b, `[...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")].filter(e => e.checkVisibility()).length`)
	if stops != all {
		t.Errorf("the tabulator key stops at %d of %d elements", stops, all)
	}
	// The search is one field away.
	b.script(`document.getElementById("q").focus()`)
	b.press("checkout")
	b.leave(kb.Enter)
	if heading := eval[string](b, `document.querySelector("h1").innerText`); !strings.Contains(heading, "checkout") {
		t.Errorf("the search leads to %q", heading)
	}
	if links := eval[int](b, `document.querySelectorAll(".found a").length`); links != 3 {
		t.Errorf("%d objects are found, want 3", links)
	}
}

// TestUpdates: what has changed is changed in place, and the rest stays as it was.
func TestUpdates(t *testing.T) {
	reporter := &switchable{Reporter: pagetest.Everything()}
	url, stop := serve(t, reporter)
	b := open(t, url)
	b.look(1280, "light")
	b.visit("/config")
	b.script(`window.kept = document.querySelector("h1"); const closed = [...document.querySelectorAll("details")].at(-1); closed.open = true; closed.querySelector("summary").focus(); scrollTo(0, 150)`)
	at := eval[float64](b, `scrollY`)
	changed := pagetest.Everything()
	changed.Whole.Time = changed.Whole.Time.Add(10 * 60e9)
	changed.Whole.Config.Refused = nil
	changed.Whole.Process.Version = "<b>v0.9.1</b>"
	reporter.set(changed)
	b.refresh()
	b.until(`document.getElementById("replica").innerText.includes("<b>v0.9.1</b>") && !document.body.innerText.includes("A newer config is refused")`)
	if !eval[bool](b, `window.kept === document.querySelector("h1") && document.activeElement.tagName === "SUMMARY" && document.activeElement.parentElement.open`) {
		t.Errorf("what has not changed did not stay: %s is focused", eval[string](b, `document.activeElement.outerHTML.slice(0, 200)`))
	}
	if now := eval[float64](b, `scrollY`); now > at || at-now > 200 { // the refusal above has gone
		t.Errorf("the page is scrolled to %f, and was to %f", now, at)
	}

	// Rows change places with what is focused in them.
	b.visit("/")
	b.script(`document.querySelector(".definitions [data-key=website] a").focus()`)
	worse := pagetest.Everything()
	for i := range worse.Whole.Definitions {
		d := &worse.Whole.Definitions[i]
		if d.Name == "website" {
			d.State, d.Reason = status.Degraded, "everything is wrong"
		}
	}
	worse.Whole.Definitions = append(worse.Whole.Definitions, statusz.Definition{Name: "a-new-one", Status: status.Status{State: status.Degraded}})
	reporter.set(worse)
	b.refresh()
	b.until(`document.querySelector(".definitions tbody").innerText.includes("everything is wrong")`)
	order := eval[string](b, `[...document.querySelectorAll(".definitions tbody tr:not(.detail)")].slice(0, 4).map(e => e.dataset.key).join(" ")`)
	if order != "a-new-one certificates dns-records secret-copy" {
		t.Errorf("the rows are %s", order)
	}
	if focused := eval[string](b, `document.activeElement.innerText.slice(0, 40)`); focused != "website" {
		t.Errorf("%q is focused after its row has moved", focused)
	}

	// Nothing changes while it is paused, or something is selected.
	b.script(`document.getElementById("pause").click()`)
	reporter.set(pagetest.Everything())
	b.refresh()
	if !eval[bool](b, `document.getElementById("pause").innerText === "Resume updates" && document.querySelector(".definitions tbody").innerText.includes("everything is wrong")`) {
		t.Error("the page changes while its updates are paused")
	}
	b.script(`getSelection().selectAllChildren(document.querySelector("h1"))`)
	b.script(`document.getElementById("pause").click()`)
	if !eval[bool](b, `document.querySelector(".definitions tbody").innerText.includes("everything is wrong")`) {
		t.Error("the page changes while something in it is selected")
	}
	b.script(`getSelection().removeAllRanges()`)
	b.refresh()
	b.until(`!document.querySelector(".definitions tbody").innerText.includes("everything is wrong")`)

	// A replica that has gone is no replica on which all is well.
	stop()
	b.refresh()
	b.until(`document.getElementById("stale").checkVisibility() && document.getElementById("stale").innerText.includes("has not answered since")`)
	for _, complaint := range b.take() {
		if !strings.Contains(complaint, "Failed to load resource") {
			t.Errorf("the browser complains: %s", complaint)
		}
	}
}

// TestExpiredToken: when the token of somebody who looks at the page has expired, the script says
// so and asks no more.
func TestExpiredToken(t *testing.T) {
	var expired atomic.Bool
	var refused atomic.Int32
	status := page.New(pagetest.Everything(), logr.Discard())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if expired.Load() {
			if r.URL.Path == "/" { // and not its icon
				refused.Add(1)
			}
			http.Error(w, "the bearer token is missing or not valid", http.StatusUnauthorized)
			return
		}
		status.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	b := open(t, s.URL)
	b.look(1280, "light")
	b.visit("/")
	expired.Store(true)
	for range 3 {
		b.refresh()
		b.until(`document.getElementById("stale").checkVisibility() && document.getElementById("stale").innerText.includes("The token is not accepted any more")`)
	}
	if n := refused.Load(); n != 1 {
		t.Errorf("the script has asked %d times with a token that has expired", n)
	}
	b.take()
}

// TestWithoutScripts: everything is there, and a link in place of the updates.
func TestWithoutScripts(t *testing.T) {
	url, _ := serve(t, pagetest.Everything())
	b := open(t, url)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.look(1280, "light")
	b.visit("/")
	text, again := eval[string](b, `document.body.innerText`), eval[string](b, `document.getElementById("again").innerText`)
	if !strings.Contains(text, "4 of 10 definitions cannot do all of their work") || again != "Refresh" {
		t.Errorf("without scripts the link is %q and the page\n%.500s", again, text)
	}
}

// TestPictures writes the pictures of the documentation when it is asked to.
func TestPictures(t *testing.T) {
	if images == "" {
		t.Skip("there is no -page.images")
	}
	url, _ := serve(t, pagetest.Everything())
	b := open(t, url)
	for _, p := range []struct {
		file, path, scheme string
		width              int
		height             float64
	}{
		{"status-page.png", "/", "light", 1280, 1300},
		{"status-page-narrow.png", "/", "light", 390, 1500},
		{"status-page-object.png", "/objects/Website/shop/checkout", "dark", 1280, 830},
	} {
		b.look(p.width, p.scheme)
		b.visit(p.path)
		b.picture(filepath.Join(images, p.file), p.height)
	}
}
