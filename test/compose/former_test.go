package compose_test

import (
	"slices"
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// recordsName is the ConfigMap beside the lease in which is noted what composers own.
const recordsName = leaseName + "-definitions"

// elsewhere is a ConfigMap as a child in another namespace than its parent's.
func elsewhere(namespace, name string) parts.Child {
	child := configMap(name)
	child.Object["metadata"].(map[string]any)["namespace"] = namespace
	return child
}

// TestNamespacesNoLongerOwned has children anywhere first, and beside their parents then: by a
// reload, and while no process runs.
func TestNamespacesNoLongerOwned(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]bool{"reload": false, "restart": true} {
		if restarts && !conformance {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			other := &rig{namespace: shared.Namespace(t)}
			owns := func(anywhere bool) []parts.Owns {
				return []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: anywhere}}
			}
			r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
				Owns: owns(true), Children: []parts.Child{configMap("a"), elsewhere(other.namespace, "b")},
			}}})
			p := r.start(t)
			for _, parent := range []string{"p", "q"} {
				r.thing(t, parent, "x")
				r.ready(t, parent)
			}
			// The child of q cannot go, so its parent must not either.
			other.patch(t, configMaps, "q-b", `{"metadata": {"finalizers": ["example.com/wait"]}}`)
			if restarts {
				p.kill9(t)
			}
			r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Owns: owns(false), Children: []parts.Child{configMap("a")}}}})
			if restarts {
				p = r.start(t)
			} else {
				p.reload(t)
			}
			other.await(t, configMaps, "the children elsewhere to be deleted", func(o objects) bool {
				return o["p-b"] == nil && o["q-b"] != nil && o["q-b"].GetDeletionTimestamp() != nil
			})
			r.remove(t, things, "q")
			r.awaitCondition(t, "q", "q-b", "example.com/wait")
			other.patch(t, configMaps, "q-b", `{"metadata": {"finalizers": null}}`)
			r.await(t, things, "the parent to go", func(o objects) bool { return o["q"] == nil })
			p.AwaitLog(t, "nothing is left of a kind that the definition does not own any more")
			r.ready(t, "p")
		})
	}
}

// TestRecordsAreReadOnce has several definitions, and a process that finds them as they were: all
// that it asks for is one ConfigMap, once before and once after it leads.
func TestRecordsAreReadOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	all := map[string]definition{}
	for _, name := range []string{"one", "two", "three"} {
		all[name] = definition{
			Config:   parts.Config{Children: []parts.Child{configMap(name)}},
			settings: map[string]any{"status": "none"},
		}
	}
	r.defineAll(t, all)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, configMaps, "the children", func(o objects) bool { return o["p-one"] != nil && o["p-two"] != nil && o["p-three"] != nil })
	p.kill9(t)
	mark := shared.AuditMark(t)
	p = r.start(t)
	p.settle(t, "p")
	var verbs []string
	for _, s := range r.sent(t, mark) {
		if s.name == recordsName {
			verbs = append(verbs, s.verb)
		}
	}
	if !slices.Equal(verbs, []string{"get", "get"}) {
		t.Errorf("requests for the records: %v, want two reads", verbs)
	}
}
