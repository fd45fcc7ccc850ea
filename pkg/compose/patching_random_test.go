package compose

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a random one of parents that contribute to objects, with a rival.
type patchWorld struct {
	*rig
	random  *rand.Rand
	now     time.Time
	desired map[string]map[string]any // by parent, the value for each target
	parents []string
	targets []string
}

// step changes something.
func (w *patchWorld) step() (what string) {
	parent, target := w.parents[w.random.IntN(len(w.parents))], w.targets[w.random.IntN(len(w.targets))]
	id := idOf(configMapKind, "team-a", target)
	edit := func(manager string, change func(data map[string]any)) {
		w.server.do(func(c *cluster) {
			c.edit(id, manager, func(tree map[string]any) { change(object(tree, "data")) })
		})
	}
	switch w.random.IntN(7) {
	case 0, 1:
		w.desired[parent][target] = fmt.Sprint(w.random.IntN(3))
		what = "contribute"
	case 2:
		delete(w.desired[parent], target)
		what = "withdraw"
	case 3:
		edit("owner", func(data map[string]any) { data["own"] = "1" })
		what = "make"
	case 4:
		w.server.do(func(c *cluster) { _ = c.delete(id, "", "") }) // It may not be there.
		what = "delete"
	case 5:
		edit("owner", func(data map[string]any) {
			data["own"] = "1"
			if delete(data, parent); w.random.IntN(2) == 0 {
				data[parent] = "taken"
			}
		})
		what = "interfere"
	default:
		w.Memory.clear()
		what = "restart"
	}
	return what + " " + parent + " " + target
}

// settle makes passes until there are no requests, or for a while.
func (w *patchWorld) settle(t *testing.T) {
	t.Helper()
	var asked []string
	for range 12 {
		w.now = w.now.Add(2 * lastSlowRetry)
		asked = nil
		for _, parent := range w.parents {
			w.newWebsite(parent, map[string]any{"patches": maps.Clone(w.desired[parent])})
			w.server.take()
			_, _ = w.pass(t, parent) // Conflicts are errors.
			w.sync()
			for _, one := range w.asked() {
				if strings.Contains(one, "PATCH") && strings.Contains(one, "configmaps") {
					asked = append(asked, one)
				}
			}
		}
		if len(asked) == 0 {
			return
		}
	}
	// What conflicts is tried again and again, and nothing else is.
	for _, one := range asked {
		if !w.conflicts(one[strings.LastIndex(one, "/")+1:]) {
			t.Errorf("there is no end to %s", one)
		}
	}
}

// conflicts reports whether a parent wants another value than the owner of a target has set.
func (w *patchWorld) conflicts(target string) bool {
	data := w.data(target)
	return slices.ContainsFunc(w.parents, func(parent string) bool {
		want, wanted := w.desired[parent][target]
		return wanted && data[parent] != want
	})
}

// inConflict reports whether something that a parent wants conflicts.
func (w *patchWorld) inConflict(parent string) bool {
	return slices.ContainsFunc(w.targets, func(target string) bool {
		want, wanted := w.desired[parent][target]
		have := w.data(target)
		return wanted && have != nil && have[parent] != want
	})
}

func (w *patchWorld) data(target string) (data map[string]any) {
	w.server.do(func(c *cluster) {
		if s := c.objects[idOf(configMapKind, "team-a", target)]; s != nil {
			data = maps.Clone(object(s.tree, "data"))
		}
	})
	return data
}

// check looks at all targets.
func (w *patchWorld) check(t *testing.T) {
	t.Helper()
	for _, target := range w.targets {
		data := w.data(target)
		if data == nil {
			continue
		}
		want := map[string]any{"own": "1"}
		for _, parent := range w.parents {
			if w.inConflict(parent) { // What it does not want any more may be held.
				delete(data, parent)
				continue
			}
			if value, wanted := w.desired[parent][target]; wanted {
				want[parent] = value
			}
			if data[parent] == "taken" {
				want[parent] = "taken"
			}
		}
		if fmt.Sprint(want) != fmt.Sprint(data) {
			t.Errorf("%s has %v, want %v", target, data, want)
		}
	}
}

// Whatever happens, what is there in the end is what is desired, what belongs to others stays, and
// what is not desired by anybody leaves nothing behind.
func TestPatchesConverge(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { convergePatches(t, rand.NewPCG(seed, 1)) })
	}
}

// FuzzPatchesConverge is TestPatchesConverge for sequences that nobody has thought of.
func FuzzPatchesConverge(f *testing.F) {
	f.Add([]byte{0, 64, 128, 192, 255})
	f.Add([]byte("contribute, withdraw, interfere, restart"))
	f.Fuzz(func(t *testing.T, choices []byte) { convergePatches(t, &byteSource{choices: choices}) })
}

// byteSource takes its numbers from bytes, over and over again.
type byteSource struct {
	choices []byte
	at      int
}

// Uint64 implements rand.Source. Small numbers are taken from the high bits.
func (s *byteSource) Uint64() uint64 {
	s.at++
	if len(s.choices) == 0 {
		return uint64(s.at) << 56
	}
	return uint64(s.choices[s.at%len(s.choices)])<<56 | uint64(s.at)<<32 // One that does not change would be refused for ever.
}

func convergePatches(t *testing.T, source rand.Source) {
	t.Helper()
	w := &patchWorld{
		rig: newContributor(t), random: rand.New(source), now: time.Now(), desired: map[string]map[string]any{},
		parents: []string{"web", "shop"}, targets: []string{"one", "two", "three"},
	}
	w.Reconciler.now = func() time.Time { return w.now }
	for _, parent := range w.parents {
		w.desired[parent] = map[string]any{}
	}
	for _, target := range w.targets {
		w.target(target)
	}
	var steps []string
	for range 12 {
		for range 1 + w.random.IntN(3) {
			steps = append(steps, w.step())
		}
		w.settle(t)
		w.check(t)
		if t.Failed() {
			t.Fatalf("after %q", steps)
		}
	}
	for _, parent := range w.parents {
		w.desired[parent] = map[string]any{}
	}
	w.settle(t)
	w.check(t)
	for _, target := range w.targets {
		if text := w.object(idOf(configMapKind, "team-a", target)); strings.Contains(text, PatchManagers) || strings.Contains(text, patchedSuffix) {
			t.Errorf("%s is %s after %q", target, text, steps)
		}
	}
}
