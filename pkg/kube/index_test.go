package kube

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

// labelled is a pod with labels and owners: "name@version team=a,tier=b owner,owner".
func labelled(t testing.TB, text string) *corev1.Pod {
	t.Helper()
	words := strings.Split(text, " ")
	p := pod(words[0])
	var err error
	if p.Labels, err = labels.ConvertSelectorToLabelsMap(words[1]); err != nil {
		t.Fatal(err)
	}
	if len(words) > 2 {
		for uid := range strings.SplitSeq(words[2], ",") {
			p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: uid, UID: types.UID(uid)})
		}
	}
	return p
}

// TestIndexesFollow asks an index before and after everything that can happen to a cache.
func TestIndexesFollow(t *testing.T) {
	j := newJournal()
	ask := func() string {
		selector := labels.SelectorFromSet(labels.Set{"team": "a"})
		named := func(objects []handlers.Object) string { return strings.Join(objectNames(objects), " ") }
		var owned []handlers.Object
		for _, o := range j.owned("rs") {
			owned = append(owned, cachedObject{o})
		}
		return fmt.Sprintf("team a: %s; owned: %s", named(j.list("", selector, nil)), named(owned))
	}
	put := func(text string) func() error {
		return func() error { return j.Update(arrival(t, podKind, labelled(t, text))) }
	}
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"nothing", func() error { return nil }, "team a: ; owned: "},
		{"created", put("p@1 team=a rs"), "team a: payments/p; owned: payments/p"},
		{"another", put("q@2 team=b other,rs"), "team a: payments/p; owned: payments/p payments/q"},
		{"the same", put("p@1 team=a rs"), "team a: payments/p; owned: payments/p payments/q"},
		{"label changed", put("p@3 team=b rs"), "team a: ; owned: payments/p payments/q"},
		{"label back, owner gone", put("p@4 team=a"), "team a: payments/p; owned: payments/q"},
		{"two owners that are one", put("p@5 team=a rs,rs"), "team a: payments/p; owned: payments/p payments/q"},
		{"deleted", func() error { return j.Delete(arrival(t, podKind, labelled(t, "p@6 team=a rs"))) }, "team a: ; owned: payments/q"},
		{"listed again", func() error {
			return j.Replace([]any{arrival(t, podKind, labelled(t, "r@7 team=a rs"))}, "7")
		}, "team a: payments/r; owned: payments/r"},
		{"changed after that", put("r@8 team=c other"), "team a: ; owned: "},
		{"kind is gone", func() error { j.clear(); return nil }, "team a: ; owned: "},
		{"and back", put("r@9 team=a rs"), "team a: payments/r; owned: payments/r"},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if got := ask(); got != s.want {
			t.Errorf("%s: %s, want %s", s.name, got, s.want)
		}
	}
	if n := len(j.indexes[indexName{by: byOwner}]); n != 1 {
		t.Errorf("the index keeps %d owners, want 1", n)
	}
}

// TestListSelected compares what comes by an index with what looking at all objects finds.
func TestListSelected(t *testing.T) {
	j := newJournal()
	random := rand.New(rand.NewPCG(1, 2))
	objects := map[string]*corev1.Pod{}
	for i := range 200 {
		text := fmt.Sprintf("p%d@%d team=%c,tier=%c", random.IntN(60), i+1, 'a'+rune(random.IntN(4)), 'a'+rune(random.IntN(2)))
		p := labelled(t, text)
		objects[p.Name] = p
		if err := j.Update(arrival(t, podKind, p)); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			"team=a", "team==b", "team in (a,b,a)", "team in (c),tier=b", "tier=b,team", "team notin (a)", "!team", "none=a",
			"one=a", "two=a", "three=a", "four=a", "", // more labels than there are indexes
		} {
			selector, err := labels.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, p := range objects {
				if selector.Matches(labels.Set(p.Labels)) {
					want = append(want, "payments/"+p.Name)
				}
			}
			slices.Sort(want)
			for namespace, want := range map[string][]string{"": want, "payments": want, "search": nil} {
				if diff := gocmp.Diff(want, objectNames(j.list(namespace, selector, nil))); diff != "" {
					t.Fatalf("step %d, %q in %q (-want +got):\n%s", i, text, namespace, diff)
				}
			}
		}
	}
	if n := len(j.indexes); n != maxLabelIndexes+1 {
		t.Errorf("%d indexes, want %d and that of namespaces", n, maxLabelIndexes)
	}
}

func TestViewListOwned(t *testing.T) {
	v, _ := newFilteredTestView(t, "team=a", "payments", "search")
	teams := map[string]string{"payments": "a", "search": "b"}
	for _, s := range v.sources {
		p := labelled(t, "p@1 team="+teams[s.id.namespace]+" rs")
		p.Namespace = s.id.namespace
		if err := s.store.Add(arrival(t, podKind, p)); err != nil {
			t.Fatal(err)
		}
	}
	if got := objectNames(v.ListOwned("rs")); !slices.Equal(got, []string{"payments/p"}) {
		t.Errorf("owned: %v, want what the view sees", got)
	}
}

// BenchmarkListSelected is a list of ten among 20,000 by a label.
func BenchmarkListSelected(b *testing.B) {
	j := newJournal()
	for i := range 20_000 {
		if err := j.Add(arrival(b, podKind, labelled(b, fmt.Sprintf("p%d@1 app=app-%d", i, i/10)))); err != nil {
			b.Fatal(err)
		}
	}
	for name, text := range map[string]string{"index": "app=app-7", "all": "app,app notin (app-7)"} {
		selector, err := labels.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				j.list("", selector, nil)
			}
		})
	}
}
