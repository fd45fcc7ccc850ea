package compose_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/compose/parts"
)

// createManager is the field manager of what children leave to others.
const createManager = "kooperd-create"

// server is a child that is a Deployment of so many replicas; 0 stands for none said.
func server(replicas int, ignore ...string) parts.Child {
	child := deployment("")
	labels := map[string]any{"app": "{name}"}
	spec := child.Object["spec"].(map[string]any)
	spec["selector"] = map[string]any{"matchLabels": labels}
	spec["template"].(map[string]any)["metadata"] = map[string]any{"labels": labels, "annotations": map[string]any{"text": "{text}"}}
	if child.Ignore = ignore; replicas > 0 {
		spec["replicas"] = replicas
	}
	return child
}

func serverConfig(child parts.Child) map[string]definition {
	return map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{child}, Owns: []parts.Owns{{APIVersion: "apps/v1", Kind: "Deployment"}},
	}}}
}

// scale sets the replicas of a Deployment as an autoscaler does.
func (r *rig) scale(t *testing.T, name string, n int) {
	t.Helper()
	r.patch(t, deployments, name, fmt.Sprintf(`{"spec": {"replicas": %d}}`, n), "scale")
}

// owner is the field manager of a field of an object, with the operation.
func owner(t *testing.T, object *unstructured.Unstructured, path ...string) (managers []string) {
	t.Helper()
	at := stored{Metadata: metav1.ObjectMeta{ManagedFields: object.GetManagedFields()}}
	for _, e := range object.GetManagedFields() {
		if e.Subresource == "" && at.owns(t, e.Manager, e.Operation, path...) || e.Subresource == "scale" && path[len(path)-1] == "f:replicas" {
			managers = append(managers, e.Manager+" "+string(e.Operation))
		}
	}
	return managers
}

// replicasSeen are the replicas that a Deployment has had, one after the other, when the returned
// function is called.
func (r *rig) replicasSeen(t *testing.T, name string) (end func() []int64) {
	t.Helper()
	const last = "example.com/last"
	before := r.get(t, deployments, name)
	events, err := shared.Dynamic().Resource(deployments).Namespace(r.namespace).Watch(t.Context(), metav1.ListOptions{
		ResourceVersion: before.GetResourceVersion(), FieldSelector: "metadata.name=" + name,
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var seen []int64
	running.Go(func() {
		for event := range events.ResultChan() {
			object, ok := event.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			if n, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas"); len(seen) == 0 || seen[len(seen)-1] != n {
				seen = append(seen, n)
			}
			if _, ok := object.GetAnnotations()[last]; ok {
				return
			}
		}
	})
	return func() []int64 {
		r.patch(t, deployments, name, `{"metadata": {"annotations": {"`+last+`": ""}}}`)
		running.Wait()
		events.Stop()
		return seen
	}
}

// TestIgnore leaves the replicas to an autoscaler from the start.
func TestIgnore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, serverConfig(server(3, "spec.replicas")))
	p := r.start(t)
	mark := shared.AuditMark(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	made := r.get(t, deployments, "p-d")
	if n, _, _ := unstructured.NestedInt64(made.Object, "spec", "replicas"); n != 3 {
		t.Errorf("it has %d replicas, want those it was to begin with", n)
	}
	if got := fmt.Sprint(owner(t, made, "f:spec", "f:replicas")); got != "["+createManager+" Update]" {
		t.Errorf("the replicas are those of %s", got)
	}
	p.settle(t, "p")
	r.onlyWrites(t, mark, "patch deployments p-d: 201", "patch deployments p-d: 200", "patch things/status p: 200")
	r.scale(t, "p-d", 5)
	p.settle(t, "p")
	has := func(n int64, text string) func(o objects) bool {
		return func(o objects) bool {
			have, _, _ := unstructured.NestedInt64(o["p-d"].Object, "spec", "replicas")
			return have == n && o.text("p-d", "spec", "template", "metadata", "annotations", "text") == text
		}
	}
	r.await(t, deployments, "the scaled one", has(5, "x"))
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, deployments, "the change, and the replicas as they are", has(5, "y"))
	p.settle(t, "p")
	p.kill9(t)
	r.scale(t, "p-d", 7)
	mark = shared.AuditMark(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "after a restart")
	r.await(t, deployments, "the scaled one", has(7, "y"))
}

// TestIgnoreLater leaves a field to others that a child has set.
func TestIgnoreLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, decorated("a"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	child := decorated("a")
	child.Ignore = []string{"data.text", "metadata.labels.app", `metadata.annotations["note"]`}
	r.define(t, child)
	p.reload(t)
	theirs := func(path ...string) func(o objects) bool {
		return func(o objects) bool { return fmt.Sprint(owner(t, o["p-a"], path...)) == "["+createManager+" Update]" }
	}
	now := r.await(t, configMaps, "the field to be left", theirs("f:data", "f:text"))
	for _, path := range [][]string{{"f:metadata", "f:labels", "f:app"}, {"f:metadata", "f:annotations", "f:note"}} {
		if !theirs(path...)(now) {
			t.Errorf("%q is that of %s", path, owner(t, now["p-a"], path...))
		}
	}
	if now.text("p-a", "data", "text") != "x" || now["p-a"].GetLabels()["app"] != "web" {
		t.Errorf("the values have changed: %s", now.show())
	}
	p.settle(t, "p")
	theirs2 := r.patch(t, configMaps, "p-a", `{"data": {"text": "theirs"}, "metadata": {"labels": {"app": null}}}`)
	p.settle(t, "p")
	r.untouched(t, configMaps, theirs2)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	p.settle(t, "p")
	r.untouched(t, configMaps, theirs2)

	// Not left any more, it is the child's again.
	r.define(t, decorated("a"))
	p.reload(t)
	r.await(t, configMaps, "the value of the child", func(o objects) bool {
		return o.text("p-a", "data", "text") == "y" && o["p-a"].GetLabels()["app"] == "web"
	})
}

