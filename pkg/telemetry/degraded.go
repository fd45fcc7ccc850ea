package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Cause is what makes a definition Degraded, a value of the label reason.
type Cause string

const (
	// CauseSource means that objects cannot be listed or watched.
	CauseSource Cause = "source"
	// CauseHandler means that the handler cannot be made.
	CauseHandler Cause = "handler"
	// CauseRights means that the handler lacks rights.
	CauseRights Cause = "rights"
	// CauseOverdue means that calls ignore their deadline.
	CauseOverdue Cause = "overdue"
	// CauseUnavailable means that the handler does not get what it needs for all objects.
	CauseUnavailable Cause = "unavailable"
	// CauseFailing means that calls keep failing for some objects.
	CauseFailing Cause = "failing"
	// CauseUndecidable means that no event can be decided on.
	CauseUndecidable Cause = "undecidable"
)

// Causes are all that there are.
func Causes() []Cause {
	return []Cause{
		CauseSource, CauseHandler, CauseRights, CauseOverdue, CauseUnavailable, CauseFailing, CauseUndecidable,
	}
}

func newDegradedVector(d *definitionVectors) *prometheus.GaugeVec {
	var names []string
	for _, cause := range Causes() {
		names = append(names, string(cause))
	}
	return ofDefinitions(d, gauge("kooperd_controller_degraded",
		"1 for the reason that the state Degraded of the definition names, 0 for the others.", labelController, "reason"), names...)
}

// Degraded is the metric of what makes one definition Degraded. It is safe for concurrent use.
type Degraded struct {
	gauges map[Cause]prometheus.Gauge

	mu  sync.Mutex
	now Cause
}

func degradedOf(v *prometheus.GaugeVec, definition string) *Degraded {
	d := &Degraded{gauges: map[Cause]prometheus.Gauge{}}
	for _, cause := range Causes() {
		d.gauges[cause] = v.WithLabelValues(definition, string(cause))
	}
	return d
}

// SetDegraded says what makes the definition Degraded; the empty Cause when it is not.
func (d *Degraded) SetDegraded(by Cause) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if by == d.now {
		return
	}
	if gauge := d.gauges[by]; gauge != nil {
		gauge.Set(1)
	}
	if gauge := d.gauges[d.now]; gauge != nil {
		gauge.Set(0)
	}
	d.now = by
}
