package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
)

const ours, others = "example.com/ours", "example.com/others"

// finalizerDefinition handles the ConfigMaps of the namespace.
const finalizerDefinition = `"d": {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}
	finalizer: "example.com/ours"
	handler: test: {}
}`

// live returns a ConfigMap, nil when it is gone.
func (r *rig) live(t *testing.T, name string) *corev1.ConfigMap {
	t.Helper()
	object, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Get(context.WithoutCancel(t.Context()), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// setFinalizers replaces all finalizers of a ConfigMap.
func (r *rig) setFinalizers(t *testing.T, name, list string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"finalizers":%s}}`, list)
	ctx := context.WithoutCancel(t.Context()) // for cleanup
	_, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Errorf("setting the finalizers of %s: %v", name, err)
	}
}

func (r *rig) delete(t *testing.T, name string) {
	t.Helper()
	if err := shared.Client().CoreV1().ConfigMaps(r.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestFinalizer takes an object from its creation to its end, with other parties that have
// finalizers too, and remove one while ours is finalized.
func TestFinalizer(t *testing.T) {
	const third = "example.com/third"
	list := func(names ...string) string { return `["` + strings.Join(names, `","`) + `"]` }
	for name, metadata := range map[string]bool{"whole objects": false, "metadata": true} {
		t.Run(name, func(t *testing.T) {
			var r *rig
			t.Cleanup(func() { r.setFinalizers(t, "b", "[]") }) // After the rig's own, which looks for open connections.
			started := make(chan struct{})                      // when r is set
			r = start(t, options{
				definitions: finalizerDefinition, metadata: metadata,
				handle: func(_ context.Context, _ handlers.Env, req handlers.Request) (handlers.Result, error) {
					if m := req.Object.Metadata(); !slices.Contains(m.Finalizers, ours) || m.DeletionTimestamp != nil {
						t.Errorf("handled with the finalizers %v, deleted %v", m.Finalizers, m.DeletionTimestamp)
					}
					return handlers.Result{}, nil
				},
				finalize: func(_ context.Context, _ handlers.Env, req handlers.Request) (handlers.Result, error) {
					<-started
					if have := req.Object.Metadata().Finalizers; !cmp.Equal([]string{ours, third, others}, have) {
						t.Errorf("finalized with the finalizers %v", have)
					}
					r.setFinalizers(t, "a", list(others, ours))
					return handlers.Result{}, nil
				},
			})
			close(started)
			r.create(t, "a")
			r.awaitCalls(t, "d", 1)
			r.setFinalizers(t, "a", list(ours, third, others))
			r.awaitCalls(t, "d", 2)
			r.delete(t, "a")
			r.awaitCalls(t, finalizedBy("d"), 1)
			r.await(t, "the removal", func() bool { return cmp.Equal([]string{others}, r.live(t, "a").Finalizers) })
			r.setFinalizers(t, "a", "[]")
			r.await(t, "the end of the object", func() bool { return r.live(t, "a") == nil })
			r.create(t, "b") // What comes after it shows that nothing else has come for the first one.
			calls := r.awaitCalls(t, "d", 3)
			if calls[2].object != "b" || len(r.of(finalizedBy("d"))) != 1 {
				t.Errorf("calls: %+v, and of Finalize: %+v", calls, r.of(finalizedBy("d")))
			}
		})
	}
}

// TestFinalizeWhileItsNameIsTaken lets an object go during a slow Finalize, and makes another one
// of its name. That one is not touched, and then handled like any other.
func TestFinalizeWhileItsNameIsTaken(t *testing.T) {
	finalizing, release := make(chan struct{}), make(chan struct{})
	var r *rig
	t.Cleanup(func() { r.setFinalizers(t, "a", "[]") }) // After the rig's own, see TestFinalizer.
	r = start(t, options{
		definitions: finalizerDefinition,
		handle: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, nil
		},
		finalize: func(context.Context, handlers.Env, handlers.Request) (handlers.Result, error) {
			close(finalizing)
			<-release
			return handlers.Result{}, nil
		},
	})
	r.create(t, "a")
	r.awaitCalls(t, "d", 1)
	r.delete(t, "a")
	<-finalizing
	r.setFinalizers(t, "a", "[]")
	r.create(t, "a")
	r.setFinalizers(t, "a", fmt.Sprintf("[%q]", ours)) // as if it had been handled
	made := r.live(t, "a")
	close(release)
	r.awaitCalls(t, "d", 2)
	now := r.live(t, "a")
	if now == nil || now.UID != made.UID || !cmp.Equal([]string{ours}, now.Finalizers) || now.DeletionTimestamp != nil {
		t.Errorf("the new object is %+v, want %+v", now, made)
	}
	if calls := r.of(finalizedBy("d")); len(calls) != 1 {
		t.Errorf("calls of Finalize: %+v, want one", calls)
	}
}
