package kube

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube/wire"
)

// pod is a Pod as it arrives, written as name@version or name@version#uid.
func pod(text string) *corev1.Pod {
	text, uid, _ := strings.Cut(text, "#")
	name, version, _ := strings.Cut(text, "@")
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "payments", Name: name, ResourceVersion: version, UID: types.UID(name + cmp.Or(uid, "1")),
		Labels:        map[string]string{"app": name},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}}
}

// arrival is an object as it arrives from the API server, which writes JSON.
func arrival(t testing.TB, kind schema.GroupVersionKind, obj any) *object {
	t.Helper()
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	e, err := wire.ParseEnvelope(text)
	if err != nil {
		t.Fatal(err)
	}
	o, err := e.Object()
	if err != nil {
		t.Fatal(err)
	}
	return &object{codec: newCodec(kind, false), Object: o}
}

func pods(t testing.TB, texts ...string) []any {
	t.Helper()
	items := make([]any, 0, len(texts))
	for _, text := range texts {
		items = append(items, arrival(t, podKind, pod(text)))
	}
	return items
}

// What is kept of an arrival is the object of the cache only where both say the same.
func TestKnown(t *testing.T) {
	cachedPod := func() *corev1.Pod { return pod("a@1") }
	tests := map[string]struct {
		change func(*corev1.Pod)
		same   bool
	}{
		"the same":               {func(*corev1.Pod) {}, true},
		"another version":        {func(p *corev1.Pod) { p.ResourceVersion = "2" }, false},
		"another object":         {func(p *corev1.Pod) { p.UID = "other" }, false},
		"another name":           {func(p *corev1.Pod) { p.Name = "b" }, false},
		"changed, no version":    {func(p *corev1.Pod) { p.Spec.NodeName = "n" }, false},
		"other managers, though": {func(p *corev1.Pod) { p.ManagedFields[0].Manager = "helm" }, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			before := arrival(t, podKind, cachedPod())
			if got := j.dedupe(before); got != before {
				t.Error("an empty cache knows the object")
			}
			if err := j.Add(before); err != nil {
				t.Fatal(err)
			}
			changed := cachedPod()
			tc.change(changed)
			arrived := arrival(t, podKind, changed)
			want := arrived
			if tc.same {
				want = before
			}
			if got := j.dedupe(arrived); got != want {
				t.Errorf("kept is %s@%s, which is the cached one: %t", got.Name, got.ResourceVersion, got == before)
			}
		})
	}
}

// journal is a store with what it has reported, in words.
type journal struct {
	*store
	lines    []string
	replaced int
	heard    int
}

func newJournal() *journal {
	j := &journal{}
	j.store = newStore(podKind, "", storeHooks{
		event: func(e Event) {
			word := map[EventType]string{Listed: "listed", Changed: "changed", Deleted: "deleted"}[e.Type]
			_, there := j.get(e.Key, nil)
			if e.Type != Deleted && !there {
				word += " but not there"
			}
			j.lines = append(j.lines, word+" "+e.Key.Namespace+"/"+e.Key.Name)
		},
		replaced: func() { j.replaced++ },
		received: func() { j.heard++ },
	})
	return j
}

// take returns what was reported since the last call.
func (j *journal) take() []string {
	lines := j.lines
	j.lines = nil
	return lines
}

func TestStoreReplace(t *testing.T) {
	tests := map[string]struct {
		before, after []any
		want          []string // deletions come first; within both the order is any
	}{
		"the same":         {pods(t, "a@1", "b@2"), pods(t, "a@1", "b@2"), nil},
		"changed":          {pods(t, "a@1", "b@2"), pods(t, "a@3", "b@2"), []string{"changed payments/a"}},
		"created":          {pods(t, "a@1"), pods(t, "a@1", "b@2"), []string{"changed payments/b"}},
		"deleted":          {pods(t, "a@1", "b@2"), pods(t, "b@2"), []string{"deleted payments/a"}},
		"all deleted":      {pods(t, "a@1"), nil, []string{"deleted payments/a"}},
		"all at once":      {pods(t, "a@1", "b@2"), pods(t, "b@3", "c@4"), []string{"deleted payments/a", "changed payments/b", "changed payments/c"}},
		"another object":   {pods(t, "a@1"), pods(t, "a@2#2"), []string{"deleted payments/a", "changed payments/a"}},
		"older is other":   {pods(t, "a@2"), pods(t, "a@1"), []string{"changed payments/a"}},
		"empty stays so":   {nil, nil, nil},
		"first after none": {nil, pods(t, "a@1"), []string{"changed payments/a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			j := newJournal()
			if err := j.Replace(tc.before, "10"); err != nil {
				t.Fatal(err)
			}
			for _, line := range j.take() {
				if !strings.HasPrefix(line, "listed ") {
					t.Errorf("the first list reported %q", line)
				}
			}
			if err := j.Replace(tc.after, "11"); err != nil {
				t.Fatal(err)
			}
			got := j.take()
			if !slices.IsSortedFunc(got, func(a, b string) int { // deleted before changed
				return -strings.Compare(a[:7], b[:7])
			}) {
				t.Errorf("deletions do not come first: %q", got)
			}
			slices.SortStableFunc(got, func(a, b string) int {
				return cmp.Or(-strings.Compare(a[:7], b[:7]), strings.Compare(a, b))
			})
			if diff := gocmp.Diff(tc.want, got); diff != "" {
				t.Errorf("reported (-want +got):\n%s", diff)
			}
			if len(j.keys(nil)) != len(tc.after) || j.size() != len(tc.after) || j.replaced != 2 {
				t.Errorf("%d keys, size %d, %d complete lists", len(j.keys(nil)), j.size(), j.replaced)
			}
		})
	}
}

