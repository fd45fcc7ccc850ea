package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.triggers.example.com}
spec:
  group: triggers.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func succeed(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
	return handlers.Result{}, nil
}

// causes returns why a definition was called for an object.
func (r *rig) causes(definition, object string) []handlers.Cause {
	var all []handlers.Cause
	for _, c := range r.of(definition) {
		if c.object == object {
			all = append(all, c.cause)
		}
	}
	return all
}

// settle waits until the definitions have been called for an object that is made now. They handle
// one object after another, so what came before has been decided on and handled by then.
func (r *rig) settle(t *testing.T, manifest string, definitions ...string) {
	t.Helper()
	name := fmt.Sprintf("last-%d", time.Now().UnixNano())
	shared.Apply(t, fmt.Sprintf(manifest, name, r.namespace))
	for _, definition := range definitions {
		r.await(t, "the call of "+definition+" for "+name, func() bool { return len(r.causes(definition, name)) > 0 })
	}
}

// wantCauses fails the test when a definition was called otherwise after its first call, which may
// have been for the creation or for the first list.
func (r *rig) wantCauses(t *testing.T, definition, object string, want ...handlers.Cause) {
	t.Helper()
	if have := r.causes(definition, object); !slices.Equal(have[1:], want) {
		t.Errorf("%s was called for %s because of %q, want %q after the first", definition, object, have, want)
	}
}

