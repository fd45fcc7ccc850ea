package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// registerer is what a handler registers its metrics with. All of them can be withdrawn, so that a
// second try to make the handler is not refused as a duplicate. A collector is foreign code: one
// that panics loses its own metrics, and the rest of the scrape is served. It is safe for
// concurrent use.
//
// A handler that is going to replace another one mostly registers the same metrics. Those that are
// refused are staged, until the other one has been withdrawn.
type registerer struct {
	next prometheus.Registerer

	mu         sync.Mutex
	replaces   bool
	closed     bool
	registered map[string]*guardedCollector // by what they describe
	staged     map[string]*guardedCollector // as above, not registered yet
	unchecked  []*guardedCollector          // those that describe nothing
}

func newRegisterer(next prometheus.Registerer, replaces bool) *registerer {
	return &registerer{
		next: next, replaces: replaces,
		registered: map[string]*guardedCollector{}, staged: map[string]*guardedCollector{},
	}
}

// Register adds a collector. As with a prometheus.Registry, the error may be an
// AlreadyRegisteredError, whose ExistingCollector is what the plugin had registered.
func (r *registerer) Register(c prometheus.Collector) error {
	guarded, err := guard(c)
	if err != nil {
		return err
	}
	id := guarded.identity()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errRegistererClosed
	}
	err = r.next.Register(guarded)
	switch {
	case err != nil && r.staged[id] != nil:
		return prometheus.AlreadyRegisteredError{ExistingCollector: r.staged[id].foreign, NewCollector: c}
	case err != nil && r.replaces && r.registered[id] == nil:
		r.staged[id] = guarded
	case err != nil:
		return unguarded(err, c)
	case id == "":
		r.unchecked = append(r.unchecked, guarded)
	default:
		r.registered[id] = guarded
	}
	return nil
}

// activate registers what is staged, after the registerer of the replaced handler was withdrawn.
func (r *registerer) activate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replaces = false
	var errs []error
	for id, guarded := range r.staged {
		if err := r.next.Register(guarded); err != nil {
			errs = append(errs, err)
			continue
		}
		r.registered[id] = guarded
	}
	clear(r.staged)
	return errors.Join(errs...)
}

// MustRegister is Register for collectors whose registration cannot fail. It panics when it does.
func (r *registerer) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister removes the collector that describes the same metrics as c. One that describes none
// cannot be removed, as is the case with a prometheus.Registry.
func (r *registerer) Unregister(c prometheus.Collector) bool {
	wanted, err := guard(c)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := wanted.identity()
	staged, registered := r.staged[id] != nil, r.registered[id]
	delete(r.staged, id)
	delete(r.registered, id)
	return staged || registered != nil && r.next.Unregister(registered)
}

// errRegistererClosed is the error for a handler that registers metrics after its end.
var errRegistererClosed = errors.New("the handler is not used any more: another one has taken its place")

// close withdraws everything and refuses what a handler that is still being made may register:
// another one may need the same names.
func (r *registerer) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.remove()
}

// withdraw removes everything that was registered.
func (r *registerer) withdraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove()
}

// remove is withdraw for a caller that holds r.mu.
func (r *registerer) remove() {
	for _, guarded := range r.registered {
		r.next.Unregister(guarded)
	}
	for _, guarded := range r.unchecked {
		guarded.withdrawn.Store(true)
	}
	clear(r.registered)
	clear(r.staged)
	r.unchecked = nil
}

// guardedCollector is a collector of a plugin whose crashes stay its own.
type guardedCollector struct {
	foreign   prometheus.Collector
	descs     []*prometheus.Desc
	withdrawn atomic.Bool // set for one that the registry cannot remove
}

// guard asks a collector for its descriptions, once and where a panic does no harm: the registry
// asks on a goroutine that only it can recover.
func guard(c prometheus.Collector) (*guardedCollector, error) {
	g := &guardedCollector{foreign: c}
	descs := make(chan *prometheus.Desc)
	failed := make(chan error, 1)
	go func() {
		defer close(descs)
		failed <- runForeign(func() error {
			c.Describe(descs)
			return nil
		})
	}()
	for desc := range descs {
		g.descs = append(g.descs, desc)
	}
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("describing a handler's metrics: %w", err)
	}
	return g, nil
}

// unguarded lets a plugin see the collector that it had registered, and not the guard around it.
func unguarded(err error, added prometheus.Collector) error {
	already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
	if !ok {
		return err
	}
	if g, ok := already.ExistingCollector.(*guardedCollector); ok {
		already.ExistingCollector = g.foreign
	}
	already.NewCollector = added
	return already
}

// identity is the same for two collectors that a registry takes for duplicates.
func (g *guardedCollector) identity() string {
	texts := make([]string, len(g.descs))
	for i, desc := range g.descs {
		texts[i] = desc.String()
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "\n")
}

// Describe sends the descriptions that the collector gave at first.
func (g *guardedCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range g.descs {
		ch <- desc
	}
}

// Collect sends the metrics in the form in which they are written, since a metric's Write is
// foreign code too. A crash becomes an invalid metric, which the scrape reports as an error.
func (g *guardedCollector) Collect(ch chan<- prometheus.Metric) {
	if g.withdrawn.Load() {
		return
	}
	metrics := make(chan prometheus.Metric)
	collected := make(chan error, 1)
	go func() {
		defer close(metrics)
		collected <- runForeign(func() error {
			g.foreign.Collect(metrics)
			return nil
		})
	}()
	err := runForeign(func() error {
		for m := range metrics {
			written := writtenMetric{desc: m.Desc()}
			written.err = m.Write(&written.content)
			ch <- &written
		}
		return nil
	})
	for range metrics { // What a crashed Write has left behind.
	}
	if err = errors.Join(<-collected, err); err != nil {
		err = fmt.Errorf("collecting a handler's metrics: %w", err)
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
	}
}

// writtenMetric is a metric of a plugin after its Write.
type writtenMetric struct {
	desc    *prometheus.Desc
	content dto.Metric
	err     error
}

func (m *writtenMetric) Desc() *prometheus.Desc { return m.desc }

func (m *writtenMetric) Write(out *dto.Metric) error {
	out.Label, out.TimestampMs = m.content.Label, m.content.TimestampMs
	out.Gauge, out.Counter, out.Untyped = m.content.Gauge, m.content.Counter, m.content.Untyped
	out.Summary, out.Histogram = m.content.Summary, m.content.Histogram
	return m.err
}
