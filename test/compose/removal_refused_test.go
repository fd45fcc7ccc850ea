package compose_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOnRemoveOfAChildThatIsRefused removes a definition while a policy refuses the deletion of its
// first child. That keeps the finalizer of its own parent, and nothing else, until the policy is
// gone.
func TestOnRemoveOfAChildThatIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	d := r.selecting("selected", other.namespace)
	d.settings["onRemove"] = "delete"
	r.defineAll(t, map[string]definition{definitionName: d, "bystander": r.bystander()})
	p := r.start(t)
	r.selected(t, "p")
	r.selected(t, "q")
	lift := shared.Deny(t, r.namespace, "deletions", "configmaps", `"DELETE"`,
		`{expression: "oldObject.metadata.name != 'p-a'", message: "not today"}`)
	r.soon(t, "the policy", func() bool {
		all := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
		return shared.Client().CoreV1().ConfigMaps(r.namespace).Delete(t.Context(), "p-a", all) != nil
	})
	r.removed = []string{definitionName}
	r.defineAll(t, map[string]definition{"bystander": r.bystander()})
	p.reload(t)
	p.AwaitLog(t, "not all that a definition has left behind could be removed")
	r.await(t, things, "the finalizer of the other parent to go", func(o objects) bool { return len(o["q"].GetFinalizers()) == 0 })
	here, there := r.list(t, configMaps), other.list(t, configMaps)
	if here["p-a"] == nil || here["q-a"] != nil || there["p-b"] != nil || there["q-b"] != nil {
		t.Errorf("there are %v and %v", here.names(), there.names())
	}
	if n := len(r.list(t, things)["p"].GetFinalizers()); n != 1 {
		t.Errorf("the parent of the child that is refused has %d finalizers", n)
	}
	lift()
	p.AwaitLog(t, "a definition does not handle these objects any more")
	r.await(t, things, "the finalizer to go", func(o objects) bool { return len(o["p"].GetFinalizers()) == 0 })
	if here := r.list(t, configMaps); here["p-a"] != nil {
		t.Error("the child is there when its deletion is not refused any more")
	}
}
