package telemetry

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// series returns what registry shows as name{label="value",…} → value; a histogram is its number of
// observations.
func series(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	return gathered(t, registry, func(count uint64, _ float64) float64 { return float64(count) })
}

// gathered is series with another way to make a number of a histogram.
func gathered(t *testing.T, registry *prometheus.Registry, histogram func(count uint64, sum float64) float64) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gathering: %v", err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var pairs []string
			for _, pair := range metric.GetLabel() { // The registry sorts them.
				pairs = append(pairs, pair.GetName()+`="`+pair.GetValue()+`"`)
			}
			name := family.GetName()
			if len(pairs) > 0 {
				name += "{" + strings.Join(pairs, ",") + "}"
			}
			switch h := metric.GetHistogram(); {
			case h != nil:
				found[name] = histogram(h.GetSampleCount(), h.GetSampleSum())
			default: // A metric is one of the two.
				found[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return found
}

func names(all map[string]float64) []string { return slices.Sorted(maps.Keys(all)) }

// only keeps the series whose names begin with prefix.
func only(all map[string]float64, prefix string) map[string]float64 {
	maps.DeleteFunc(all, func(name string, _ float64) bool { return !strings.HasPrefix(name, prefix) })
	return all
}
