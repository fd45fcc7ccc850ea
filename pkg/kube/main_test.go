package kube

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/telemetry"
)

func TestMain(m *testing.M) {
	// client-go ends what renews client certificates when the garbage collector finds the
	// transport.
	const waits, queues = "k8s.io/apimachinery/pkg/util/wait.", "k8s.io/client-go/util/workqueue."
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("k8s.io/client-go/transport.(*dynamicClientCert).run"),
		goleak.IgnoreAnyFunction("k8s.io/client-go/transport.(*dynamicClientCert).runWorker"),
		goleak.IgnoreAnyFunction(waits+"PollImmediateUntil"),
		goleak.IgnoreAnyFunction(waits+"PollImmediateUntilWithContext.poller.func1.1"),
		goleak.IgnoreAnyFunction(queues+"(*delayingType[...]).waitingLoop"),
		goleak.IgnoreAnyFunction(queues+"(*Typed[...]).updateUnfinishedWorkLoop"),
	)
}

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

var (
	podKind    = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	widgetKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
)

func newTestMetrics() (*telemetry.Metrics, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	return telemetry.NewMetrics(registry), registry
}

// metricOf returns the value of the one series of a counter or gauge, or false if there is none.
func metricOf(t *testing.T, registry *prometheus.Registry, name string) (value float64, ok bool) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gathering: %v", err)
	}
	for _, family := range families {
		if family.GetName() != name || len(family.GetMetric()) == 0 {
			continue
		}
		if n := len(family.GetMetric()); n > 1 {
			t.Fatalf("%s has %d series, want one", name, n)
		}
		m := family.GetMetric()[0]
		return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
	}
	return 0, false
}