func TestStoreFollowsAWatch(t *testing.T) {
	j := newJournal()
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"list", func() error { return j.Replace(pods(t, "a@1"), "1") }, []string{"listed payments/a"}},
		{"create", func() error { return j.Add(arrival(t, podKind, pod("b@2"))) }, []string{"changed payments/b"}},
		{"same version", func() error { return j.Update(arrival(t, podKind, pod("b@2"))) }, nil},
		{"same version as added", func() error { return j.Add(arrival(t, podKind, pod("a@1"))) }, nil},
		{"change", func() error { return j.Update(arrival(t, podKind, pod("a@3"))) }, []string{"changed payments/a"}},
		{"delete", func() error { return j.Delete(arrival(t, podKind, pod("a@4"))) }, []string{"deleted payments/a"}},
		{"delete again", func() error { return j.Delete(arrival(t, podKind, pod("a@4"))) }, nil},
		{"delete unknown", func() error { return j.Delete(arrival(t, podKind, pod("x@5"))) }, nil},
		{"create anew", func() error { return j.Add(arrival(t, podKind, pod("a@6#2"))) }, []string{"changed payments/a"}},
		{"another object", func() error { return j.Add(arrival(t, podKind, pod("a@8#3"))) }, []string{"deleted payments/a", "changed payments/a"}},
		{"bookmark", func() error { return j.Bookmark("9") }, nil},
		{"resync", func() error { return j.Resync() }, nil},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := gocmp.Diff(step.want, j.take()); diff != "" {
			t.Errorf("%s reported (-want +got):\n%s", step.name, diff)
		}
	}
	if j.heard != len(steps)-2 {
		t.Errorf("heard %d times, want once for everything but the list and the resync: %d", j.heard, len(steps)-2)
	}
}

func TestStoreClear(t *testing.T) {
	j := newJournal()
	if err := j.Replace(pods(t, "a@1", "b@2"), "2"); err != nil {
		t.Fatal(err)
	}
	j.take()
	j.clear()
	got := j.take()
	slices.Sort(got)
	if diff := gocmp.Diff([]string{"deleted payments/a", "deleted payments/b"}, got); diff != "" {
		t.Errorf("clear reported (-want +got):\n%s", diff)
	}
	j.clear()
	if err := j.Replace(pods(t, "a@1"), "3"); err != nil {
		t.Fatal(err)
	}
	// The deletion was reported, so the return has to be reported, too.
	if diff := gocmp.Diff([]string{"changed payments/a"}, j.take()); diff != "" {
		t.Errorf("a list after clear reported (-want +got):\n%s", diff)
	}
}

func TestStoreEntries(t *testing.T) {
	j := newJournal()
	if err := j.Add(arrival(t, podKind, pod("a@1"))); err != nil {
		t.Fatal(err)
	}
	obj, ok := j.get(Key{Namespace: "payments", Name: "a"}, nil)
	if !ok {
		t.Fatal("not there")
	}
	if obj.GroupVersionKind() != podKind {
		t.Errorf("kind %v, though a decoded Pod does not say", obj.GroupVersionKind())
	}
	if mf := obj.Metadata().ManagedFields; mf != nil {
		t.Errorf("managedFields are kept: %v", mf)
	}
	first := new(corev1.Pod)
	if err := obj.Into(first); err != nil {
		t.Fatal(err)
	}
	first.Labels["app"] = "changed by a handler"
	obj.Metadata().Labels["app"] = "changed by a handler"
	second := new(corev1.Pod)
	if err := obj.Into(second); err != nil {
		t.Fatal(err)
	}
	if second.Labels["app"] != "a" || second.Kind != "Pod" || second.APIVersion != "v1" {
		t.Errorf("the second copy is %v", second.ObjectMeta)
	}
}