// TestReplicasAreHandedOver takes the replicas out of a child: those there are stay, without a
// moment of one replica, whether they are ours or an autoscaler's.
func TestReplicasAreHandedOver(t *testing.T) {
	t.Parallel()
	for name, scaled := range map[string]int{"ours": 0, "scaled": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.defineAll(t, serverConfig(server(3)))
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			p.Stop(t)
			want := int64(3)
			if scaled > 0 {
				r.scale(t, "p-d", scaled)
				want = int64(scaled)
			}
			end := r.replicasSeen(t, "p-d")
			r.defineAll(t, serverConfig(server(0)))
			r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
			p = r.start(t)
			r.await(t, deployments, "the change", func(o objects) bool {
				return o.text("p-d", "spec", "template", "metadata", "annotations", "text") == "y"
			})
			r.ready(t, "p")
			if seen := end(); fmt.Sprint(seen) != fmt.Sprint([]int64{want}) {
				t.Errorf("the replicas were %v, want %d all the time", seen, want)
			}
			p.settle(t, "p")
			r.scale(t, "p-d", 7)
			mark := shared.AuditMark(t)
			p.settle(t, "p")
			r.noWrites(t, mark, "after the next scale")
		})
	}
}

// TestCreateOnly has a child with a password that is made once.
func TestCreateOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := parts.Child{Name: "s", Update: handlers.UpdateCreateOnly, Generate: "stringData.password", Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "{name}-s", "labels": map[string]any{"app": "web"}},
		"stringData": map[string]any{"user": "{text}"},
	}}
	define := func() {
		r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
			Children: []parts.Child{child}, Owns: []parts.Owns{{APIVersion: "v1", Kind: "Secret"}},
		}}})
	}
	define()
	p := r.start(t)
	mark := shared.AuditMark(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	r.onlyWrites(t, mark, "patch secrets p-s: 201", "patch things/status p: 200")
	made := r.get(t, secrets, "p-s")
	password := objects{"p-s": made}.text("p-s", "data", "password")
	if password == "" || (objects{"p-s": made}).text("p-s", "data", "user") != "eA==" {
		t.Fatalf("it has %v", made.Object["data"])
	}

	// Nothing changes it: neither its parent, nor its definition, nor a restart, nor kooperd what
	// others change.
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	p.settle(t, "p")
	r.untouched(t, secrets, made)
	child.Object["metadata"].(map[string]any)["labels"] = map[string]any{"app": "other"}
	define()
	p.reload(t)
	p.settle(t, "p")
	p.kill9(t)
	p = r.start(t)
	p.settle(t, "p")
	r.untouched(t, secrets, made)
	drifted := r.patch(t, secrets, "p-s", `{"data": {"user": "dGhlaXJz"}, "metadata": {"labels": {"app": null}}}`)
	p.settle(t, "p")
	r.untouched(t, secrets, drifted)

	// But the marks are kept.
	r.patch(t, secrets, "p-s", `{"metadata": {"labels": {"kooperd.dev/definition": null}}}`)
	now := r.await(t, secrets, "the mark", func(o objects) bool { return o["p-s"].GetLabels()[definitionLabel] == definitionName })
	if now.text("p-s", "data", "user") != "dGhlaXJz" || now.text("p-s", "data", "password") != password || now["p-s"].GetLabels()["app"] != "" {
		t.Errorf("the Secret has changed: %v, labels %v", now["p-s"].Object["data"], now["p-s"].GetLabels())
	}
	p.settle(t, "p")
	mark = shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "once the mark is right")

	// Deleted, it is another one.
	r.remove(t, secrets, "p-s")
	now = r.await(t, secrets, "the next one", func(o objects) bool { return o["p-s"] != nil })
	if again := now.text("p-s", "data", "password"); again == "" || again == password {
		t.Errorf("the next password is the same: %t", again == password)
	}
	r.ready(t, "p")
}

// TestGeneratedValuesAreNotTold has a generated value that the API server refuses, and quotes.
func TestGeneratedValuesAreNotTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := configMap("a")
	child.Update, child.Generate = handlers.UpdateCreateOnly, "metadata.labels.password"
	r.define(t, child)
	p := r.start(t)
	parent := r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "p-a", "metadata.labels")
	p.settle(t, "p")
	for _, text := range append(r.eventsOf(t, parent, ""), objects{"p": r.get(t, things, "p")}.show()) {
		if strings.Contains(text, parts.Generated) {
			t.Errorf("it is told: %s", text)
		}
	}
	if lines := p.Lines(parts.Generated); len(lines) > 0 {
		t.Errorf("it is logged: %s", lines[0])
	}
}
