package kinds_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Each version of a group is asked once, and one that is broken does not harm the others.
func TestCustomKinds(t *testing.T) {
	const document = `{"components": {"schemas": {"a": {"type": "object", "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "%s"}],
		"properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}}`
	answers := map[string]string{
		"/openapi/v3/apis/example.com/v1": fmt.Sprintf(document, "Widget"),
		"/openapi/v3/apis/broken.com/v1":  `{"components": `,
		"/apis/example.com/v1": `{"kind": "APIResourceList", "groupVersion": "example.com/v1", "resources": [
			{"name": "widgets", "kind": "Widget", "verbs": ["get", "list", "watch"]}]}`,
	}
	var mu sync.Mutex
	asked := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		if strings.Contains(r.URL.Path, "hidden.com") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	client, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	d := kinds.NewDiscovery(client)
	defer d.Close()
	var wanted []schema.GroupVersionKind
	for _, group := range []string{"example.com", "broken.com", "hidden.com", "nowhere.com"} {
		for _, kind := range []string{"Widget", "Widget", "Other"} {
			wanted = append(wanted, schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind})
		}
	}
	found, failed, err := d.CustomKinds(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	widget, ok := found.Find(widgetKind)
	if !ok || len(found) != 1 || widget.Namespaced {
		t.Errorf("found %v", found)
	}
	if err := expression.Find(widget.Type, expression.Path{"spec", "sise"}); err == nil {
		t.Error("its schema is not known")
	}
	var failures []string
	for gv := range failed {
		failures = append(failures, gv.String())
	}
	slices.Sort(failures)
	if diff := cmp.Diff([]string{"broken.com/v1", "hidden.com/v1"}, failures); diff != "" {
		t.Errorf("failed (-want +have):\n%s", diff)
	}
	for path, n := range maps.All(asked) {
		if n != 1 {
			t.Errorf("%s was asked for %d times", path, n)
		}
	}
}
