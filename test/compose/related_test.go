package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// everywhere makes a definition handle the things of the rig by a label, so that it reads in all
// namespaces.
func (r *rig) everywhere() map[string]any {
	return map[string]any{"watch": map[string]any{
		"apiVersion": things.GroupVersion().String(), "kind": "Thing", "labelSelector": "rig=" + r.namespace,
	}}
}

// labelledThing makes a parent that a definition handles everywhere.
func (r *rig) labelledThing(t *testing.T, name, text string) {
	t.Helper()
	r.thing(t, name, text)
	r.patch(t, things, name, fmt.Sprintf(`{"metadata": {"labels": {"rig": %q}}}`, r.namespace))
}

// awaitRelated waits until the child of a parent has the names of its related objects, which are
// sorted.
func (r *rig) awaitRelated(t *testing.T, parent string, names ...string) {
	t.Helper()
	r.await(t, configMaps, fmt.Sprintf("%s with %q", parent, names), func(o objects) bool {
		have := strings.Fields(o.text(parent+"-a", "data", "names"))
		slices.Sort(have) // They are in the order of their namespaces.
		return o[parent+"-a"] != nil && slices.Equal(have, names)
	})
}

// TestRelatedOfNamespaces reads objects by their names, and by the labels of their namespaces. What
// a parent asks for depends on its text.
func TestRelatedOfNamespaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := &rig{namespace: shared.Namespace(t)}
	child := configMap("a")
	child.Object["data"] = map[string]any{"names": "{related s}"}
	secretsOf := func(change func(*parts.Reads)) []parts.Reads {
		one := parts.Reads{Name: "s", APIVersion: "v1", Kind: "Secret", Label: "rig=" + r.namespace}
		change(&one)
		return []parts.Reads{one}
	}
	read := secretsOf(func(one *parts.Reads) { one.InNamespaces = "rig=" + r.namespace })
	read[0].Name = "declared"
	all := secretsOf(func(one *parts.Reads) { one.InNamespaces, one.Label = "rig="+r.namespace, "" })
	all[0].Name = "all"
	byText := secretsOf(func(one *parts.Reads) { one.ObjectNames, one.InNamespaces = "{text},none", "team="+r.namespace })
	r.defineAll(t, map[string]definition{
		"reading": {settings: r.everywhere(), Config: parts.Config{
			Children: []parts.Child{child}, Reads: secretsOf(func(one *parts.Reads) { one.InNamespaces = "rig=" + r.namespace }),
		}},
		"asking": {
			settings: map[string]any{"status": "none", "watch": map[string]any{
				"apiVersion": things.GroupVersion().String(), "kind": "Thing", "labelSelector": "asking=" + r.namespace,
			}},
			Config: parts.Config{Children: []parts.Child{child}, Reads: append(read, all...), Relates: byText},
		},
	})
	secret := func(at *rig, name string) {
		at.create(t, secrets, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": %q, "labels": {"rig": %q}}}`, name, r.namespace))
	}
	label := func(at *rig, labels ...string) {
		shared.Kubectl(t, append([]string{"label", "--overwrite", "namespace", at.namespace}, labels...)...)
	}
	secret(r, "one")
	secret(other, "two")
	secret(other, "three")
	p := r.start(t)
	r.labelledThing(t, "p", "x")
	r.awaitRelated(t, "p")
	label(other, "rig="+r.namespace)
	r.awaitRelated(t, "p", "three", "two")
	label(r, "rig="+r.namespace)
	r.awaitRelated(t, "p", "one", "three", "two")
	label(other, "rig=no")
	r.awaitRelated(t, "p", "one")

	r.thing(t, "q", "two,three")
	r.patch(t, things, "q", fmt.Sprintf(`{"metadata": {"labels": {"asking": %q}}}`, r.namespace))
	r.awaitRelated(t, "q")
	label(other, "team="+r.namespace)
	p.settle(t, "q")
	r.awaitRelated(t, "q") // It does not lie within what is read.
	label(other, "rig="+r.namespace)
	r.awaitRelated(t, "q", "three", "two")
	r.patch(t, things, "q", `{"spec": {"text": "two"}}`)
	r.awaitRelated(t, "q", "two")
	other.remove(t, secrets, "two")
	r.awaitRelated(t, "q")
	secret(other, "two")
	r.awaitRelated(t, "q", "two")

	// What nobody asks for calls nobody.
	mark := shared.AuditMark(t)
	calls := r.callsFor(t, "q")
	secret(other, "four")
	p.settle(t, "p") // It reads that one.
	r.awaitRelated(t, "p", "four", "one", "three", "two")
	if n := r.callsFor(t, "q") - calls; n > 0 {
		t.Errorf("%d calls of a parent that has asked for other names", n)
	}
	for _, s := range r.writes(t, mark) {
		if s.name == "q-a" {
			t.Errorf("a child was written for nothing: %s", s)
		}
	}
}

// callsFor counts the calls for a parent.
func (r *rig) callsFor(t *testing.T, name string) (n int) {
	t.Helper()
	for _, c := range r.record.all(t) {
		if c.Object == name {
			n++
		}
	}
	return n
}
