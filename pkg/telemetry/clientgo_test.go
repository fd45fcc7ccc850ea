package telemetry

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/metrics"
)

// clientGoRegistry collects client-go's measurements: client-go keeps the first receiver that the
// process registers.
var clientGoRegistry = sync.OnceValue(func() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	NewMetrics(registry).CollectClientGo()
	return registry
})

func TestCollectClientGo(t *testing.T) {
	registry := clientGoRegistry()
	answers := []int{http.StatusTooManyRequests, http.StatusOK, http.StatusNotFound}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer server.Close()
	client := newRESTClient(t, server)
	for _, name := range []string{"a", "b"} {
		result := client.Get().AbsPath("/api/v1/namespaces/payments/pods", name).Do(t.Context())
		t.Logf("asking for pod %s: %v", name, result.Error())
	}
	host := strings.TrimPrefix(server.URL, "http://")
	metrics.RequestLatency.Observe(t.Context(), "PUT", url.URL{Host: host, Path: "/api/v1/namespaces/a"}, 3*time.Second)

	got := only(series(t, registry), "rest_client_")
	maps.DeleteFunc(got, func(name string, _ float64) bool { return !strings.Contains(name, host) })
	want := map[string]float64{
		`rest_client_requests_total{code="200",host="` + host + `",method="GET"}`:      1,
		`rest_client_requests_total{code="404",host="` + host + `",method="GET"}`:      1,
		`rest_client_requests_total{code="429",host="` + host + `",method="GET"}`:      1,
		`rest_client_request_retries_total{code="200",host="` + host + `",verb="GET"}`: 1,
		`rest_client_request_duration_seconds{host="` + host + `",verb="GET"}`:         2, // one for both tries
		`rest_client_request_duration_seconds{host="` + host + `",verb="PUT"}`:         1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("client-go's metrics (-want +got):\n%s", diff)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("linting: %v, %v", problems, err)
	}
}

func newRESTClient(t *testing.T, server *httptest.Server) *rest.RESTClient {
	t.Helper()
	config := &rest.Config{
		Host: server.URL,
		ContentConfig: rest.ContentConfig{
			NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
			ContentType:          runtime.ContentTypeJSON,
		},
	}
	client, err := rest.UnversionedRESTClientForConfigAndClient(config, server.Client())
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	return client
}

// A daemon makes its metrics once; another one in the same process must not break the first.
func TestMetricsPanicOnASharedRegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	NewMetrics(registry)
	defer func() {
		if recover() == nil {
			t.Error("a second NewMetrics on one registry did not panic")
		}
	}()
	NewMetrics(registry)
}
