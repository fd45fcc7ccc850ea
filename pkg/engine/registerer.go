package engine

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// registerer is what one try to make a handler registers metrics with. It can take all of them back, so that the next
// try is not refused as a duplicate, and a collector that panics spoils its own metrics only, not the scrape and with it
// the process. It is safe for concurrent use.
type registerer struct {
	next prometheus.Registerer

	mu   sync.Mutex
	mine map[prometheus.Collector]prometheus.Collector // as registered, by what was given
}

var _ prometheus.Registerer = (*registerer)(nil)

func newRegisterer(next prometheus.Registerer) *registerer {
	return &registerer{next: next, mine: map[prometheus.Collector]prometheus.Collector{}}
}

// Register implements prometheus.Registerer.
func (r *registerer) Register(c prometheus.Collector) error {
	guarded := guardedCollector{c}
	if err := r.next.Register(guarded); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mine[c] = guarded
	return nil
}

// MustRegister implements prometheus.Registerer.
func (r *registerer) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (r *registerer) Unregister(c prometheus.Collector) bool {
	r.mu.Lock()
	guarded, ok := r.mine[c]
	delete(r.mine, c)
	r.mu.Unlock()
	return ok && r.next.Unregister(guarded)
}

// withdraw takes back everything that was registered.
func (r *registerer) withdraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c, guarded := range r.mine {
		r.next.Unregister(guarded)
		delete(r.mine, c)
	}
}

// guardedCollector makes an invalid metric of a panic, which the scrape reports as an error.
type guardedCollector struct{ prometheus.Collector }

func (g guardedCollector) Collect(ch chan<- prometheus.Metric) {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("collecting a handler's metrics: panic: %v", r)
			ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
		}
	}()
	g.Collector.Collect(ch)
}
