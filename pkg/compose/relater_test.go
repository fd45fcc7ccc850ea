package compose

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// called are the namespaces of the websites that something calls.
func called(happens func(add func(kube.Key))) (namespaces []string) {
	happens(func(key kube.Key) { namespaces = append(namespaces, key.Namespace) })
	slices.Sort(namespaces)
	return namespaces
}

// mustPassAll handles the websites of relatedRig.
func (r *rig) mustPassAll(t *testing.T) {
	t.Helper()
	for _, namespace := range []string{"team-a", "team-b"} {
		parent, _ := r.parents.Get(namespace, "web")
		if _, err := r.Handle(t.Context(), handlers.Request{Object: parent}); err != nil {
			t.Fatal(err)
		}
	}
}

// namespace returns a Namespace as it is after its label tier was changed.
func (r *rig) namespace(t *testing.T, name, tier string) handlers.Object {
	t.Helper()
	id := idOf(namespaceKind, "", name)
	r.server.do(func(c *cluster) { c.edit(id, "kubectl", labelled("tier", tier)) })
	o, err := r.live(id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestNamespacesThatAreSelectedCall changes the labels of Namespaces.
func TestNamespacesThatAreSelectedCall(t *testing.T) {
	both := []string{"team-a", "team-b"}
	byNamespace := secrets("s", func(r *handlers.Related) { r.NamespaceSelector = gold })
	some := handlers.Related{Name: "some", APIVersion: "v1", Kind: "Secret", NamespaceSelector: notGold}
	tests := map[string]struct {
		composer handlers.Composer
		declared []handlers.Related
		want     []string // called by a Namespace that is selected, and by one that is not any more
	}{
		"read":                           {newRelating(), []handlers.Related{byNamespace}, both},
		"read in another way":            {newRelating(), []handlers.Related{secrets("s", nil)}, nil},
		"asked for":                      {relater{newRelating(byNamespace)}, []handlers.Related{secrets("declared", nil)}, both},
		"asked for in another way":       {relater{newRelating(secrets("s", nil))}, []handlers.Related{secrets("declared", nil)}, nil},
		"asked for within what is read":  {relater{newRelating(secrets("s", nil))}, []handlers.Related{some}, both},
		"read, and nothing is asked for": {relater{newRelating()}, []handlers.Related{byNamespace}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := relatedRig(t, tc.composer, tc.declared...)
			r.mustPassAll(t)
			golden := r.namespace(t, "team-a", "gold")
			plain, silver := r.namespace(t, "team-a", ""), r.namespace(t, "team-a", "silver")
			for _, change := range [][2]handlers.Object{{plain, golden}, {golden, silver}} {
				got := called(func(add func(kube.Key)) { onNamespace(r.Reconciler, change[0], change[1], add) })
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("it calls (-want +got):\n%s", diff)
				}
			}
			if got := called(func(add func(kube.Key)) { onNamespace(r.Reconciler, plain, silver, add) }); got != nil {
				t.Errorf("a Namespace that was not selected, and is not, calls %v", got)
			}
		})
	}
}

// TestARelaterIsGivenNoMoreThanIsRead asks for everything of a kind.
func TestARelaterIsGivenNoMoreThanIsRead(t *testing.T) {
	tests := map[string]struct {
		declared func(*handlers.Related)
		want     []string // what the website in team-a is given
	}{
		"anything":               {nil, []string{"team-a/one", "team-a/two", "team-b/one", "team-c/three"}},
		"some names":             {func(r *handlers.Related) { r.ObjectNames = []string{"two", "three"} }, []string{"team-a/two", "team-c/three"}},
		"the parent's namespace": {func(r *handlers.Related) { r.SameNamespace = true }, []string{"team-a/one", "team-a/two"}},
		"some namespaces":        {func(r *handlers.Related) { r.NamespaceSelector = notGold }, []string{"team-b/one"}},
	}
	for name, tc := range tests {
		c := newRelating(secrets("s", nil))
		r, _ := relatedRig(t, relater{c}, secrets("declared", tc.declared))
		r.mustPass(t, "web")
		if diff := cmp.Diff(tc.want, c.given["s"]); diff != "" {
			t.Errorf("%s: given (-want +got):\n%s", name, diff)
		}
	}
}

// countingRelater counts how often it is asked.
type countingRelater struct {
	relater
	asked int
}

func (c *countingRelater) Relate(ctx context.Context, parent handlers.Object) ([]handlers.Related, error) {
	c.asked++
	return c.relater.Relate(ctx, parent)
}

