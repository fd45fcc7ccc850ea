package kube

import (
	"slices"
	"sync"
)

// subscriber gets events and changes of state, in order, on the goroutine of the source.
type subscriber struct {
	event  func(Event)
	status func()
}

// subscribers are those of one source, in the order in which they came.
type subscribers struct {
	mu  sync.Mutex
	all []*subscriber // replaced, never changed, so that it can be read outside of mu
}

func (s *subscribers) add(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(slices.Clone(s.all), sub)
}

func (s *subscribers) remove(sub *subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(slices.Clone(s.all), func(other *subscriber) bool { return other == sub })
}

func (s *subscribers) list() []*subscriber {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
