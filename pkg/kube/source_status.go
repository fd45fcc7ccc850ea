package kube

import (
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// sourceStatus is the state of one source, and whether its first list is over. It may be read from
// any goroutine.
type sourceStatus struct {
	logger  logr.Logger
	metrics *telemetry.Source
	changed func() // called after each change, with no lock held

	// settled is closed when the first list is complete, or is known to be impossible for now.
	settled  chan struct{}
	settling sync.Once

	mu     sync.Mutex
	state  status.State
	reason error // why the state is Waiting or Degraded; nil in other states
	since  time.Time
}

// newSourceStatus is that of a source which has not begun.
func newSourceStatus(logger logr.Logger, metrics *telemetry.Source, changed func()) *sourceStatus {
	return &sourceStatus{
		logger: logger, metrics: metrics, changed: changed, settled: make(chan struct{}), state: status.Syncing,
		since: time.Now().UTC(),
	}
}

// set records the state and why it is so. Only the source calls it.
func (s *sourceStatus) set(state status.State, reason error) {
	s.mu.Lock()
	if s.state == state && textOf(s.reason) == textOf(reason) {
		s.mu.Unlock()
		return
	}
	if s.state != state {
		s.since = time.Now().UTC()
	}
	s.state, s.reason = state, reason
	s.mu.Unlock()
	if reason != nil {
		s.settle()
	}
	s.metrics.SetState(state)
	s.logger.V(1).Info("source changed state", "state", state, telemetry.KeyReason, textOf(reason))
	s.changed()
}

// settle closes settled, if it is not.
func (s *sourceStatus) settle() { s.settling.Do(func() { close(s.settled) }) }

// get returns the state, and why it is Waiting or Degraded.
func (s *sourceStatus) get() (status.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.reason
}

// read returns the same as people read it.
func (s *sourceStatus) read() status.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return status.Status{State: s.state, Reason: strings.Join(strings.Fields(textOf(s.reason)), " "), Since: s.since}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
