package compose_test

import (
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWebhookAndTheGarbageCollector deletes parents with a finalize hook that wants no children any
// more, or still wants them, so that what depends on the parents stays, or goes at once.
func TestWebhookAndTheGarbageCollector(t *testing.T) {
	t.Parallel()
	if !conformance {
		t.Skip("it takes longer; TestFinalizingKeepsDependents of pkg/compose has the same")
	}
	r, s := newRig(t), newHookService(t)
	s.answer("p", func(_ http.ResponseWriter, _ *http.Request, call hookCall) any {
		answer := pageOf(call)
		if call.hook != "finalize" {
			return answer
		}
		if call.parent().GetName() == "orphaned" {
			answer["children"] = []any{}
		}
		answer["finalized"] = len(call.group("children", "ConfigMap.v1")) == 0
		return answer
	})
	r.defineAll(t, map[string]definition{"p": s.hooked(r, "p", map[string]any{"finalize": s.endpoint("p", "finalize")})})
	r.start(t)
	client := shared.Dynamic().Resource(things).Namespace(r.namespace)
	for name, propagation := range map[string]metav1.DeletionPropagation{
		"orphaned": metav1.DeletePropagationOrphan, "foreground": metav1.DeletePropagationForeground,
	} {
		r.hookParent(t, "p", name, "x")
		r.page(t, name, "x")
		r.ready(t, name)
		before := r.get(t, configMaps, name+"-page")
		if err := client.Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &propagation}); err != nil {
			t.Fatal(err)
		}
		r.await(t, things, "the end of "+name, func(o objects) bool { return o[name] == nil })
		if s.called("p", "finalize", name) == 0 {
			t.Errorf("%s: finalize was not called", name)
		}
		after := r.list(t, configMaps)[name+"-page"]
		switch {
		case name == "foreground" && after != nil:
			t.Errorf("%s: the child is there: %v", name, after)
		case name == "orphaned" && (after == nil || after.GetUID() != before.GetUID() || len(after.GetOwnerReferences()) > 0 || after.GetDeletionTimestamp() != nil):
			t.Errorf("%s: the child is not as it was, without an owner: %v", name, after)
		}
	}
}
