package compose_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/compose/parts"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// fixedConfigMap is a child whose data cannot be changed.
func fixedConfigMap(update handlers.Update) parts.Child {
	child := configMap("a")
	child.Object["immutable"], child.Update = true, update
	return child
}

// deployment is a child whose selector cannot be changed. It has the text of the parent.
func deployment(update handlers.Update) parts.Child {
	labels := map[string]any{"app": "{name}-{text}"}
	return parts.Child{Name: "d", Update: update, ReadyBy: "go", Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "{name}-d", "annotations": map[string]any{"go": ""}},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "nginx"}}},
			},
		},
	}}
}

// TestRecreate changes what cannot be changed: the object is another one then. With a finalizer on
// it, that takes until the old one is gone, also over a restart.
func TestRecreate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Children: []parts.Child{fixedConfigMap(handlers.UpdateRecreate), deployment(handlers.UpdateRecreate), configMap("b")},
		Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "apps/v1", Kind: "Deployment", MetadataOnly: true}},
	}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	before, server := r.get(t, configMaps, "p-a"), r.get(t, deployments, "p-d")
	p.settle(t, "p")
	mark := shared.AuditMark(t)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	after := r.await(t, configMaps, "the new object", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })["p-a"]
	r.ready(t, "p")
	if after.GetUID() == before.GetUID() {
		t.Error("the object is the same one, and cannot have been changed")
	}
	if now := r.get(t, deployments, "p-d"); now.GetUID() == server.GetUID() {
		t.Error("the Deployment is the same one")
	}
	p.settle(t, "p")
	var got []string
	for _, w := range r.writes(t, mark) {
		if w.resource == "configmaps" && w.name != "p-b" {
			got = append(got, w.String())
		}
	}
	if n := len(got); n != 4 || got[0] != "patch configmaps p-a: 422" || !strings.HasSuffix(got[1], ": 201 (dry run)") ||
		got[2] != "delete configmaps p-a: 200" || got[3] != "patch configmaps p-a: 201" {
		t.Errorf("writes %q, want the change, the try, the delete and the creation", got)
	}

	r.patch(t, configMaps, "p-a", `{"metadata": {"finalizers": ["example.com/wait"]}}`)
	r.patch(t, things, "p", `{"spec": {"text": "z"}}`)
	r.awaitCondition(t, "p", "p-a", "example.com/wait")
	p.kill9(t)
	p = r.start(t)
	p.settle(t, "p")
	if now := r.get(t, configMaps, "p-a"); now.GetUID() != after.GetUID() || now.GetDeletionTimestamp() == nil {
		t.Errorf("it is not the object that is being deleted: %v", now)
	}
	r.patch(t, configMaps, "p-a", `{"metadata": {"finalizers": null}}`)
	r.await(t, configMaps, "the newest object", func(o objects) bool { return o.text("p-a", "data", "text") == "z" })
	r.ready(t, "p")
}

// lossless are children whose change cannot be made, by the update policy recreate neither.
var lossless = map[string]struct {
	child    func() parts.Child
	resource schema.GroupVersionResource
	hinder   func(t *testing.T, r *rig) // makes it so
	says     string
}{
	"plainly invalid": {
		child: func() parts.Child {
			child := configMap("a")
			child.Object["data"], child.Update = map[string]any{"{text}": "x"}, handlers.UpdateRecreate
			return child
		},
		resource: configMaps, says: "a new object would be refused, too",
	},
	"immutable and invalid": {
		child: func() parts.Child {
			child := fixedConfigMap(handlers.UpdateRecreate)
			child.Object["data"] = map[string]any{"{text}": "x"}
			return child
		},
		resource: configMaps, says: "a new object would be refused, too",
	},
	"policy for new objects": {
		child:    func() parts.Child { return fixedConfigMap(handlers.UpdateRecreate) },
		resource: configMaps, hinder: func(t *testing.T, r *rig) { denyConfigMaps(t, r.namespace, "CREATE") }, says: "it is not made anew",
	},
	"policy for changes": {
		child: func() parts.Child {
			child := configMap("a")
			child.Update = handlers.UpdateRecreate
			return child
		},
		resource: configMaps, hinder: func(t *testing.T, r *rig) { denyConfigMaps(t, r.namespace, "UPDATE") }, says: "denied request",
	},
	"quota": {
		child:    func() parts.Child { return fixedConfigMap(handlers.UpdateRecreate) },
		resource: configMaps, hinder: func(t *testing.T, r *rig) { r.fillQuota(t) }, says: "exceeded quota",
	},
	"claim": {
		child: func() parts.Child {
			return parts.Child{Name: "a", Update: handlers.UpdateRecreate, ReadyBy: "kooperd.dev/child", Object: map[string]any{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": map[string]any{"name": "{name}-a"},
				"spec": map[string]any{
					"storageClassName": "{text}", "accessModes": []any{"ReadWriteOnce"},
					"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
				},
			}}
		},
		resource: claims, says: "AllowDataLoss",
	},
	"no recreate": {
		child:    func() parts.Child { return fixedConfigMap(handlers.UpdateInPlace) },
		resource: configMaps, says: "immutable",
	},
}

