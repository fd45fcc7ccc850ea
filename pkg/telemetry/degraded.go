package telemetry

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Cause is what makes a definition Degraded, a value of the label reason.
type Cause string

const (
	// CauseSource means that objects cannot be listed or watched, for another reason than a right
	// that is missing.
	CauseSource Cause = "source"
	// CauseHandler means that the handler cannot be made.
	CauseHandler Cause = "handler"
	// CauseRights means that rights are missing, and that it is known which: to watch, or of the
	// handler.
	CauseRights Cause = "rights"
	// CauseOverdue means that calls ignore their deadline.
	CauseOverdue Cause = "overdue"
	// CauseUnavailable means that the handler does not get what it needs for all objects.
	CauseUnavailable Cause = "unavailable"
	// CauseFailing means that calls keep failing for some objects, for no reason that is one of the
	// others.
	CauseFailing Cause = "failing"
	// CauseOutOfRetries means that some objects have been given up.
	CauseOutOfRetries Cause = "outOfRetries"
	// CauseRefused means that calls keep failing because of single children or patches, which the
	// metrics of these count as refused.
	CauseRefused Cause = "refused"
	// CauseUndecidable means that no event can be decided on.
	CauseUndecidable Cause = "undecidable"
)

// Causes are all that there are.
func Causes() []Cause {
	return []Cause{
		CauseSource, CauseHandler, CauseRights, CauseOverdue, CauseUnavailable, CauseFailing, CauseOutOfRetries,
		CauseRefused, CauseUndecidable,
	}
}

func newDegradedVector(d *definitionVectors) *prometheus.GaugeVec {
	var names []string
	for _, cause := range Causes() {
		names = append(names, string(cause))
	}
	return ofDefinitions(d, gauge("kooperd_controller_degraded",
		"1 for each reason for which the definition is Degraded, 0 for the others.", labelController, "reason"), names...)
}

// Degraded is the metric of what makes one definition Degraded. It is safe for concurrent use.
type Degraded struct {
	gauges map[Cause]prometheus.Gauge

	mu  sync.Mutex
	now []Cause
}

func degradedOf(v *prometheus.GaugeVec, definition string) *Degraded {
	d := &Degraded{gauges: map[Cause]prometheus.Gauge{}}
	for _, cause := range Causes() {
		d.gauges[cause] = v.WithLabelValues(definition, string(cause))
	}
	return d
}

// SetDegraded says what makes the definition Degraded: nothing when it is not. What begins is set
// first, so that a scrape in between finds too much rather than nothing.
func (d *Degraded) SetDegraded(by ...Cause) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(by, d.now) {
		return
	}
	for _, cause := range by {
		d.gauges[cause].Set(1)
	}
	for _, cause := range d.now {
		if !slices.Contains(by, cause) {
			d.gauges[cause].Set(0)
		}
	}
	d.now = slices.Clone(by)
}
