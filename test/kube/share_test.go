package kube_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/fields"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/test/cluster"
)

// However many definitions need it, there is one request, and it ends with the last of them.
func TestViewsShareOneWatch(t *testing.T) {
	ns := shared.Namespace(t)
	mark := shared.AuditMark(t)
	config := shared.AdminConfig()
	configMaps := countAnswered(config, "configmaps")
	c, registry := connect(t, config)
	w := kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app=web")}
	views := []*spectator{spectate(t, c, w), spectate(t, c, w), spectate(t, c, w)}
	for _, view := range views {
		view.awaitState(t, status.Running)
	}
	createConfigMap(t, shared, ns, "a", "web")
	for _, view := range views {
		view.awaitEvent(t, "changed "+ns+"/a")
	}
	if lists, _ := metric(t, registry, "kooperd_source_lists_total"); lists != 1 {
		t.Errorf("%v lists are counted, want 1", lists)
	}

	views[0].close()
	views[1].close()
	createConfigMap(t, shared, ns, "b", "web")
	views[2].awaitEvent(t, "changed "+ns+"/b")
	if cached, ok := metric(t, registry, "kooperd_source_cached_objects"); cached != 2 || !ok {
		t.Errorf("%v objects are said to be cached, want 2", cached)
	}
	if received := c.Sources.Received(); received != 2 {
		t.Errorf("%d objects are said to have arrived, want 2", received)
	}
	if got := requests(t, mark, "configmaps"); len(got) != 0 {
		t.Errorf("requests have ended while a view is open: %q", got)
	}

	views[2].close()
	views[2].takeEvents()
	for _, name := range []string{"kooperd_source_lists_total", "kooperd_source_cached_objects", "kooperd_source_state", "kooperd_source_watch_restarts_total"} {
		if _, ok := metric(t, registry, name); ok {
			t.Errorf("%s is there after the last view", name)
		}
	}
	createConfigMap(t, shared, ns, "c", "web")
	got := awaitRequests(t, mark, configMaps)
	if len(got) != 1 {
		t.Fatalf("requests %q, want one", got)
	}
	expectStreamingList(t, got[0])
	if events := views[2].takeEvents(); len(events) != 0 {
		t.Errorf("events after the end: %q", events)
	}
}

// expectStreamingList checks a request of the audit log.
func expectStreamingList(t *testing.T, request string) {
	t.Helper()
	verb, uri, _ := strings.Cut(request, " ")
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	if verb != "watch" || u.Query().Get("sendInitialEvents") != "true" || u.Query().Get("labelSelector") != "app=web" {
		t.Errorf("request %q, want a streaming list with the selector", request)
	}
}

// A view that comes later finds the cache filled, and asks for nothing.
func TestLateViewFindsAFullCache(t *testing.T) {
	ns := shared.Namespace(t)
	createConfigMap(t, shared, ns, "a", "web")
	c, registry := connect(t, shared.AdminConfig())
	w := kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app")}
	first := spectate(t, c, w)
	first.awaitState(t, status.Running)
	second := spectate(t, c, w)
	if state, _ := second.Status(); state != status.Running {
		t.Errorf("state %s at once, want Running", state)
	}
	if want := []kube.Key{{Namespace: ns, Name: "a"}}; !slices.Equal(second.Keys(), want) {
		t.Errorf("keys %v at once, want %v", second.Keys(), want)
	}
	if lists, _ := metric(t, registry, "kooperd_source_lists_total"); lists != 1 {
		t.Errorf("%v lists are counted, want 1", lists)
	}
}