// TestRecreateLosesNothing has changes that the API server refuses, and for which no object is
// deleted.
func TestRecreateLosesNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range lossless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
				Children: []parts.Child{tc.child()},
				Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "PersistentVolumeClaim"}},
			}}})
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			before := r.get(t, tc.resource, "p-a")
			if tc.hinder != nil {
				tc.hinder(t, r)
			}
			r.patch(t, things, "p", `{"spec": {"text": "not a key"}}`)
			if tc.resource == claims {
				r.patch(t, things, "p", `{"spec": {"text": "other"}}`)
			}
			r.awaitCondition(t, "p", "p-a", tc.says)
			p.settle(t, "p")
			r.untouched(t, tc.resource, before)
			for _, w := range r.writes(t, r.begun) {
				if w.verb == "delete" {
					t.Errorf("there is a delete: %s", w)
				}
			}
		})
	}
}

// fillQuota makes a quota that is used up by the ConfigMaps there are.
func (r *rig) fillQuota(t *testing.T) {
	t.Helper()
	n := len(r.list(t, configMaps))
	quotas := shared.Dynamic().Resource(schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}).Namespace(r.namespace)
	hard := map[string]any{"count/configmaps": fmt.Sprint(n)}
	quota := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ResourceQuota", "metadata": map[string]any{"name": "full"}, "spec": map[string]any{"hard": hard},
	}}
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf(`{"status": {"hard": {"count/configmaps": "%[1]d"}, "used": {"count/configmaps": "%[1]d"}}}`, n)
	if _, err := quotas.Patch(t.Context(), "full", types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	s := newSubject(t, configMapFacts, r.namespace, "quota")
	r.soon(t, "the quota", func() bool { return s.apply(t, other, s.body("x", ""), "dryRun=All").code >= 400 })
}

// denyConfigMaps makes a policy that refuses ConfigMaps with another text than x.
func denyConfigMaps(t *testing.T, namespace, operation string) {
	t.Helper()
	shared.Deny(t, namespace, strings.ToLower(operation), "configmaps", fmt.Sprintf("%q", operation),
		`{expression: "!has(object.data) || !('text' in object.data) || object.data.text == 'x'", message: "not today"}`)
	s := newSubject(t, configMapFacts, namespace, "policy")
	s.mustApply(t, other, s.write(`"data": {"text": "x"}`, ""))
	if operation == "CREATE" {
		s.name = "policy-new"
	}
	r := &rig{namespace: namespace}
	r.soon(t, "the policy", func() bool {
		return s.apply(t, other, s.write(`"data": {"text": "y"}`, ""), "dryRun=All", "force=true").code >= 400
	})
}

// soon waits until something is so that no watch shows.
func (*rig) soon(t testing.TB, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// TestOnDelete changes a child only when somebody deletes it.
func TestOnDelete(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	child := configMap("a")
	child.Update = handlers.UpdateOnDelete
	r.define(t, child)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	before := r.get(t, configMaps, "p-a")
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, things, "a condition about it", func(o objects) bool {
		status, reason, message := o.condition("p", "Progressing")
		return status == "True" && reason == "OnDelete" && strings.Contains(message, "p-a")
	})
	r.ready(t, "p")
	p.kill9(t)
	p = r.start(t)
	p.settle(t, "p")
	r.untouched(t, configMaps, before)
	r.remove(t, configMaps, "p-a")
	r.await(t, configMaps, "the new object", func(o objects) bool { return o.text("p-a", "data", "text") == "y" })
	parent := r.ready(t, "p")
	r.await(t, things, "the end of the condition", func(o objects) bool {
		status, _, _ := o.condition("p", "Progressing")
		return status == "False"
	})
	if events := r.eventsOf(t, parent, "Recreated"); len(events) > 0 {
		t.Errorf("there are events: %v", events)
	}
}

// eventsOf are the messages of the events of a reason, or of any, about an object.
func (r *rig) eventsOf(t testing.TB, about *unstructured.Unstructured, reason string) (messages []string) {
	t.Helper()
	list, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Regarding.UID == about.GetUID() && (reason == "" || e.Reason == reason) {
			messages = append(messages, e.Note)
		}
	}
	slices.Sort(messages)
	return messages
}
