package compose_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// echoed is a child that is returned as it was observed.
func echoed(t *testing.T, name, text string) parts.Child {
	t.Helper()
	return parts.Child{Name: name, Echo: true, Object: object(t, text)}
}

// owners are the field managers that own a field of an object. It is written as in managedFields.
func owners(o *unstructured.Unstructured, field string) (managers []string) {
	for _, entry := range o.GetManagedFields() {
		if entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), field) {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}

// TestObservedChildrenAreReturned has a composer that returns its children as it got them: with
// defaults, what others have set, a status, and the metadata of the API server.
func TestObservedChildrenAreReturned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	services := schema.GroupVersionResource{Version: "v1", Resource: "services"}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Owns: []parts.Owns{
			{APIVersion: "apps/v1", Kind: "Deployment"}, {APIVersion: "v1", Kind: "Service"}, {APIVersion: "v1", Kind: "Secret"},
		},
		Children: []parts.Child{
			echoed(t, "server", `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "{name}", "labels": {"text": "{text}"}}, "spec": {
				"replicas": 1, "selector": {"matchLabels": {"app": "{name}"}}, "template": {
					"metadata": {"labels": {"app": "{name}"}},
					"spec": {"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
						"resources": {"limits": {"cpu": "1000m"}}, "env": [{"name": "A", "value": "1"}]}],
						"volumes": [{"name": "tmp", "emptyDir": {}}]}}}}`),
			echoed(t, "service", `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "{name}", "labels": {"text": "{text}"}},
				"spec": {"selector": {"app": "{name}"}, "ports": [{"port": 80, "name": "http", "targetPort": "http"}, {"port": 81, "name": "more"}]}}`),
			echoed(t, "token", `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}", "labels": {"text": "{text}"}}, "stringData": {"a": "b"}}`),
		},
	}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.await(t, secrets, "the last child", func(o objects) bool { return o["p"] != nil })
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "when observed children are returned")

	// What others set stays theirs.
	r.patch(t, deployments, "p", `{"metadata": {"annotations": {"note": "theirs"}}, "spec": {"replicas": 5, "template": {"spec": {
		"containers": [{"name": "web", "image": "nginx", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]},
			{"name": "sidecar", "image": "proxy"}]}}}}`)
	r.patch(t, deployments, "p", `{"status": {"replicas": 5, "observedGeneration": 1}}`, "status")
	mark = shared.AuditMark(t)
	p.settle(t, "p")
	p.Stop(t)
	p = r.start(t)
	p.settle(t, "p")
	for _, s := range r.writes(t, mark) {
		if s.resource != "things/status" { // It says what the Deployment waits for.
			t.Errorf("what others have set is returned, and after a restart, there is a write: %s", s)
		}
	}

	// What the composer changes is written, and nothing else becomes kooperd's.
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	for _, resource := range []schema.GroupVersionResource{deployments, services, secrets} {
		r.await(t, resource, "the change", func(o objects) bool { return o["p"] != nil && o["p"].GetLabels()["text"] == "y" })
	}
	p.settle(t, "p")
	now := r.get(t, deployments, "p")
	if replicas, _, _ := unstructured.NestedInt64(now.Object, "spec", "replicas"); replicas != 5 {
		t.Errorf("there are %d replicas, want those of others", replicas)
	}
	for field, want := range map[string][]string{
		`"f:replicas"`: {other, other}, `"f:note"`: {other}, `sidecar`: {other}, `"f:revisionHistoryLimit"`: nil, `"f:text"`: {"kooperd"},
	} {
		if got := owners(now, field); !slices.Equal(got, want) {
			t.Errorf("%s belongs to %q, want %q", field, got, want)
		}
	}
	applies := 0
	for _, s := range r.writes(t, mark) {
		if s.resource == "deployments" {
			applies++
		}
	}
	if applies != 1 {
		t.Errorf("a change is written %d times, want once", applies)
	}
	if _, err := shared.Client().CoreV1().Services(r.namespace).Get(t.Context(), "p", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
