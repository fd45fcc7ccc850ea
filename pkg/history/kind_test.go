package history

import "testing"

// TestAnotherKind has objects of the same names.
func TestAnotherKind(t *testing.T) {
	h := New(1 << 20)
	log, other := h.Definition(), h.Definition()
	log.SetKind("ConfigMap")
	for _, l := range []*Log{log, other} {
		add(l, object(1), full())
		l.Changed(object(2), paths{"data"})
	}
	log.SetKind("ConfigMap")
	if len(log.Handlings(object(1))) != 1 {
		t.Error("the same kind forgets")
	}
	log.SetKind("Service")
	if got := log.Handlings(object(1)); len(got) != 0 {
		t.Errorf("of another kind: %v", got)
	}
	if got := log.Take(object(2)); len(changedOf(got)) != 0 {
		t.Errorf("calls to come of another kind: %v", got)
	}
	add(log, object(1), full())
	if stats := h.Stats(); stats.Objects != 2 || stats.Handlings != 2 || len(changedOf(other.Take(object(2)))) != 1 {
		t.Errorf("remembered: %+v", stats)
	}
	New(0).Definition().SetKind("Service")
}

// TestOrderOfHandlings has two workers that end their calls in another order than they began.
func TestOrderOfHandlings(t *testing.T) {
	log := New(1 << 20).Definition()
	first, second := full(), full()
	second.Began = first.Began.Add(1000)
	add(log, object(1), second)
	add(log, object(1), first)
	if got := log.Handlings(object(1)); !got[0].Began.Equal(second.Began) {
		t.Errorf("the newest one is of %s", got[0].Began)
	}
}
