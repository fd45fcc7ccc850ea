package telemetry

import (
	"fmt"
	"io"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kooperd.dev/kooperd/pkg/status"
)

// BenchmarkScrapeOfManyDefinitions is a scrape of 5,000 definitions that have made some calls, and
// what their metrics cost.
func BenchmarkScrapeOfManyDefinitions(b *testing.B) {
	const definitions = 5000
	heap := func() float64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return float64(stats.HeapAlloc) / (1 << 20)
	}
	before := heap()
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	for i := range definitions {
		name := fmt.Sprintf("definition-%d", i)
		c := m.Controller(name)
		c.ObserveRunning(func() (sum, longest time.Duration) { return 0, 0 })
		m.SetState(name, status.Running)
		for d := time.Millisecond; d < time.Second; d *= 3 {
			c.Queued(false)
			c.Waited(d)
			c.Processed(d, true)
		}
	}
	held := heap() - before
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	var body string
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "GET", "/metrics", nil))
		text, err := io.ReadAll(w.Body)
		if err != nil {
			b.Fatal(err)
		}
		body = string(text)
	}
	series := strings.Count(body, "\n") - strings.Count(body, "\n# ") - 1
	b.ReportMetric(float64(series)/definitions, "series/definition")
	b.ReportMetric(float64(len(body))/(1<<20), "MB/scrape")
	b.ReportMetric(held, "MB-heap")
	runtime.KeepAlive(m)
}
