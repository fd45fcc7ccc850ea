package examples_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/jsonpath"
)

// ref is the name of an object, as in "Deployment default/home/status".
type ref struct {
	kind, namespace, name string
	subresources          []string
}

// parseRef reads the name of an object. Whether it has a namespace, the kind says.
func parseRef(text string) ref {
	kind, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(rest, "/")
	if len(parts) == 1 {
		return ref{kind: kind, name: parts[0]}
	}
	return ref{kind: kind, namespace: parts[0], name: parts[1], subresources: parts[2:]}
}

// object is how logs name it.
func (r ref) object() string {
	if r.namespace == "" {
		return r.name
	}
	return r.namespace + "/" + r.name
}

// kindTable has the resources of all kinds whose objects can be listed.
type kindTable map[string]schema.GroupVersionResource

// deprecated are kinds that the API server warns of. It makes their objects by itself.
var deprecated = []string{"ComponentStatus", "Endpoints"}

// servedKinds asks the API server. Of two kinds of one name, it has that of the first group.
func servedKinds(t *testing.T) kindTable {
	t.Helper()
	lists, err := shared.Client().Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatalf("asking which kinds are served: %v", err)
	}
	all := kindTable{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.APIResources {
			resource := &list.APIResources[i]
			if _, taken := all[resource.Kind]; !taken && slices.Contains(resource.Verbs, "list") && !slices.Contains(deprecated, resource.Kind) {
				all[resource.Kind] = gv.WithResource(resource.Name)
			}
		}
	}
	return all
}

// client is that for one object.
func (k kindTable) client(t *testing.T, r ref) dynamic.ResourceInterface {
	t.Helper()
	resource, ok := k[r.kind]
	if !ok {
		t.Fatalf("the API server does not serve kind %s", r.kind)
	}
	if r.namespace == "" {
		return shared.Dynamic().Resource(resource)
	}
	return shared.Dynamic().Resource(resource).Namespace(r.namespace)
}

// get returns an object, and whether it exists.
func (k kindTable) get(t *testing.T, name string) (*unstructured.Unstructured, bool) {
	t.Helper()
	r := parseRef(name)
	object, err := k.client(t, r).Get(t.Context(), r.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false
	}
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	return object, true
}

// marked returns the names of all objects of a kind that a label selector selects.
func (k kindTable) marked(t *testing.T, selector, kind string) (names []string) {
	t.Helper()
	list, err := k.client(t, ref{kind: kind}).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if apierrors.IsMethodNotSupported(err) || apierrors.IsNotFound(err) {
		return nil // a kind of another test, which is gone
	}
	if err != nil {
		t.Fatalf("listing objects of kind %s: %v", kind, err)
	}
	for i := range list.Items {
		object := ref{kind: kind, namespace: list.Items[i].GetNamespace(), name: list.Items[i].GetName()}
		names = append(names, kind+" "+object.object())
	}
	return names
}

// compareMarked says which objects of some kinds a label selector selects that are not wanted, or
// the other way round.
func (k kindTable) compareMarked(t *testing.T, selector string, kinds, want []string) string {
	t.Helper()
	have := map[string]bool{}
	for _, kind := range kinds {
		for _, name := range k.marked(t, selector, kind) {
			if have[name] = true; !slices.Contains(want, name) {
				return name + " is there, with the label " + selector
			}
		}
	}
	for _, name := range want {
		if !have[name] {
			return name + " is not there, with the label " + selector
		}
	}
	return ""
}

// checkMarked looks at objects of all kinds.
func (k kindTable) checkMarked(t *testing.T, selector string, want []string) {
	t.Helper()
	if why := k.compareMarked(t, selector, slices.Collect(maps.Keys(k)), want); why != "" {
		t.Errorf("of all objects of the installation: %s", why)
	}
}

// uids returns the UIDs of objects.
func (k kindTable) uids(t *testing.T, of objects) map[string]types.UID {
	t.Helper()
	all := map[string]types.UID{}
	for name := range of {
		if object, exists := k.get(t, name); exists {
			all[name] = object.GetUID()
		}
	}
	return all
}

// events returns all events as JSON.
func (k kindTable) events(t *testing.T) []string {
	t.Helper()
	list, err := k.client(t, ref{kind: "Event"}).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("listing events: %v", err)
	}
	var all []string
	for i := range list.Items {
		text, err := list.Items[i].MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// names are those of all.
func (o objects) names() []string { return slices.Collect(maps.Keys(o)) }

// compare says which field is not as it should be.
func (f fields) compare(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	for path, want := range f {
		parsed := jsonpath.New(path).AllowMissingKeys(true)
		if err := parsed.Parse(path); err != nil {
			t.Fatalf("parsing the JSONPath %s: %v", path, err)
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, object.Object); err != nil {
			return err.Error()
		}
		if text.String() != want {
			return fmt.Sprintf("%s is %q, want %q", path, text.String(), want)
		}
	}
	return ""
}

// with returns these objects and others.
func (o objects) with(others objects) objects {
	maps.Copy(o, others)
	return o
}