const (
	aPod    = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\nspec: {containers: [{name: a, image: \"registry.example/a:1\"}]}\n"
	aGadget = "apiVersion: triggers.example.com/v1\nkind: Gadget\nmetadata: {name: %s, namespace: %s}\nspec: {size: 1}\n"
)

// TestIgnore changes the status, an annotation and the spec of objects of a built-in kind, which
// arrive in protobuf, and of a custom kind, which arrive in JSON.
func TestIgnore(t *testing.T) {
	shared.Apply(t, widgets)
	shared.Kubectl(t, "wait", "--for=condition=Established", "crd/gadgets.triggers.example.com")
	for kind, of := range map[string]struct{ watch, manifest, status, spec string }{
		"pod": {watch: `apiVersion: "v1", kind: "Pod"`, manifest: aPod, status: `{"status":{"phase":"Running"}}`,
			spec: `{"spec":{"activeDeadlineSeconds":100}}`},
		"gadget": {watch: `apiVersion: "triggers.example.com/v1", kind: "Gadget"`, manifest: aGadget, status: `{"status":{"phase":"Running"}}`,
			spec: `{"spec":{"size":2}}`},
	} {
		t.Run(kind, func(t *testing.T) {
			r := start(t, options{
				definitions: `all: {watch: {` + of.watch + `, namespaces: [%[1]q]}, handler: test: {}}` + "\n" +
					`picky: {watch: {` + of.watch + `, namespaces: [%[1]q]}, ignore: ["status", "metadata.annotations.\"example.com/seen\""], handler: test: {}}`,
				handle: succeed,
			})
			patch := func(patch string, more ...string) {
				t.Helper()
				shared.Kubectl(t, append([]string{"-n", r.namespace, "patch", kind, "a", "--type=merge", "-p", patch}, more...)...)
			}
			shared.Apply(t, fmt.Sprintf(of.manifest, "a", r.namespace))
			r.awaitCalls(t, "picky", 1)
			patch(of.status, "--subresource=status")
			r.await(t, "the call for the status", func() bool { return len(r.causes("all", "a")) >= 2 })
			patch(`{"metadata":{"annotations":{"example.com/seen":"1"}}}`)
			patch(`{"metadata":{"annotations":{"example.com/seen":"2"}}}`)
			r.settle(t, of.manifest, "all", "picky")
			r.wantCauses(t, "picky", "a")
			r.metric(t, "kooperd_controller_trigger_errors_total", "picky", 0)
			patch(`{"metadata":{"annotations":{"example.com/other":"1","example.com/seen":null}}}`)
			r.await(t, "the call for another annotation", func() bool { return len(r.causes("picky", "a")) >= 2 })
			patch(of.spec)
			r.await(t, "the call for the spec", func() bool { return len(r.causes("picky", "a")) >= 3 })
			if kind == "pod" {
				return // whose spec is all but fixed
			}
			patch(`{"metadata":{"finalizers":["example.com/keep"]}}`)
			r.await(t, "the call for the finalizer", func() bool { return len(r.causes("picky", "a")) >= 4 })
			shared.Kubectl(t, "-n", r.namespace, "delete", kind, "a", "--wait=false")
			r.await(t, "the call for the mark for deletion", func() bool { return len(r.causes("picky", "a")) >= 5 })
			patch(`{"metadata":{"finalizers":null}}`)
		})
	}
}

// TestIgnoreLeavesTheRest has changes that are ignored while a retry, a requeue and a resync are to
// come: none of them is lost, or made sooner.
func TestIgnoreLeavesTheRest(t *testing.T) {
	definition := func(name, more string) string {
		return name + `: {watch: {apiVersion: "v1", kind: "Pod", namespaces: [%[1]q]}, ignore: ["status", "metadata"], ` + more + `handler: test: {}}` + "\n"
	}
	r := start(t, options{
		definitions: definition("fails", `retry: initialDelay: "5s", `) + definition("requeues", "") + definition("resyncs", `resync: "3s", `),
		handle: func(_ context.Context, env handlers.Env, req handlers.Request) (handlers.Result, error) {
			switch {
			case env.Definition == "fails" && req.Attempt == 0:
				return handlers.Result{}, errors.New("not yet")
			case env.Definition == "requeues" && req.Cause != handlers.CauseRequeue:
				return handlers.Result{RequeueAfter: 5 * time.Second}, nil
			}
			return handlers.Result{}, nil
		},
	})
	shared.Apply(t, fmt.Sprintf(aPod, "a", r.namespace))
	for _, name := range []string{"fails", "requeues", "resyncs"} {
		r.awaitCalls(t, name, 1)
	}
	pods := shared.Dynamic().Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(r.namespace)
	for i := range 3 {
		for patch, subresources := range map[string][]string{
			fmt.Sprintf(`{"metadata":{"labels":{"x":"%d"}}}`, i): nil, fmt.Sprintf(`{"status":{"message":"%d"}}`, i): {"status"},
		} {
			if _, err := pods.Patch(t.Context(), "a", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"fails", "requeues"} {
		r.await(t, "an ignored change", func() bool { return r.counter(t, "kooperd_controller_skipped_events_total", name) >= 1 })
	}
	for name, cause := range map[string]handlers.Cause{"fails": handlers.CauseRetry, "requeues": handlers.CauseRequeue} {
		calls := r.awaitCalls(t, name, 2)
		if got := calls[1].at.Sub(calls[0].at); calls[1].cause != cause || got < 4500*time.Millisecond {
			t.Errorf("the second call of %s came after %s because of %s, want %s after 5s", name, got, calls[1].cause, cause)
		}
	}
	r.await(t, "two resyncs", func() bool { return len(r.of("resyncs")) >= 3 })
	for _, c := range r.of("resyncs")[1:] {
		if c.cause != handlers.CauseResync {
			t.Errorf("a call of resyncs is because of %s", c.cause)
		}
	}
}

// TestWhere has one condition on changes and one on the objects themselves.
func TestWhere(t *testing.T) {
	const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {e2e: \"true\"}}\ndata: {size: \"1\"}\n"
	r := start(t, options{
		definitions: `changes: {` + watchConfigMaps + `, where: "oldObject == null || int(object.data.size) > int(oldObject.data.size)", handler: test: {}}` + "\n" +
			`objects: {` + watchConfigMaps + `, resync: "1s", where: "object.data.size == '1'", handler: test: {}}` + "\n" +
			`broken: {` + watchConfigMaps + `, where: "object.data.missing == 'x'", handler: test: {}}`,
		handle: succeed,
	})
	size := func(n int) {
		t.Helper()
		shared.Kubectl(t, "-n", r.namespace, "patch", "configmap", "a", "--type=merge", "-p", fmt.Sprintf(`{"data":{"size":"%d"}}`, n))
	}
	shared.Apply(t, fmt.Sprintf(manifest, "a", r.namespace))
	r.awaitCalls(t, "changes", 1)
	r.awaitCalls(t, "objects", 1)
	r.await(t, "a resync", func() bool { return slices.Contains(r.causes("objects", "a"), handlers.CauseResync) })

	size(3)
	r.await(t, "the call for what has grown", func() bool { return len(r.causes("changes", "a")) >= 2 && len(r.causes("broken", "a")) >= 2 })
	size(2)
	r.settle(t, manifest, "changes", "objects", "broken")
	r.wantCauses(t, "changes", "a", handlers.CauseChange)
	r.wantCauses(t, "broken", "a", handlers.CauseChange, handlers.CauseChange)
	if got := r.counter(t, "kooperd_controller_trigger_errors_total", "broken"); got < 4 {
		t.Errorf("%v failures are counted, want one for each decision, of which there were four at least", got)
	}

	r.settle(t, manifest, "objects") // A resync from before may have waited behind the call of the last object.
	before, skipped := len(r.causes("objects", "a")), r.counter(t, "kooperd_controller_skipped_events_total", "objects")
	r.await(t, "two resyncs of the object that does not match", func() bool {
		return r.counter(t, "kooperd_controller_skipped_events_total", "objects") >= skipped+2
	})
	if after := len(r.causes("objects", "a")); after != before {
		t.Errorf("an object for which the condition does not hold was handled %d more times", after-before)
	}
	size(1)
	r.await(t, "the call for what matches again", func() bool { return len(r.causes("objects", "a")) > before })
}

// TestWhereAtTheStart has objects from before the start, of which one is to be handled.
func TestWhereAtTheStart(t *testing.T) {
	namespace := shared.Namespace(t)
	for name, size := range map[string]string{"small": "1", "big": "9"} {
		shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s, labels: {start: \"\"}}\ndata: {size: %q}\n", name, namespace, size))
	}
	r := start(t, options{
		definitions: fmt.Sprintf(`old: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "start"}, where: "oldObject == null && object.data.size == '9'", handler: test: {}} // `, namespace) + "%[1]s",
		handle:      succeed,
	})
	calls := r.awaitCalls(t, "old", 1)
	r.await(t, "the other one to be skipped", func() bool { return r.counter(t, "kooperd_controller_skipped_events_total", "old") >= 1 })
	if len(calls) != 1 || calls[0].object != "big" || calls[0].cause != handlers.CauseInitial {
		t.Errorf("calls are %+v, want the initial one for big", calls)
	}
}

// TestSlowConditionIsNobodyElses has a definition whose condition takes long for every object,
// beside one on the same source.
func TestSlowConditionIsNobodyElses(t *testing.T) {
	const objects = 15
	slow := "true" // until the limit of the cost
	for _, x := range "abcdef" {
		slow = fmt.Sprintf("[0,1,2,3,4,5,6,7,8,9].all(%c, %s)", x, slow)
	}
	namespace, manifest := shared.Namespace(t), ""
	for i := range objects {
		manifest += fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: o%d, namespace: %s, labels: {slow: \"\"}}\n---\n", i, namespace)
	}
	shared.Apply(t, manifest)
	watch := fmt.Sprintf(`watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "slow"}`, namespace)
	r := start(t, options{
		definitions: `slow: {` + watch + `, where: "` + slow + `", handler: test: {}}` + "\n" + `quick: {` + watch + `, handler: test: {}} // %[1]s`,
		handle:      succeed,
	})
	quick, slowly := r.awaitCalls(t, "quick", objects), r.awaitCalls(t, "slow", objects)
	// Were they in each other's way, the last call of the quick one would come with that of the
	// slow one. Calls are counted, and not times: both stand still with the machine.
	end := quick[objects-1].at
	if n := len(slices.DeleteFunc(slices.Clone(slowly), func(c call) bool { return c.at.After(end) })); n > objects/2 {
		t.Errorf("the slow definition had made %d of %d calls before the last one of the quick one", n, objects)
	}
	if got := r.counter(t, "kooperd_controller_trigger_errors_total", "slow"); got < objects {
		t.Errorf("%v decisions have exceeded the limit, want %d", got, objects)
	}
}
