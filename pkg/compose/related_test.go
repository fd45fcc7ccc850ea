package compose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// relating is a composer that notes what it is given.
type relating struct {
	handlers.ComposerFunc
	given map[string][]string
	err   error
	ask   []handlers.Related
}

func newRelating(ask ...handlers.Related) *relating {
	c := &relating{ask: ask}
	c.ComposerFunc = func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c.given = map[string][]string{}
		for name, objects := range req.Related {
			for _, o := range objects {
				c.given[name] = append(c.given[name], o.Namespace()+"/"+o.Name())
			}
		}
		return handlers.Composition{}, nil
	}
	return c
}

// relater is a relating that is a Relater.
type relater struct{ *relating }

func (r relater) Relate(context.Context, handlers.Object) ([]handlers.Related, error) {
	return r.ask, r.err
}

// relatedRig is a rig of a website in team-a and one in team-b, with related objects.
func relatedRig(t *testing.T, composer handlers.Composer, declared ...handlers.Related) (*rig, *cache) {
	t.Helper()
	r := newRig(t, rigOptions{composer: composer})
	source := &cache{}
	for _, related := range declared {
		r.Related = append(r.Related, RelatedSource{Related: related, Source: source})
	}
	r.newWebsite("web", nil)
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-b", "web"), "kubectl", func(map[string]any) {})
		for _, o := range []struct{ namespace, name, tier string }{
			{"team-a", "one", "gold"}, {"team-a", "two", ""}, {"team-b", "one", "gold"}, {"team-c", "three", "gold"},
		} {
			c.edit(idOf(secretKind, o.namespace, o.name), "kubectl", labelled("tier", o.tier))
		}
		source.sync(c, secretKind.GroupKind(), "", false, nil)
		for name, tier := range map[string]string{"team-a": "gold", "team-b": "", "team-c": "gold"} {
			c.edit(idOf(namespaceKind, "", name), "kubectl", labelled("tier", tier))
		}
		namespaces := &cache{}
		namespaces.sync(c, namespaceKind.GroupKind(), "", true, nil)
		r.AllNamespaces = namespaces
	})
	r.sync()
	return r, source
}

func secrets(name string, change func(*handlers.Related)) handlers.Related {
	related := handlers.Related{Name: name, APIVersion: "v1", Kind: "Secret"}
	if change != nil {
		change(&related)
	}
	return related
}

var (
	gold    = &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "gold"}}
	notGold = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"gold"}},
	}}
	// selections are related objects, with those of them that the website in team-a is given, and
	// the websites that a change of the Secret team-a/one calls.
	selections = map[string]struct {
		related handlers.Related
		given   []string
		called  []string
	}{
		"all": {
			related: secrets("s", nil), given: []string{"team-a/one", "team-a/two", "team-b/one", "team-c/three"}, called: []string{"team-a", "team-b"},
		},
		"in the parent's namespace": {
			related: secrets("s", func(r *handlers.Related) { r.SameNamespace = true }), given: []string{"team-a/one", "team-a/two"}, called: []string{"team-a"},
		},
		"by a name in the parent's namespace": {
			related: secrets("s", func(r *handlers.Related) { r.SameNamespace, r.ObjectName = true, "one" }), given: []string{"team-a/one"}, called: []string{"team-a"},
		},
		"by a name that there is not": {
			related: secrets("s", func(r *handlers.Related) { r.SameNamespace, r.ObjectName = true, "none" }), called: nil,
		},
		"by a name in any namespace": {
			related: secrets("s", func(r *handlers.Related) { r.ObjectName = "one" }), given: []string{"team-a/one", "team-b/one"}, called: []string{"team-a", "team-b"},
		},
		"by labels": {
			related: secrets("s", func(r *handlers.Related) { r.LabelSelector = gold }), given: []string{"team-a/one", "team-b/one", "team-c/three"}, called: []string{"team-a", "team-b"},
		},
		"by labels and a name": {
			related: secrets("s", func(r *handlers.Related) { r.LabelSelector, r.ObjectName, r.SameNamespace = gold, "two", true }), called: nil,
		},
		"in one namespace": {
			related: secrets("s", func(r *handlers.Related) { r.Namespace = "team-c" }), given: []string{"team-c/three"}, called: nil,
		},
		"by names": {
			related: secrets("s", func(r *handlers.Related) { r.ObjectNames = []string{"three", "one", "none"} }),
			given:   []string{"team-a/one", "team-b/one", "team-c/three"}, called: []string{"team-a", "team-b"},
		},
		"by names in the parent's namespace": {
			related: secrets("s", func(r *handlers.Related) { r.SameNamespace, r.ObjectNames = true, []string{"two", "none"} }), given: []string{"team-a/two"}, called: nil,
		},
		"by labels of namespaces": {
			related: secrets("s", func(r *handlers.Related) { r.NamespaceSelector = gold }),
			given:   []string{"team-a/one", "team-a/two", "team-c/three"}, called: []string{"team-a", "team-b"},
		},
		"by labels of other namespaces": {
			related: secrets("s", func(r *handlers.Related) { r.NamespaceSelector = notGold }), given: []string{"team-b/one"}, called: nil,
		},
		"by everything": {
			related: secrets("s", func(r *handlers.Related) {
				r.NamespaceSelector, r.LabelSelector, r.ObjectNames = gold, gold, []string{"one", "two"}
			}),
			given: []string{"team-a/one"}, called: []string{"team-a", "team-b"},
		},
	}
)

