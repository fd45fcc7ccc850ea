package compose

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// named asks for a Secret in the parent's namespace.
func named(name string) handlers.Related {
	return secrets("s", func(r *handlers.Related) { r.SameNamespace, r.ObjectName = true, name })
}

// askingParents are what is remembered of many parents in one namespace, each of which asks for a
// Secret of its name.
func askingParents(n int) *Memory {
	m := NewMemory()
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		m.meet(kube.Key{Namespace: "team-a", Name: name}, types.UID(name))
		m.setRelated(types.UID(name), "team-a", []handlers.Related{named(name)})
	}
	return m
}

// TestAnEventLooksAtThoseThatAsk counts what is looked at, among 10,000 parents.
func TestAnEventLooksAtThoseThatAsk(t *testing.T) {
	m := askingParents(10_000)
	m.setRelated("web-1", "team-a", []handlers.Related{secrets("all", nil), named("web-1")})
	m.setRelated("web-2", "team-a", []handlers.Related{secrets("gold", func(r *handlers.Related) { r.SameNamespace, r.LabelSelector = true, gold })})
	m.setRelated("web-3", "team-a", []handlers.Related{secrets("names", func(r *handlers.Related) { r.ObjectNames = []string{"x", "web-5"} })})
	m.forget(kube.Key{Namespace: "team-a", Name: "web-4"}, "web-4")
	for key, want := range map[kube.Key][]string{
		{Namespace: "team-a", Name: "web-9"}: {"web-1", "web-2", "web-9"}, {Namespace: "team-b", Name: "web-9"}: {"web-1"},
		{Namespace: "team-a", Name: "web-1"}: {"web-1", "web-2"}, {Namespace: "team-a", Name: "web-2"}: {"web-1", "web-2"},
		{Namespace: "team-a", Name: "web-4"}: {"web-1", "web-2"}, {Namespace: "team-b", Name: "web-5"}: {"web-1", "web-3"},
		{Namespace: "team-a", Name: "web-5"}: {"web-1", "web-2", "web-3", "web-5"}, {Name: "web-6"}: {"web-1"},
	} {
		looked := 0
		var names []string
		for _, parent := range askersOf(m, secretKind, key, func(asked matcher) bool { looked++; return asked.selectsKey(key.Namespace, key.Name) }) {
			names = append(names, parent.Name)
		}
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Errorf("%v concerns %v, want %v", key, names, want)
		}
		if looked > 2*len(want) {
			t.Errorf("for %v, %d things that were asked for are looked at", key, looked)
		}
	}
	if keys := askersOf(m, configMapKind, kube.Key{Namespace: "team-a", Name: "web-9"}, func(matcher) bool { return true }); len(keys) > 0 {
		t.Errorf("an object of another kind concerns %v", keys)
	}
	for i := range 5000 {
		name := fmt.Sprintf("web-%d", i)
		m.forget(kube.Key{Namespace: "team-a", Name: name}, types.UID(name))
	}
	if len(m.asking) != 5000 {
		t.Errorf("5000 parents ask at %d places", len(m.asking))
	}
	if m.clear(); len(m.asking) > 0 {
		t.Errorf("no parents ask at %d places", len(m.asking))
	}
}

// BenchmarkAskers shows that an event costs the same for any number of parents.
func BenchmarkAskers(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m, key := askingParents(n), kube.Key{Namespace: "team-a", Name: "web-7"}
			for b.Loop() {
				if keys := askersOf(m, secretKind, key, func(matcher) bool { return true }); len(keys) != 1 {
					b.Fatal(keys)
				}
			}
		})
	}
}
