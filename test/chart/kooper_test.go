package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// kooperLabels are the labels of Kooper's metrics, by the names of their series.
var kooperLabels = map[string][]string{
	"kooper_controller_queued_events_total":                    {"controller", "requeue"},
	"kooper_controller_event_in_queue_duration_seconds_bucket": {"controller", "le"},
	"kooper_controller_event_in_queue_duration_seconds_count":  {"controller"},
	"kooper_controller_event_in_queue_duration_seconds_sum":    {"controller"},

	"kooper_controller_processed_event_duration_seconds_bucket": {"controller", "le", "success"},
	"kooper_controller_processed_event_duration_seconds_count":  {"controller", "success"},
	"kooper_controller_processed_event_duration_seconds_sum":    {"controller", "success"},

	"kooper_controller_event_queue_length": {"controller"},
}

// kooperQueries are such as dashboards and alerts for Kooper v2 have.
var kooperQueries = []string{
	`sum by (controller) (rate(kooper_controller_queued_events_total{requeue="false"}[5m]))`,
	`sum by (controller) (rate(kooper_controller_queued_events_total{requeue="true"}[5m]))`,
	`histogram_quantile(0.99, sum by (controller, le) (rate(kooper_controller_event_in_queue_duration_seconds_bucket[5m])))`,
	`sum by (controller) (rate(kooper_controller_processed_event_duration_seconds_count{success="true"}[5m]))`,
	`sum by (controller) (rate(kooper_controller_processed_event_duration_seconds_count{success="false"}[5m]))`,
	`histogram_quantile(0.5, sum by (controller, success, le) (rate(kooper_controller_processed_event_duration_seconds_bucket[5m])))`,
	`sum by (controller) (rate(kooper_controller_processed_event_duration_seconds_sum[5m]))`,
	`max by (controller) (kooper_controller_event_queue_length)`,
}

// checkKooperMetrics: a kooperd answers with the metrics of Kooper v2, with the same labels and no
// others.
func checkKooperMetrics(t *testing.T, scraped map[string]series) {
	t.Helper()
	for name, want := range kooperLabels {
		if len(scraped[name]) == 0 {
			t.Errorf("there is no %s", name)
		}
		for _, labels := range scraped[name] {
			if got := slices.Sorted(maps.Keys(labels)); !slices.Equal(got, want) {
				t.Errorf("%s has the labels %q, want %q", name, got, want)
			}
		}
	}
	for name := range scraped {
		if strings.HasPrefix(name, "kooper_") && kooperLabels[name] == nil {
			t.Errorf("Kooper has no %s", name)
		}
	}
	for _, expr := range kooperQueries {
		for _, problem := range missing(parseQuery(t, expr), scraped) {
			t.Errorf("%s, in %s", problem, expr)
		}
	}
}
