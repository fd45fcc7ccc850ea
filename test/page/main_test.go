// Package page_test looks at the status page in a real browser: what it shows, how it is used by
// keyboard, what a checker of accessibility finds, and that it is kept up to date in place. It is
// left out where there is no Chromium, such as Debian's package chromium.
package page_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/server"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// patience is how long one test may take in the browser.
const patience = 3 * time.Minute

var (
	// conformance says that every page is looked at in every width.
	conformance bool
	// images is where to write the pictures of the documentation.
	images string
	// pictures is where to write pictures of everything.
	pictures string
)

// newTab makes a tab of the one browser. It is nil where there is none, and missing says why.
var (
	newTab  func() (context.Context, context.CancelFunc)
	missing string
)

func TestMain(m *testing.M) {
	flag.BoolVar(&conformance, "conformance", false, "look at every page in every width")
	flag.StringVar(&images, "page.images", "", "write the pictures of the documentation into this `folder`")
	flag.StringVar(&pictures, "page.pictures", "", "write pictures of all pages in all widths into this `folder`")
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	program := chromium()
	if program == "" {
		missing = "there is no Chromium: the Debian package chromium has one"
		return m.Run()
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("hide-scrollbars", true))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	ctx, end := chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "starting the browser:", err)
		return 1
	}
	newTab = func() (context.Context, context.CancelFunc) { return chromedp.NewContext(ctx) }
	return m.Run()
}

// chromium is the path of a browser, or empty.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// switchable is a reporter that can be exchanged under the page.
type switchable struct {
	mu sync.Mutex
	statusz.Reporter
}

func (s *switchable) set(r statusz.Reporter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Reporter = r
}

func (s *switchable) now() statusz.Reporter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Reporter
}

func (s *switchable) Report(ctx context.Context, items statusz.Items) *statusz.Report {
	return s.now().Report(ctx, items)
}

func (s *switchable) Object(ctx context.Context, object statusz.ObjectRef) (*statusz.ObjectReport, bool) {
	return s.now().Object(ctx, object)
}

func (s *switchable) Search(ctx context.Context, text string, limit int) ([]statusz.ObjectRef, bool) {
	return s.now().Search(ctx, text, limit)
}

// serve serves the page as kooperd does until the test ends or stop is called.
func serve(t *testing.T, reporter statusz.Reporter) (url string, stop func()) {
	t.Helper()
	metrics := telemetry.NewMetrics(prometheus.NewRegistry())
	s, err := server.Listen(t.Context(), server.Options{
		HealthAddress: "127.0.0.1:0", MetricsAddress: server.Disabled, Board: status.NewBoard(metrics), Metrics: metrics, Status: reporter,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(stop)
	return "http://" + s.Addresses()["health"], stop
}
