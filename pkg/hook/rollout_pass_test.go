package hook_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/hook"
)

// pass takes steps with one status of the parent until nothing changes any more, as one call for a
// parent does, and then keeps the status. It returns the Deployments that were written.
func (w *world) pass() (written []string) {
	w.t.Helper()
	for range 8 {
		step := w.step()
		if len(step) == 0 {
			break
		}
		written = append(written, slices.DeleteFunc(step, func(name string) bool { return !strings.HasPrefix(name, "Deployment") })...)
	}
	status, _ := w.last.Status.(map[string]any)
	w.status = (&unstructured.Unstructured{Object: status}).DeepCopy().Object
	return written
}

// TestRolloutOncePerPass moves one child in a call for the parent, however often the composer is
// asked in it, though the checks hold all the time.
func TestRolloutOncePerPass(t *testing.T) {
	w := newWorld(t, rolling(hook.StatusCheck{Type: "Available", Status: "True"}))
	w.settle = func(_ string, u *unstructured.Unstructured) { // As of before the change.
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "True"}}}
	}
	w.parent = `{image: a, replicas: 3}`
	w.pass()
	w.parent = `{image: b, replicas: 3}`
	for _, want := range []string{"Deployment.apps/s0", "Deployment.apps/s1", "Deployment.apps/s2"} {
		if written := w.pass(); !slices.Equal(written, []string{want}) {
			t.Errorf("written in one call: %v, want %s", written, want)
		}
		if want != "Deployment.apps/s2" && w.last.RequeueAfter.Seconds() != 1 {
			t.Errorf("the next call comes after %s, want 1s", w.last.RequeueAfter)
		}
	}
	if written := w.pass(); len(written) > 0 || w.condition() != onLatest {
		t.Errorf("at the end %v is written, and the condition is %s", written, w.condition())
	}
	w.parent = `{image: c, replicas: 4}` // A new child has to be there first.
	if written := w.pass(); !slices.Equal(written, []string{"Deployment.apps/s3"}) {
		t.Errorf("written in one call: %v, want s3", written)
	}
	if written := w.pass(); !slices.Equal(written, []string{"Deployment.apps/s0"}) {
		t.Errorf("written in one call: %v, want s0", written)
	}
}