// TestWhatARelaterAsksForLastsAsItsParent goes through rounds, failures, and the end of the parent.
func TestWhatARelaterAsksForLastsAsItsParent(t *testing.T) {
	c := &countingRelater{relater: relater{newRelating(secrets("s", func(r *handlers.Related) { r.SameNamespace = true }))}}
	compose := c.ComposerFunc
	c.ComposerFunc = func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		composition, err := compose(ctx, req)
		composition.Children = handlers.ChildrenOf(untyped(configMapKind, "", req.Object.Name()+"-a", nil))
		return composition, err
	}
	r, source := relatedRig(t, c, secrets("declared", nil))
	calls := func() []string {
		one, _ := source.Get("team-a", "one")
		return called(func(add func(kube.Key)) {
			r.onRelated(0, changeOf(kube.Key{Namespace: "team-a", Name: "one"}, nil, one), add)
		})
	}
	inA := []string{"team-a"}
	r.mustPass(t, "web") // It takes two rounds.
	if got := calls(); c.asked != 1 || !slices.Equal(got, inA) {
		t.Errorf("it was asked %d times in a pass, want once; a change calls %v", c.asked, got)
	}
	r.sync()
	c.err = errors.New("no answer")
	if _, err := r.pass(t, "web"); !errors.Is(err, c.err) {
		t.Errorf("error %v", err)
	}
	if got := calls(); !slices.Equal(got, inA) {
		t.Errorf("after a failure, a change calls %v", got)
	}
	c.err = nil
	c.ask = nil
	r.mustPass(t, "web")
	if got := calls(); got != nil {
		t.Errorf("when nothing is asked for any more, a change calls %v", got)
	}
	c.ask = []handlers.Related{secrets("s", nil)}
	r.mustPass(t, "web")
	r.Forget(kube.Key{Namespace: "team-a", Name: "web"}, r.parent("web").UID())
	if got := calls(); got != nil {
		t.Errorf("after the end of the parent, a change calls %v", got)
	}
}

// TestARelaterIsGivenTheBestOfTwoCaches has two caches of one kind, of which one lags behind.
func TestARelaterIsGivenTheBestOfTwoCaches(t *testing.T) {
	onlyMetadata := secrets("metadata", func(r *handlers.Related) { r.MetadataOnly = true })
	type at struct {
		related handlers.Related
		lags    bool
	}
	newest, behind := at{related: secrets("whole", nil)}, at{related: secrets("behind", nil), lags: true}
	metadata := at{related: onlyMetadata}
	for name, tc := range map[string]struct {
		caches []at
		want   string // the label of the Secret that is given, and its data
	}{
		"the newest first": {[]at{newest, behind}, "now dG9rZW4="}, "the newest last": {[]at{behind, newest}, "now dG9rZW4="},
		"metadata first": {[]at{metadata, newest}, "now dG9rZW4="}, "metadata last": {[]at{newest, metadata}, "now dG9rZW4="},
		"newer metadata": {[]at{metadata, behind}, "before dG9rZW4="}, "nothing but metadata": {[]at{metadata}, "now "},
	} {
		c := newRelating(secrets("s", func(r *handlers.Related) { r.Namespace, r.ObjectName = "team-a", "token" }))
		got := ""
		c.ComposerFunc = func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
			var read struct {
				Data map[string]string `json:"data"`
			}
			for _, o := range req.Related["s"] {
				if err := o.Into(&read); err != nil {
					return handlers.Composition{}, err
				}
				got += o.Metadata().Labels["tier"] + " " + read.Data["token"]
			}
			return handlers.Composition{}, nil
		}
		r := newRig(t, rigOptions{composer: relater{c}})
		r.newWebsite("web", nil)
		sources := make([]*cache, len(tc.caches))
		for i, one := range tc.caches {
			sources[i] = &cache{}
			r.Related = append(r.Related, RelatedSource{Related: one.related, Source: sources[i]})
		}
		for _, tier := range []string{"before", "now"} {
			r.server.do(func(c *cluster) {
				c.edit(idOf(secretKind, "team-a", "token"), "kubectl", func(tree map[string]any) {
					labelled("tier", tier)(tree)
					tree["data"] = map[string]any{"token": "dG9rZW4="}
				})
				for i, one := range tc.caches {
					if tier == "before" || !one.lags {
						sources[i].sync(c, secretKind.GroupKind(), "", one.related.MetadataOnly, nil)
					}
				}
			})
		}
		r.sync()
		r.mustPass(t, "web")
		if got != tc.want {
			t.Errorf("%s: given %q, want %q", name, got, tc.want)
		}
	}
}

// TestAnObjectIsGivenOnce has a cache that still has an object that was deleted and made again: a
// composer is given one object of a name, and not the earlier one.
func TestAnObjectIsGivenOnce(t *testing.T) {
	secret := func(uid types.UID, version string, metadataOnly bool) listed {
		o, err := handlers.ObjectOf(&corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "token", UID: uid, ResourceVersion: version},
		})
		if err != nil {
			t.Fatal(err)
		}
		return listed{Object: o, metadataOnly: metadataOnly}
	}
	for name, tc := range map[string]struct {
		all  []listed
		want types.UID
	}{
		"the earlier one first":  {[]listed{secret("a", "7", false), secret("b", "9", false)}, "b"},
		"the earlier one last":   {[]listed{secret("b", "9", false), secret("a", "7", false)}, "b"},
		"metadata of the newest": {[]listed{secret("a", "7", false), secret("b", "9", true)}, "a"},
	} {
		if got := bestOf(tc.all); len(got) != 1 || got[0].UID() != tc.want {
			t.Errorf("%s: given %v, want %s alone", name, got, tc.want)
		}
	}
}
