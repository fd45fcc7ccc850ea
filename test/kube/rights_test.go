package kube_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/fields"

	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/test/cluster"
)

// recovery is how long a right that was granted may go unnoticed: the sources' longest pause of ten
// seconds, and much time to work, as the machine has other things to do.
const recovery = 45 * time.Second

func missingRule(where, role string) string {
	return fmt.Sprintf(`forbidden to list and watch configmaps %s; %s with this rule is missing: {apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch"]}`, where, role)
}

// A Role in one of two namespaces: the one works, the other one says what is missing, and begins
// when it is granted.
func TestRoleInOneOfTwoNamespaces(t *testing.T) {
	a, b := shared.Namespace(t), shared.Namespace(t)
	createConfigMap(t, shared, a, "seen", "web")
	createConfigMap(t, shared, b, "unseen", "web")
	rule := cluster.Allow("list,watch", "", "configmaps")
	c, _ := connect(t, shared.ServiceAccount(t, a, "watcher", cluster.InNamespace(a, rule)))
	view := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{a, b}, LabelSelector: labelSelector(t, "app")})
	_, reason := view.awaitState(t, status.Degraded)
	if want := missingRule("in namespace "+b, "a Role of namespace "+b); reason != want {
		t.Errorf("reason:\n got %s\nwant %s", reason, want)
	}
	view.awaitEvent(t, "listed "+a+"/seen")
	createConfigMap(t, shared, a, "new", "web")
	view.awaitEvent(t, "changed "+a+"/new")
	if state, _ := view.Status(); state != status.Degraded {
		t.Errorf("state %s, though one of two namespaces is forbidden", state)
	}
	view.takeStates()

	granted := time.Now()
	shared.Grant(t, a, "watcher", cluster.InNamespace(b, rule))
	running, _ := view.awaitState(t, status.Running)
	t.Logf("from the grant to Running: %s", running.Sub(granted))
	if running.Sub(granted) > recovery {
		t.Errorf("it took %s to notice, want at most %s", running.Sub(granted), recovery)
	}
	view.awaitEvent(t, "listed "+b+"/unseen")
	if states := view.takeStates(); !slices.Equal(states, []string{"Running"}) {
		t.Errorf("states after the grant: %q, want Running alone", states)
	}
}

func TestRoleIsNotEnoughForTheCluster(t *testing.T) {
	ns := shared.Namespace(t)
	rule := cluster.Allow("list,watch", "", "configmaps")
	c, _ := connect(t, shared.ServiceAccount(t, ns, "watcher", cluster.InNamespace(ns, rule)))
	view := spectate(t, c, kube.Watch{Kind: configMapKind})
	if _, reason := view.awaitState(t, status.Degraded); reason != missingRule("in all namespaces", "a ClusterRole") {
		t.Errorf("reason %s", reason)
	}
	shared.Grant(t, ns, "watcher", cluster.ClusterWide(rule))
	view.awaitState(t, status.Running)
}

// The right to list alone keeps the cache from following the API server. That is one state, not two
// in turn.
func TestListWithoutWatch(t *testing.T) {
	ns := shared.Namespace(t)
	createConfigMap(t, shared, ns, "a", "web")
	c, registry := connect(t, shared.ServiceAccount(t, ns, "lister", cluster.InNamespace(ns, cluster.Allow("list", "", "configmaps"))))
	view := spectate(t, c, kube.Watch{Kind: configMapKind, Namespaces: []string{ns}, LabelSelector: labelSelector(t, "app")})
	view.awaitState(t, status.Degraded)
	view.awaitEvent(t, "listed "+ns+"/a")
	view.takeStates()
	createConfigMap(t, shared, ns, "b", "web")
	view.awaitEvent(t, "changed "+ns+"/b") // By another list, as there is no watch.
	if restarts, _ := metric(t, registry, "kooperd_source_watch_restarts_total"); restarts != 0 {
		t.Errorf("%v watches are counted, though none can be opened", restarts)
	}
	if states := view.takeStates(); len(states) > 0 {
		t.Errorf("the state has changed to %q", states)
	}
	shared.Grant(t, ns, "lister", cluster.InNamespace(ns, cluster.Allow("watch", "", "configmaps")))
	view.awaitState(t, status.Running)
}

func TestBadToken(t *testing.T) {
	ns := shared.Namespace(t)
	config := shared.ServiceAccount(t, ns, "watcher")
	config.BearerToken = "nonsense"
	c, _ := connect(t, config)
	view := spectate(t, c, kube.Watch{Kind: configMapKind})
	if _, reason := view.awaitState(t, status.Degraded); reason != "the API server does not accept the credentials: Unauthorized" {
		t.Errorf("reason %q", reason)
	}
}

func TestBadSelector(t *testing.T) {
	c, _ := connect(t, shared.AdminConfig())
	view := spectate(t, c, kube.Watch{Kind: configMapKind, FieldSelector: fields.OneTermEqualSelector("spec.nodeName", "a")})
	want := `the API server answers: "spec.nodeName" is not a known field selector: only "metadata.name", "metadata.namespace"`
	if _, reason := view.awaitState(t, status.Degraded); reason != want {
		t.Errorf("reason %s", reason)
	}
}
