package compose_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// passingDefinition is the kind of a test, which comes and goes.
const passingDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: passings.%[1]s.example.com}
spec:
  group: %[1]s.example.com
  scope: Namespaced
  names: {kind: Passing, plural: passings, singular: passing}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// TestKindGoesWhileParentsAreDeleted takes a kind of children away. A parent that is deleted waits
// for nothing of it, and one that lives is right again when the kind is back.
func TestKindGoesWhileParentsAreDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	passings := schema.GroupVersionResource{Group: r.namespace + ".example.com", Version: "v1", Resource: "passings"}
	shared.Apply(t, fmt.Sprintf(passingDefinition, r.namespace))
	passing := parts.Child{Name: "passing", Object: map[string]any{
		"apiVersion": passings.GroupVersion().String(), "kind": "Passing", "metadata": map[string]any{"name": "{name}"},
	}}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Owns: []parts.Owns{
			{APIVersion: passings.GroupVersion().String(), Kind: "Passing"}, {APIVersion: "v1", Kind: "ConfigMap", AnyNamespace: true},
		},
		Children: []parts.Child{passing, elsewhere(other.namespace, "far")},
	}}})
	p := r.start(t)
	for _, parent := range []string{"p", "q"} {
		r.thing(t, parent, "x")
		r.ready(t, parent)
	}
	shared.Kubectl(t, "delete", "crd", "passings."+passings.Group)
	p.AwaitLog(t, "definition changed state", "state", "Waiting")
	r.remove(t, things, "p")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	all := other.list(t, configMaps)
	if all["p-far"] != nil || all["q-far"] == nil {
		t.Errorf("the other namespace has %q, want the child of the parent that lives", all.names())
	}
	r.patch(t, things, "q", `{"spec": {"text": "y"}}`)
	shared.Apply(t, fmt.Sprintf(passingDefinition, r.namespace))
	r.await(t, passings, "the child to be made again", func(o objects) bool { return o["q"] != nil })
	r.await(t, things, "the parent to be ready", func(o objects) bool {
		status, _, _ := o.condition("q", "Ready")
		return status == "True"
	})
}