func TestRelatedThatAPluginReads(t *testing.T) {
	for name, tc := range selections {
		t.Run(name, func(t *testing.T) {
			c := newRelating()
			r, _ := relatedRig(t, c, tc.related)
			r.mustPass(t, "web")
			if diff := cmp.Diff(tc.given, c.given["s"]); diff != "" {
				t.Errorf("given (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRelatedThatARelaterAsksFor(t *testing.T) {
	for name, tc := range selections {
		t.Run(name, func(t *testing.T) {
			c := newRelating(tc.related)
			r, source := relatedRig(t, relater{c}, secrets("declared", nil))
			one, _ := source.Get("team-a", "one")
			calls := func() []string {
				var called []string
				r.onRelated(0, changeOf(kube.Key{Namespace: "team-a", Name: "one"}, nil, one), func(key kube.Key) { called = append(called, key.Namespace) })
				slices.Sort(called)
				return called
			}
			if got := calls(); got != nil {
				t.Errorf("before the first call, a change calls %v", got)
			}
			for _, namespace := range []string{"team-b", "team-a"} {
				parent, _ := r.parents.Get(namespace, "web")
				if _, err := r.Handle(t.Context(), handlers.Request{Object: parent}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(map[string][]string{"s": tc.given}, c.given); diff != "" && tc.given != nil {
				t.Errorf("given (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.called, calls()); diff != "" {
				t.Errorf("a change of Secret team-a/one calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAChangeOfLabelsCalls(t *testing.T) {
	c := newRelating(secrets("s", func(r *handlers.Related) { r.LabelSelector = gold }))
	r, source := relatedRig(t, relater{c}, secrets("declared", nil))
	r.mustPass(t, "web")
	golden, _ := source.Get("team-a", "one")
	plain, _ := source.Get("team-a", "two")
	for name, tc := range map[string]struct {
		old, now handlers.Object
		want     int
	}{
		"selected before": {old: golden, now: plain, want: 1}, "selected after": {old: plain, now: golden, want: 1},
		"never": {old: plain, now: plain}, "gone": {old: golden, want: 1}, "nothing is known": {want: 1},
	} {
		n := 0
		r.onRelated(0, changeOf(kube.Key{Namespace: "team-a", Name: "one"}, tc.old, tc.now), func(kube.Key) { n++ })
		if n != tc.want {
			t.Errorf("%s: %d calls, want %d", name, n, tc.want)
		}
	}
}

// TestNoChangeOfARelatedObjectIsMissed changes an object while it is read for a Relater.
func TestNoChangeOfARelatedObjectIsMissed(t *testing.T) {
	c := newRelating(secrets("s", nil))
	r, source := relatedRig(t, relater{c}, secrets("declared", nil))
	called := 0
	r.Related[0].Source = &readingCache{cache: source, read: func() {
		r.onRelated(0, changeOf(kube.Key{Namespace: "team-a", Name: "one"}), func(kube.Key) { called++ })
	}}
	r.mustPass(t, "web")
	if called != 1 {
		t.Errorf("a change that came after the objects were read calls %d times, want once", called)
	}
}

func TestRelaterErrors(t *testing.T) {
	c := newRelating()
	r, _ := relatedRig(t, relater{c}, secrets("declared", nil))
	tests := map[string]struct {
		ask  []handlers.Related
		want string
	}{
		"another kind": {
			[]handlers.Related{{Name: "pods", APIVersion: "v1", Kind: "Pod"}}, "related pods: the plugin does not say that it reads v1 Pod",
		},
		"two of one name": {[]handlers.Related{secrets("s", nil), secrets("s", nil)}, `finding related objects: there are two named "s"`},
		"what cannot be": {
			[]handlers.Related{secrets("s", func(r *handlers.Related) { r.NamespaceSelector, r.Namespace = gold, "team-a" })},
			"finding related objects: s: namespaceSelector excludes namespace and sameNamespace",
		},
		"a selector that is none": {
			[]handlers.Related{secrets("s", func(r *handlers.Related) {
				r.LabelSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}
			})}, `finding related objects: s: "Is" is not a valid label selector operator`,
		},
	}
	for name, tc := range tests {
		c.ask = tc.ask
		if _, err := r.pass(t, "web"); err == nil || err.Error() != "composing: "+tc.want {
			t.Errorf("%s: error %v, want %s", name, err, tc.want)
		}
	}
	c.ask = []handlers.Related{secrets("s", func(r *handlers.Related) { r.NamespaceSelector = gold })}
	r.AllNamespaces = nil
	want := "composing: related s: the plugin reads nothing by a namespaceSelector"
	if _, err := r.pass(t, "web"); err == nil || err.Error() != want {
		t.Errorf("without Namespaces: error %v, want %s", err, want)
	}
	c.err = errors.New("no spec")
	if _, err := r.pass(t, "web"); !errors.Is(err, c.err) || fmt.Sprint(err) != "composing: finding related objects: no spec" {
		t.Errorf("error %v", err)
	}
}

func TestRelatedOfTheSameNamespaceCallsItsParents(t *testing.T) {
	r, source := relatedRig(t, newRelating(), secrets("s", func(r *handlers.Related) { r.SameNamespace = true }), secrets("all", nil))
	one, _ := source.Get("team-b", "one")
	for i, want := range [][]string{{"team-b"}, {"team-a", "team-b"}} {
		var called []string
		r.onRelated(i, changeOf(kube.Key{Namespace: "team-b", Name: "one"}, one), func(key kube.Key) { called = append(called, key.Namespace) })
		slices.Sort(called)
		if !slices.Equal(called, want) {
			t.Errorf("an event of source %d calls %v, want %v", i, called, want)
		}
	}
}

// readingCache calls read when it has been read.
type readingCache struct {
	*cache
	read func()
}

func (c *readingCache) List(namespace string, selector labels.Selector) []handlers.Object {
	defer c.read()
	return c.cache.List(namespace, selector)
}
