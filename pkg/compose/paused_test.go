package compose

import (
	"net/http"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

func (r *rig) annotateWebsite(name, value string) {
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(name, value))
	})
	r.sync()
}

func TestPausedParentIsLeftAlone(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1), "data": "1"})
	r.mustPass(t, "web")
	r.sync()
	r.annotateWebsite(PausedAnnotation, "true")
	r.setSpec("web", map[string]any{"children": names(3), "data": "2"})
	r.server.do(func(c *cluster) { c.edit(idOf(configMapKind, "team-a", "web-a"), "kubectl", withData("data", "x")) })
	r.sync()
	r.asked()
	for range 3 {
		r.mustPass(t, "web")
		r.sync()
	}
	if got := r.asked(); !slices.Equal(got, []string{statusPath}) {
		t.Errorf("while it is paused, requests %v, want one for the status", got)
	}
	if status, reason, _ := r.conditionOf("web", conditionPaused); status != "True" || reason != reasonAnnotation {
		t.Errorf("the condition Paused is %s %s", status, reason)
	}
	if status, _, _ := r.conditionOf("web", conditionReady); status != "True" {
		t.Errorf("Ready has become %s", status)
	}
	if n := metricOf(t, r, "kooperd_compose_paused_parents", definition); n != 1 {
		t.Errorf("%v parents are paused", n)
	}
	r.annotateWebsite(PausedAnnotation, "false")
	r.mustPass(t, "web")
	if status, _, _ := r.conditionOf("web", conditionPaused); status != "" || r.childrenOf("web") != 3 {
		t.Errorf("after the pause, Paused is %q, and there are %d children", status, r.childrenOf("web"))
	}
	if n := metricOf(t, r, "kooperd_compose_paused_parents", definition); n != 0 {
		t.Errorf("%v parents are paused", n)
	}
	r.sync()
	r.annotateWebsite(PausedAnnotation, "true")
	r.mustPass(t, "web")
	r.Pause()
	if n := metricOf(t, r, "kooperd_compose_paused_parents", definition); n != 0 {
		t.Errorf("on a standby, %v parents are paused", n)
	}
}

// terminating answers as the API server does for a namespace that is being deleted.
func (r *rig) terminating(namespace string) {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		_, id, _, ok := idIn(asked.path)
		if !ok || asked.method != http.MethodPatch || id.Namespace != namespace || r.server.cluster.objects[id] != nil {
			return false
		}
		err := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, id.Name, errDamaged)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: "NamespaceTerminating", Field: "metadata.namespace"}}
		sendError(w, err)
		return true
	}
}

func TestOneTryInANamespaceThatIsBeingDeleted(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(2), "data": "1"})
	r.mustPass(t, "web")
	r.sync()
	r.terminating("team-a")
	r.asked()
	for _, name := range []string{"web-a", "web-b", "web-b"} {
		r.server.do(func(c *cluster) { delete(c.objects, idOf(configMapKind, "team-a", name)) })
		r.sync()
		if result := r.mustPass(t, "web"); result.RequeueAfter != 0 {
			t.Errorf("another try is to be after %s", result.RequeueAfter)
		}
		r.sync()
	}
	want := []string{"PATCH " + configMapPath("web-a")}
	if got := slices.DeleteFunc(r.asked(), func(asked string) bool { return asked == statusPath }); !slices.Equal(got, want) {
		t.Errorf("requests %v, want %v", got, want)
	}
	for _, kind := range []string{conditionReady, conditionDegraded} {
		if _, reason, message := r.conditionOf("web", kind); reason != "NamespaceTerminating" || message != "ConfigMap team-a/web-a: its namespace is being deleted" {
			t.Errorf("%s has %s: %s", kind, reason, message)
		}
	}
	if events := r.recorded(); len(events) > 0 {
		t.Errorf("events %v", events)
	}
}

// TestNamespaceThatComesBack has a child in another namespace than its parent.
func TestNamespaceThatComesBack(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	child := handlers.Child{Object: untyped(configMapKind, "team-b", "one", nil)}
	r := newRig(t, rigOptions{composer: composerOf(func(string) handlers.Child { return child })})
	r.now = func() time.Time { return at }
	r.newWebsite("web", map[string]any{})
	r.terminating("team-b")
	for range 3 {
		if result := r.mustPass(t, "web"); result.RequeueAfter != terminatingInterval {
			t.Errorf("the next try is after %s, want %s", result.RequeueAfter, terminatingInterval)
		}
		r.sync()
	}
	if events := r.recorded(); len(events) != 1 {
		t.Errorf("events %v, want one", events)
	}
	r.terminating("team-c")
	at = at.Add(terminatingInterval)
	r.mustPass(t, "web")
	if status, _, _ := r.conditionOf("web", conditionReady); status != "True" {
		t.Errorf("when the namespace is there again, Ready is %s", status)
	}
}
