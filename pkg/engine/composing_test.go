package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

// composeSeries are the metrics of composers that there are.
func (r *rig) composeSeries() (names []string) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "kooperd_compose_") {
			names = append(names, family.GetName())
		}
	}
	return names
}

func TestMetricsOfAComposerGoWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.start(r.composing("pods", nil))
		defer r.stop()
		if names := r.composeSeries(); len(names) != 16 {
			t.Errorf("of a composer there are %v", names)
		}
		r.apply(r.definition("pods", "1"))
		if names := r.composeSeries(); len(names) > 0 {
			t.Errorf("of a handler there are %v", names)
		}
		r.apply(r.composing("pods", nil))
		if names := r.composeSeries(); len(names) != 16 {
			t.Errorf("of a composer again there are %v", names)
		}
		r.apply()
		if names := r.composeSeries(); len(names) > 0 {
			t.Errorf("after the removal there are %v", names)
		}
	})
}
