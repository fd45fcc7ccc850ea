package telemetry_test

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// A definition's series are there from the start and until Remove.
func ExampleMetrics() {
	registry := prometheus.NewRegistry()
	metrics := telemetry.NewMetrics(registry)
	pods := metrics.Controller("pods")
	metrics.SetState("pods", status.Running)
	pods.Queued(false)
	pods.Waited(3 * time.Millisecond)
	pods.Processed(20*time.Millisecond, true)

	show := func() {
		families, err := registry.Gather()
		if err != nil {
			panic(err)
		}
		found := 0
		for _, family := range families {
			if family.GetName() == "kooper_controller_queued_events_total" {
				found = len(family.GetMetric())
			}
		}
		fmt.Println("series of queued events:", found)
	}
	show()
	pods.Remove()
	show()
	// Output:
	// series of queued events: 2
	// series of queued events: 0
}

func ExampleNewLogger() {
	logger, err := telemetry.NewLogger(os.Stderr, telemetry.FormatJSON, 0)
	if err != nil {
		panic(err)
	}
	logger = logger.WithValues(telemetry.KeyController, "pods")
	logger.Info("definition changed state", "state", status.Running)
	fmt.Println(logger.V(0).Enabled(), logger.V(1).Enabled())
	// Output: true false
}
