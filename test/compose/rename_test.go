package compose_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestRename gives a definition another name, with a reload or while no process runs: it goes on
// with the same children, with one apply of each. What it does not want any more goes, also of a
// kind that it has not owned since, and so does the finalizer of before.
func TestRename(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "reload", true: "restart"}[restart], func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			far := shared.Namespace(t)
			away := configMap("away") // It needs a finalizer.
			away.Object["metadata"] = map[string]any{"name": "{name}-away", "namespace": far}
			secret := parts.Child{Name: "secret", Object: map[string]any{
				"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "{name}-secret"},
			}}
			of := func(name string, settings map[string]any, owns []string, children ...parts.Child) {
				config := parts.Config{Children: children}
				for _, kind := range owns {
					config.Owns = append(config.Owns, parts.Owns{APIVersion: "v1", Kind: kind, AnyNamespace: kind == "ConfigMap"})
				}
				r.defineAll(t, map[string]definition{name: {Config: config, settings: settings}})
			}
			of("before", nil, []string{"ConfigMap", "Secret"}, configMap("a"), configMap("b"), configMap("gone"), away, secret)
			p := r.start(t)
			for _, name := range []string{"p", "q"} {
				r.thing(t, name, "x")
				r.ready(t, name)
			}
			before := r.list(t, configMaps)
			if restart {
				p.Stop(t)
			}

			mark := shared.AuditMark(t)
			of("after", map[string]any{"formerly": []string{"before"}}, []string{"ConfigMap"}, configMap("a"), configMap("b"), away)
			if restart {
				p = r.start(t)
			} else {
				p.reload(t)
			}
			r.await(t, configMaps, "the children of the new name alone", func(o objects) bool {
				return o["p-gone"] == nil && o["q-gone"] == nil && o["p-a"].GetLabels()[definitionLabel] == "after" && o["q-b"].GetLabels()[definitionLabel] == "after"
			})
			r.await(t, secrets, "the secrets gone", func(o objects) bool { return o["p-secret"] == nil && o["q-secret"] == nil })
			r.await(t, things, "the finalizer of the new name alone", func(o objects) bool {
				return len(o["p"].GetFinalizers()) == 1 && finalizerOf(o["p"].GetFinalizers()) == "after" && finalizerOf(o["q"].GetFinalizers()) == "after"
			})
			p.settle(t, "p")
			p.settle(t, "q")
			writes := r.writes(t, mark)
			now := r.list(t, configMaps)
			for _, name := range []string{"p-a", "p-b", "q-a", "q-b"} {
				if now[name].GetUID() != before[name].GetUID() {
					t.Errorf("%s is another object", name)
				}
				if n := len(slices.DeleteFunc(slices.Clone(writes), func(s sent) bool { return s.name != name })); n != 1 {
					t.Errorf("%s has taken %d writes, want one apply: %v", name, n, writes)
				}
			}

			// The finalizer works.
			r.remove(t, things, "p")
			r.await(t, things, "the parent gone", func(o objects) bool { return o["p"] == nil })
			list, err := shared.Dynamic().Resource(configMaps).Namespace(far).List(t.Context(), metav1.ListOptions{LabelSelector: definitionLabel})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != 1 || list.Items[0].GetName() != "q-away" {
				t.Errorf("in the other namespace there are %d children, want that of q alone", len(list.Items))
			}
			records, err := shared.Client().CoreV1().ConfigMaps(r.leases).Get(t.Context(), leaseName+"-definitions", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, left := records.Data["before"]; left || records.Data["after"] == "" {
				t.Errorf("recorded is %v, want the new name alone", records.Data)
			}
		})
	}
}

// finalizerOf is the id in the finalizer of a definition.
func finalizerOf(finalizers []string) string {
	for _, name := range finalizers {
		var installation, id string
		if n, _ := fmt.Sscanf(name, "%17s.kooperd.dev/%s", &installation, &id); n == 2 {
			return id
		}
	}
	return ""
}

// TestKeptID gives a definition another name and its old id: nothing is written.
func TestKeptID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := parts.Config{Children: []parts.Child{configMap("a")}}
	r.defineAll(t, map[string]definition{"before": {Config: config}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	r.defineAll(t, map[string]definition{"after": {Config: config, settings: map[string]any{"id": "before"}}})
	p.reload(t)
	p.Await(t, "a call under the new name", func() bool {
		return r.record.has(t, func(c parts.Call) bool { return c.Definition == "after" && c.Object == "p" })
	})
	p.settle(t, "p")
	for _, w := range r.writes(t, mark) {
		if w.resource == "configmaps" {
			t.Errorf("there is a write: %v", w)
		}
	}
}

// TestRenameAfterFinished gives a definition another name whose Job has finished and is gone: it is
// not run again.
func TestRenameAfterFinished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := parts.Config{Children: []parts.Child{job("run", "")}, Owns: []parts.Owns{{APIVersion: "batch/v1", Kind: "Job"}}}
	r.defineAll(t, map[string]definition{"before": {Config: config}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, jobs, "the Job", func(o objects) bool { return o["p-run"] != nil })
	r.finish(t, "p-run", "Complete")
	r.await(t, things, "the note of the Job", func(o objects) bool { return noted(o, "p") != "" })
	r.expire(t, "p-run")
	p.settle(t, "p")

	mark := shared.AuditMark(t)
	r.defineAll(t, map[string]definition{"after": {Config: config, settings: map[string]any{"formerly": []string{"before"}}}})
	p.reload(t)
	r.await(t, things, "the note under the new name alone", func(o objects) bool {
		names := slices.DeleteFunc(slices.Collect(maps.Keys(o["p"].GetAnnotations())), func(name string) bool { return !strings.HasPrefix(name, "done.") })
		return len(names) == 1 && strings.HasSuffix(names[0], "after")
	})
	p.settle(t, "p")
	if made := slices.DeleteFunc(r.writes(t, mark), func(s sent) bool { return s.resource != "jobs" }); len(made) > 0 {
		t.Errorf("the Job is run again: %v", made)
	}
}
