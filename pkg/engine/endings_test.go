package engine

import "testing"

// TestEndings keeps the ends that are to come, and nothing of ids that never come back.
func TestEndings(t *testing.T) {
	var l endings
	first, second := make(chan struct{}), make(chan struct{})
	l.add("a", first)
	l.add("a", second)
	if got := l.of("a"); len(got) != 2 {
		t.Errorf("%d ends are to come, want both", len(got))
	}
	close(first)
	if got := l.of("a"); len(got) != 1 || got[0] != second {
		t.Errorf("%d ends are to come, want the second one", len(got))
	}
	close(second)
	last := make(chan struct{})
	l.add("b", last)
	if _, there := l.ends["a"]; there || len(l.ends) != 1 {
		t.Errorf("ends of %d ids are kept, want that of b", len(l.ends))
	}
	if got := l.of("a"); len(got) != 0 {
		t.Errorf("%d ends of a are to come, want none", len(got))
	}
	close(last)
	if l.of("b"); len(l.ends) != 0 {
		t.Errorf("ends of %d ids are kept, want none", len(l.ends))
	}
}
