package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// BenchmarkLargeCluster answers for 200 definitions with 100,000 objects, all of them in trouble,
// and for the metrics of as many definitions: a page must cost less than ten scrapes.
func BenchmarkLargeCluster(b *testing.B) {
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewMetrics(registry)
	for i := range 200 {
		c := metrics.Controller(fmt.Sprintf("definition-with-a-long-name-of-a-team-%04d", i))
		c.Compose()
		metrics.SetState(fmt.Sprintf("definition-with-a-long-name-of-a-team-%04d", i), status.Running)
	}
	handler := New(pagetest.Large(200, 100_000), logr.Discard())
	for _, bench := range []struct {
		name, path string
		handler    http.Handler
	}{
		{"scrape", "/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{})},
		{"overview", "/", handler},
		{"definitions", "/definitions", handler},
		{"config", "/config", handler},
		{"json", "/statusz?format=json", handler},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				bench.handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, bench.path, http.NoBody))
				if w.Code != http.StatusOK {
					b.Fatalf("status %d", w.Code)
				}
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
