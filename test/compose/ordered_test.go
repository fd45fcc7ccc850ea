package compose_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestDeletionInOrder deletes a parent whose children go in order, and restarts in the middle. The
// order is that of the children, whatever the composer would say.
func TestDeletionInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second, third := configMap("first"), configMap("second"), configMap("third")
	second.After, third.After = []string{"first"}, []string{"second"}
	d := definition{Config: parts.Config{Children: []parts.Child{first, second, third, configMap("apart")}, Ordered: true}}
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	parent := r.thing(t, "p", "x")
	r.ready(t, "p")
	if finalizers := r.get(t, things, "p").GetFinalizers(); len(finalizers) != 1 {
		t.Errorf("finalizers %q, want one of kooperd", finalizers)
	}
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "while nothing changes")

	const wait = `{"metadata": {"finalizers": ["example.com/wait"]}}`
	r.patch(t, configMaps, "p-third", wait)
	r.patch(t, configMaps, "p-second", wait)
	r.remove(t, things, "p")
	r.awaitCondition(t, "p", "p-third", "example.com/wait")
	all := r.await(t, configMaps, "what comes after nothing to go", func(o objects) bool {
		return o["p-apart"] == nil && o["p-third"].GetDeletionTimestamp() != nil
	})
	for _, name := range []string{"p-first", "p-second"} {
		if all[name] == nil || all[name].GetDeletionTimestamp() != nil {
			t.Errorf("%s goes before what comes after it", name)
		}
	}
	r.await(t, configMaps, "the event", func(objects) bool {
		return strings.Contains(strings.Join(r.eventsOf(t, parent, "Deleting"), ""), "ConfigMap "+r.namespace+"/p-third is being deleted and waits for finalizer example.com/wait")
	})

	p.kill9(t)
	d.Config.Children, d.Config.Fail = nil, "unknown"
	r.defineAll(t, map[string]definition{definitionName: d})
	r.start(t)
	r.patch(t, configMaps, "p-third", `{"metadata": {"finalizers": null}}`)
	r.awaitCondition(t, "p", "p-second", "example.com/wait")
	if all := r.list(t, configMaps); all["p-first"] == nil || all["p-first"].GetDeletionTimestamp() != nil || all["p-third"] != nil {
		t.Errorf("there are %q, want the first and the second", all.names())
	}
	r.patch(t, configMaps, "p-second", `{"metadata": {"finalizers": null}}`)
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	if all := r.list(t, configMaps); all["p-first"] != nil {
		t.Error("the parent has gone before its first child")
	}
	var got []string
	for _, w := range r.writes(t, mark) {
		if w.verb == "delete" && w.name != "p-apart" {
			got = append(got, w.name)
		}
	}
	if diff := gocmp.Diff([]string{"p-third", "p-second", "p-first"}, got); diff != "" {
		t.Errorf("deletes (-want +got):\n%s", diff)
	}
}

// TestDeletionInOrderInTheForeground deletes such a parent so that the garbage collector deletes
// its children first: it does so in no order, and nothing waits for the other for ever.
func TestDeletionInOrderInTheForeground(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, second := configMap("first"), configMap("second")
	second.After = []string{"first"}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: []parts.Child{first, second}, Ordered: true}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "q", "x")
	r.ready(t, "p")
	r.ready(t, "q")
	foreground := metav1.DeletePropagationForeground
	err := shared.Dynamic().Resource(things).Namespace(r.namespace).Delete(t.Context(), "p", metav1.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	r.await(t, configMaps, "the children to go", func(o objects) bool { return o["p-first"] == nil && o["p-second"] == nil })
	p.settle(t, "q")
	if all := r.list(t, configMaps); all["q-first"] == nil || all["q-second"] == nil || all["p-first"] != nil || all["p-second"] != nil {
		t.Errorf("there are %q, want the children of the other parent", all.names())
	}
}
