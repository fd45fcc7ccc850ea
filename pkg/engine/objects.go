package engine

import (
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
)

// objectState is what a definition has learned of the objects that it handles. The revisions of a
// definition share it for as long as they handle objects of the same kind.
type objectState struct {
	// own are the writes of handlers that the caches may not have yet.
	own      *kube.ConsistencyStore
	failures *failures
	// deletions are the deleted objects that wait.
	deletions deletions
	memory    *compose.Memory // of a composer's writes
	leavers   *compose.Leavers
	changed   func() // called when failures are others
}

// newObjectState returns one that counts failures which were passing ones in passing.
func newObjectState(def config.Definition, changed func(), passing prometheus.Counter) *objectState {
	s := &objectState{
		own: kube.NewConsistencyStore(def.Watch.Kind), failures: newFailures(), memory: compose.NewMemory(), leavers: &compose.Leavers{},
		changed: changed,
	}
	s.failures.passed = func(calls int) { passing.Add(float64(calls)) }
	s.memory.Brake.OnHeld(changed)
	s.memory.Rollout.OnChanged(changed)
	return s
}

// succeeded notes a call that returned no error. asked is false if it has asked nobody.
func (s *objectState) succeeded(key kube.Key, asked bool) {
	if s.failures.worked(key, asked) {
		s.changed()
	}
}

// failed notes a call that failed, if the object is still one to handle.
func (s *objectState) failed(key kube.Key, entry failure, handled func() bool) {
	s.failures.add(key, entry)
	if !handled() { // Looked at afterwards, or the deletion could come in between.
		s.failures.forget(key)
	}
	s.changed()
}

// gone notes that an object does not exist any more, or is no concern of the definition.
func (s *objectState) gone(key kube.Key) {
	s.deletions.drop(key)
	s.leftOut(key)
}

// leftOut notes that nobody calls for an object any more, because the definition leaves it out.
func (s *objectState) leftOut(key kube.Key) {
	if s.failures.forget(key) {
		s.changed()
	}
}
