package compose_test

import (
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestLabelsOfParents follows labels and annotations of a parent, which a composer gives it.
func TestLabelsOfParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	given := map[string]string{"example.com/text": "{text}"}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{configMap("a"), configMap("b")}, Status: map[string]any{"text": "{text}"}, Labels: given, Annotations: given,
		Removes: []string{"example.com/gone"},
	}}})
	r.thing(t, "p", "x")
	r.patch(t, things, "p", `{"metadata": {"labels": {"example.com/gone": "1", "theirs": "1"}, "annotations": {"example.com/gone": "1"}}}`)
	p := r.start(t)
	first := r.ready(t, "p")
	for what, marks := range map[string]map[string]string{"label": first.GetLabels(), "annotation": first.GetAnnotations()} {
		if _, there := marks["example.com/gone"]; there || marks["example.com/text"] != "x" {
			t.Errorf("of the %ss there are %v", what, marks)
		}
	}
	if first.GetLabels()["theirs"] != "1" {
		t.Errorf("a label of others is gone: %v", first.GetLabels())
	}
	if n := r.callsFor(t, "p"); n > 2 {
		t.Errorf("%d calls, want the first and one that has seen the answers", n)
	}
	ofParent := func(sent []sent) (n int) {
		for _, s := range sent {
			if s.resource == "things" && s.name == "p" {
				n++
			}
		}
		return n
	}
	if n := ofParent(r.writes(t, r.begun)); n != 1 {
		t.Errorf("the parent was written %d times, want once", n)
	}

	mark := shared.AuditMark(t)
	p.settle(t, "p")
	p.Stop(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "when nothing differs, and after a restart,")

	r.patch(t, things, "p", `{"metadata": {"labels": {"example.com/text": null, "example.com/gone": "2"}}}`)
	r.await(t, things, "the labels to be set right", func(o objects) bool {
		_, there := o["p"].GetLabels()["example.com/gone"]
		return !there && o["p"].GetLabels()["example.com/text"] == "x"
	})
	r.patch(t, things, "p", `{"spec": {"text": "no label, as it has spaces"}}`)
	r.await(t, things, "what the API server refuses", func(o objects) bool {
		status, reason, message := o.condition("p", "Degraded")
		return status == "True" && reason == "Invalid" && strings.Contains(message, "labels and annotations of the parent")
	})
	r.await(t, configMaps, "the children nevertheless", func(o objects) bool {
		return o.text("p-a", "data", "text") == "no label, as it has spaces"
	})
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	if second := r.ready(t, "p"); second.GetLabels()["example.com/text"] != "y" {
		t.Errorf("the labels are %v", second.GetLabels())
	}
}

// TestLabelsOfBuiltInParents gives a Secret a label, as an operator that decorates objects does.
func TestLabelsOfBuiltInParents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := definition{Config: parts.Config{
		Children: []parts.Child{fixed("a")}, Labels: map[string]string{"example.com/of": "{name}"}, Annotations: map[string]string{"example.com/of": "{name}"},
	}}
	d.settings = map[string]any{"watch": map[string]any{
		"apiVersion": "v1", "kind": "Secret", "namespaces": []string{r.namespace}, "labelSelector": "parent",
	}}
	r.defineAll(t, map[string]definition{definitionName: d})
	r.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"parent": ""}}, "stringData": {"a": "b"}}`)
	p := r.start(t)
	r.await(t, secrets, "the label", func(o objects) bool {
		return o["s"].GetLabels()["example.com/of"] == "s" && o["s"].GetAnnotations()["example.com/of"] == "s"
	})
	r.await(t, configMaps, "the child", func(o objects) bool { return o["s-a"] != nil })
	p.Stop(t)
	p = r.start(t)
	r.patch(t, secrets, "s", `{"metadata": {"labels": {"example.com/of": "somebody"}}}`)
	r.await(t, secrets, "the label to be set right", func(o objects) bool { return o["s"].GetLabels()["example.com/of"] == "s" })
	p.Stop(t)
	writes := 0
	for _, s := range r.writes(t, r.begun) {
		if strings.HasPrefix(s.resource, "secrets") {
			writes++
		}
	}
	if writes != 2 {
		t.Errorf("the parent was written %d times, want twice", writes)
	}
}