// Selectors and namespaces are the API server's work: what does not match never arrives.
func TestSelectorsAndNamespaces(t *testing.T) {
	a, b, other := shared.Namespace(t), shared.Namespace(t), shared.Namespace(t)
	for _, ns := range []string{a, b, other} {
		createConfigMap(t, shared, ns, "web", "web")
		createConfigMap(t, shared, ns, "db", "db")
	}
	mark := shared.AuditMark(t)
	config := shared.AdminConfig()
	configMaps := countAnswered(config, "configmaps")
	c, _ := connect(t, config)
	view := spectate(t, c, kube.Watch{
		Kind: configMapKind, Namespaces: []string{b, a},
		LabelSelector: labelSelector(t, "app in (web)"), FieldSelector: fields.OneTermNotEqualSelector("metadata.name", "x"),
	})
	view.awaitState(t, status.Running)
	events := view.takeEvents()
	slices.Sort(events)
	want := []string{"listed " + a + "/web", "listed " + b + "/web"}
	slices.Sort(want)
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}

	labelConfigMap(t.Context(), t, a, "db", "web") // It comes into view …
	view.awaitEvent(t, "changed "+a+"/db")
	createConfigMap(t, shared, other, "new", "web")
	createConfigMap(t, shared, a, "x", "web")
	labelConfigMap(t.Context(), t, a, "db", "db") // … and goes.
	view.awaitEvent(t, "deleted "+a+"/db")
	labelConfigMap(t.Context(), t, b, "web", "db")
	view.awaitEvent(t, "deleted "+b+"/web")
	if want := []kube.Key{{Namespace: a, Name: "web"}}; !slices.Equal(view.Keys(), want) {
		t.Errorf("keys %v, want %v", view.Keys(), want)
	}
	if rest := view.takeEvents(); len(rest) != 0 {
		t.Errorf("events of what was not selected: %q", rest)
	}

	view.close()
	awaitRequests(t, mark, configMaps)
	namespaces := map[string]bool{}
	for _, e := range shared.AuditSince(t, mark, agent(t)) {
		if e.UserAgent == agent(t) && e.ObjectRef.Resource == "configmaps" {
			namespaces[e.ObjectRef.Namespace] = true
			if !strings.Contains(e.RequestURI, "fieldSelector=metadata.name%21%3Dx") {
				t.Errorf("request without the field selector: %s", e.RequestURI)
			}
		}
	}
	if want := []string{a, b}; !slices.Equal(slices.Sorted(maps.Keys(namespaces)), slices.Sorted(slices.Values(want))) {
		t.Errorf("watched namespaces %v, want %v", namespaces, want)
	}
}

// Everything that was started has ended when the last view and the cluster are closed.
func TestCloseLeavesNothing(t *testing.T) {
	ns := shared.Namespace(t)
	// A separate token keeps its connection apart from those of the test's other clients.
	config := shared.ServiceAccount(t, ns, "watcher", cluster.ClusterWide(cluster.Allow("get,list,watch", "", "configmaps,pods")))
	leaked := goleak.IgnoreCurrent()
	// A watch that is given up ends a moment later on its connection, which then is not idle yet.
	connection := goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*clientConnReadLoop).run")
	c, _ := connect(t, config)
	for range 3 {
		everything := spectate(t, c, kube.Watch{Kind: configMapKind})
		several := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns, "default", "kube-system"}})
		forbidden := spectate(t, c, kube.Watch{Kind: configMapKind.GroupVersion().WithKind("Secret")})
		absent := spectate(t, c, kube.Watch{Kind: configMapKind.GroupVersion().WithKind("Nothing")})
		everything.awaitState(t, status.Running)
		several.awaitState(t, status.Running)
		forbidden.awaitState(t, status.Degraded)
		absent.awaitState(t, status.Waiting)
		for _, view := range []*spectator{everything, several, forbidden, absent} {
			view.close()
		}
		// While the first list is under way.
		c.Sources.Watch(t.Context(), kube.Watch{Kind: configMapKind}).Close()
	}
	c.Close()
	goleak.VerifyNone(t, leaked, connection)
}

// Where it is known before that a wider watch will be there, the narrower one is a part of it, on
// which it sees what its own watch would have shown.
func TestNarrowViewOfAWideSource(t *testing.T) {
	ns := shared.Namespace(t)
	mark := shared.AuditMark(t)
	config := shared.AdminConfig()
	configMaps := countAnswered(config, "configmaps")
	c, _ := connect(t, config)
	wide := kube.Watch{Kind: configMapKind, Namespaces: []string{ns}}
	narrow := kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app=web"), MetadataOnly: true}
	c.Sources.Plan([]kube.Watch{narrow, wide})
	createConfigMap(t, shared, ns, "a", "web")
	createConfigMap(t, shared, ns, "b", "other")
	few, all := spectate(t, c, narrow), spectate(t, c, wide)
	few.awaitState(t, status.Running)
	all.awaitState(t, status.Running)
	if got := len(few.Keys()); got != 1 {
		t.Errorf("the narrow view has %d objects, want 1", got)
	}
	few.takeEvents()
	labelConfigMap(t.Context(), t, ns, "b", "web")
	few.awaitEvent(t, "changed "+ns+"/b")
	labelConfigMap(t.Context(), t, ns, "a", "other")
	few.awaitEvent(t, "deleted "+ns+"/a")
	if _, ok := few.Get(ns, "a"); ok {
		t.Error("the narrow view still has what has left it")
	}
	if _, ok := all.Get(ns, "a"); !ok {
		t.Error("the wide view has lost it, too")
	}
	all.close()
	createConfigMap(t, shared, ns, "c", "web")
	few.awaitEvent(t, "changed "+ns+"/c") // The source outlives the wide view.
	few.close()
	if got := awaitRequests(t, mark, configMaps); len(got) != 1 || strings.Contains(got[0], "labelSelector") {
		t.Errorf("requests %q, want one, for everything", got)
	}
}