// An aggregated API server may have objects without versions.
func TestStoreWithoutVersions(t *testing.T) {
	j := newJournal()
	for _, step := range []struct{ node, want string }{{"", "changed payments/a"}, {"", ""}, {"n", "changed payments/a"}} {
		p := pod("a@")
		p.Spec.NodeName = step.node
		if err := j.Update(arrival(t, podKind, p)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(j.take(), " "); got != step.want {
			t.Errorf("on node %q: reported %q, want %q", step.node, got, step.want)
		}
	}
}

// Metadata that cannot be decoded is returned as far as it can be read, so that a handler does
// not take the object for one that is not being deleted.
func TestDamagedMetadata(t *testing.T) {
	o := arrival(t, podKind, map[string]any{"kind": "Pod", "apiVersion": "v1", "metadata": map[string]any{
		"name": "a", "uid": "u", "resourceVersion": "1", "labels": map[string]any{"app": "web"}, "deletionTimestamp": "yesterday",
	}})
	m := cachedObject{o}.Metadata()
	if m.Name != "a" || m.UID != "u" || m.ResourceVersion != "1" || m.Labels["app"] != "web" || m.DeletionTimestamp.IsZero() {
		t.Errorf("metadata %+v", m)
	}
	if err := (cachedObject{o}).Into(&corev1.Pod{}); err == nil {
		t.Error("the object decodes")
	}
}

func TestIntoPartialMetadata(t *testing.T) {
	for name, o := range map[string]*object{"JSON": arrival(t, podKind, pod("a@1")), "protobuf": encoded(t, pod("a@1"))} {
		var partial metav1.PartialObjectMetadata
		if err := (cachedObject{o}).Into(&partial); err != nil {
			t.Fatal(err)
		}
		if partial.Kind != "Pod" || partial.APIVersion != "v1" || partial.Name != "a" || partial.Labels["app"] != "a" {
			t.Errorf("%s: %+v", name, partial)
		}
	}
}

func TestStoreOfUnstructuredObjects(t *testing.T) {
	s := newStore(widgetKind, "", storeHooks{event: func(Event) {}, replaced: func() {}, received: func() {}})
	if err := s.Add(arrival(t, widgetKind, map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "w", "managedFields": []any{map[string]any{"manager": "kubectl"}}},
		"spec":     map[string]any{"size": int64(3)},
	})); err != nil {
		t.Fatal(err)
	}
	obj, ok := s.get(Key{Name: "w"}, nil)
	if !ok {
		t.Fatal("not there")
	}
	var got unstructured.Unstructured
	if err := obj.Into(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "w"}, "spec": map[string]any{"size": int64(3)},
	}
	if diff := gocmp.Diff(want, got.Object); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestStoreRefusesWhatIsNoObject(t *testing.T) {
	j := newJournal()
	for name, err := range map[string]error{
		"add":           j.Add("text"),
		"no object":     j.Update(&metav1.Status{}),
		"delete":        j.Delete("text"),
		"within a list": j.Replace(append(pods(t, "a@1"), "text"), "1"),
	} {
		if err == nil || !strings.Contains(err.Error(), "object of kind Pod") {
			t.Errorf("%s: error %v, want one that names the kind", name, err)
		}
	}
	if j.size() != 0 || j.replaced != 0 || len(j.lines) != 0 {
		t.Errorf("%d objects, %d lists, reported %q", j.size(), j.replaced, j.lines)
	}
}

func TestStoreList(t *testing.T) {
	j := newJournal()
	other := pod("a@9")
	other.Namespace = "search"
	if err := j.Replace(append(pods(t, "a@1", "b@2"), arrival(t, podKind, other)), "9"); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		namespace, selector string
		want                []string
	}{
		"all":                        {"", "", []string{"payments/a", "payments/b", "search/a"}},
		"of a namespace":             {"payments", "", []string{"payments/a", "payments/b"}},
		"by label":                   {"", "app=a", []string{"payments/a", "search/a"}},
		"by label in a namespace":    {"search", "app in (a,b)", []string{"search/a"}},
		"nothing matches":            {"search", "app=b", nil},
		"namespace without an entry": {"other", "", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			selector, err := labels.Parse(tc.selector)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(tc.want, objectNames(j.list(tc.namespace, selector, nil))); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
		})
	}
	if got := j.list("", nil, nil); len(got) != 3 {
		t.Errorf("a nil selector selects %d objects, want 3", len(got))
	}
}

func objectNames(objects []handlers.Object) []string {
	var names []string
	for _, obj := range objects {
		names = append(names, obj.Namespace()+"/"+obj.Name())
	}
	slices.Sort(names)
	return names
}
