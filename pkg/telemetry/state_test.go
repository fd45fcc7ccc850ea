package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/status"
)

// Exactly one state of a definition is 1 at every moment that a scrape can see, whoever sets it.
func TestStateGaugeIsExclusive(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := status.NewBoard(NewMetrics(registry))
	for _, state := range append(status.States(), status.States()...) {
		b.Set("pods", state, "")
		if got := states(t, registry, "pods"); !slices.Equal(got, []string{string(state)}) {
			t.Errorf("in state %s the gauge is 1 for %v", state, got)
		}
	}
	var setting sync.WaitGroup
	for i := range 4 {
		setting.Go(func() {
			for j := range 200 {
				b.Set("pods", status.States()[(i+j)%len(status.States())], fmt.Sprint(i, j))
			}
		})
	}
	setting.Wait()
	want := []string{string(b.Get("pods").State)}
	if got := states(t, registry, "pods"); !slices.Equal(got, want) {
		t.Errorf("after concurrent changes the gauge is 1 for %v, want %v", got, want)
	}
}

// states returns the states of a definition whose gauge is 1, and fails when the gauge of one is
// missing.
func states(t *testing.T, registry *prometheus.Registry, definition string) (found []string) {
	t.Helper()
	all := 0
	for name, v := range series(t, registry) {
		rest, ok := strings.CutPrefix(name, `kooperd_controller_state{controller="`+definition+`",state="`)
		if !ok {
			continue
		}
		if all++; v == 1 {
			found = append(found, strings.TrimSuffix(rest, `"}`))
		}
	}
	if all != len(status.States()) {
		t.Errorf("there are %d series, want one for each of %d states", all, len(status.States()))
	}
	return found
}
