package compose_test

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/compose/parts"
)

var jobs = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}

// job is a child that finishes.
func job(name string, whenGone handlers.WhenGone) parts.Child {
	return parts.Child{Name: name, WhenGone: whenGone, Update: handlers.UpdateRecreate, Object: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": "{name}-" + name},
		"spec": map[string]any{"ttlSecondsAfterFinished": 0, "template": map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{"text": "{text}"}},
			"spec":     map[string]any{"restartPolicy": "Never", "containers": []any{map[string]any{"name": "run", "image": "run"}}},
		}},
	}}
}

// finish writes the status that the Job controller writes.
func (r *rig) finish(t *testing.T, name, condition string) {
	t.Helper()
	const at = `"2026-01-01T00:00:00Z"`
	first, end := "SuccessCriteriaMet", `, "completionTime": `+at
	if condition == "Failed" {
		first, end = "FailureTarget", ""
	}
	r.patch(t, jobs, name, `{"status": {"startTime": `+at+end+`, "conditions": [
		{"type": "`+first+`", "status": "True", "lastTransitionTime": `+at+`},
		{"type": "`+condition+`", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": `+at+`}]}}`, "status")
}

// expire deletes a Job as the TTL controller does.
func (r *rig) expire(t *testing.T, name string) {
	t.Helper()
	uid, background := r.get(t, jobs, name).GetUID(), metav1.DeletePropagationBackground
	err := shared.Dynamic().Resource(jobs).Namespace(r.namespace).Delete(t.Context(), name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, jobs, name+" to be gone", func(o objects) bool { return o[name] == nil || o[name].GetUID() != uid })
}

// noted is what the parent says about what is done.
func noted(o objects, parent string) string {
	for name, text := range o[parent].GetAnnotations() {
		if strings.HasPrefix(name, "done.") {
			return text
		}
	}
	return ""
}

// TestFinished has Jobs that are gone when they have finished: they are not run again until they
// should be other ones, also after a restart.
func TestFinished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	second := job("second", "")
	second.After = []string{"first"}
	config := func(children ...parts.Child) {
		r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
			Children: children, Owns: []parts.Owns{{APIVersion: "batch/v1", Kind: "Job"}, {APIVersion: "v1", Kind: "ConfigMap"}},
		}}})
	}
	config(job("first", ""), second, job("again", handlers.WhenGoneRecreate))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, jobs, "the first Jobs", func(o objects) bool { return o["p-first"] != nil && o["p-again"] != nil })
	r.finish(t, "p-first", "Complete")
	r.await(t, jobs, "the second Job", func(o objects) bool { return o["p-second"] != nil })
	r.await(t, things, "the note about the first", func(o objects) bool { return strings.Contains(noted(o, "p"), `"first":"v1-`) })
	p.settle(t, "p") // The status of that pass is written after the note.
	mark := shared.AuditMark(t)
	r.expire(t, "p-first")
	p.settle(t, "p")
	for _, w := range r.writes(t, mark) {
		t.Errorf("there is a write because a finished Job has gone: %s", w)
	}
	r.finish(t, "p-second", "Failed")
	r.finish(t, "p-again", "Complete")
	r.awaitCondition(t, "p", "p-second", "failed")
	uid := r.get(t, jobs, "p-again").GetUID()
	r.expire(t, "p-second")
	r.expire(t, "p-again")
	r.await(t, jobs, "the Job that is to run again", func(o objects) bool { return o["p-again"] != nil && o["p-again"].GetUID() != uid })
	p.settle(t, "p")
	p.kill9(t)
	mark = shared.AuditMark(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "after a restart")
	if all := r.list(t, jobs); all["p-first"] != nil || all["p-second"] != nil {
		t.Errorf("there are %q", all.names())
	}
	if status, _, message := conditionOf(r.get(t, things, "p"), "Ready"); status != "False" || !strings.Contains(message, "p-second") {
		t.Errorf("the parent is ready: %q, %q", status, message)
	}

	// What should be another one is run.
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, jobs, "the first Job of the change", func(o objects) bool { return o["p-first"] != nil })
	r.finish(t, "p-first", "Complete")
	r.await(t, jobs, "the second Job of the change", func(o objects) bool { return o["p-second"] != nil })
	r.finish(t, "p-second", "Complete")
	r.await(t, jobs, "the changed one that runs again", func(o objects) bool {
		return o.text("p-again", "spec", "template", "metadata", "annotations", "text") == "y"
	})
	r.finish(t, "p-again", "Complete")
	r.ready(t, "p")
	r.expire(t, "p-first")
	r.expire(t, "p-second")
	p.settle(t, "p")
	r.ready(t, "p")

	// What is not wanted any more is not remembered.
	config(configMap("a"))
	p.reload(t)
	r.await(t, things, "the note to go", func(o objects) bool { return noted(o, "p") == "" })
	r.ready(t, "p")
}

// TestFinishedUnseen has a Job that has finished and is gone before any pass has seen it so.
func TestFinishedUnseen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{job("first", "")}, Owns: []parts.Owns{{APIVersion: "batch/v1", Kind: "Job"}},
	}}})
	r.start(t)
	r.thing(t, "p", "x")
	r.await(t, jobs, "the Job", func(o objects) bool { return o["p-first"] != nil })
	r.patch(t, jobs, "p-first", `{"metadata": {"finalizers": null}}`)
	r.finish(t, "p-first", "Complete")
	r.expire(t, "p-first")
	r.await(t, things, "the note", func(o objects) bool { return strings.Contains(noted(o, "p"), "first") })
	r.ready(t, "p")
	if all := r.list(t, jobs); all["p-first"] != nil {
		t.Error("it is run again")
	}
}

// TestRightsOfFinished gives kooperd the rights that it prints for Jobs: it takes all of them, and
// no others.
func TestRightsOfFinished(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{job("first", "")}, Owns: []parts.Owns{{APIVersion: "batch/v1", Kind: "Job"}},
	}}})
	rights := r.printed(t)
	r.grant(t, rights...)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, jobs, "the Job", func(o objects) bool { return o["p-first"] != nil })
	r.patch(t, jobs, "p-first", `{"metadata": {"labels": {"kooperd.dev/installation": null}}}`)
	r.await(t, jobs, "the mark", func(o objects) bool { return o["p-first"].GetLabels()[installationLabel] != "" })
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, jobs, "the next Job", func(o objects) bool {
		return o.text("p-first", "spec", "template", "metadata", "annotations", "text") == "y"
	})
	r.finish(t, "p-first", "Complete")
	r.await(t, things, "the note", func(o objects) bool { return noted(o, "p") != "" })
	r.ready(t, "p")
	r.expire(t, "p-first")
	p.settle(t, "p")
	if status := p.Stop(t); status != 0 {
		t.Errorf("exit status is %d, want 0", status)
	}
	for i := range rights {
		rights[i].Rules = slices.DeleteFunc(rights[i].Rules, func(rule rbacv1.PolicyRule) bool {
			return !slices.Contains([]string{"batch", "demo.kooperd.dev"}, rule.APIGroups[0])
		})
	}
	checkRights(t, r, rights)
}
