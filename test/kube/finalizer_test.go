package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/test/cluster"
)

const ours, others = "example.com/ours", "example.com/others"

// finalized is a ConfigMap whose finalizers are edited, by a client that may do nothing but patch
// ConfigMaps.
type finalized struct {
	t       *testing.T
	name    string
	admin   dynamic.ResourceInterface
	patcher dynamic.ResourceInterface
}

func newFinalized(t *testing.T, finalizers ...string) *finalized {
	t.Helper()
	ns := shared.Namespace(t)
	config := shared.ServiceAccount(t, ns, "patcher", cluster.InNamespace(ns, cluster.Allow("patch", "", "configmaps")))
	config.UserAgent = agent(t)
	patcher, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	f := &finalized{
		t: t, name: "subject", patcher: patcher.Resource(resource).Namespace(ns), admin: shared.Dynamic().Resource(resource).Namespace(ns),
	}
	f.create(finalizers...)
	t.Cleanup(func() { f.edit(context.WithoutCancel(t.Context())) })
	return f
}

func (f *finalized) create(finalizers ...string) {
	f.t.Helper()
	var u unstructured.Unstructured
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetName(f.name)
	u.SetFinalizers(finalizers)
	if _, err := f.admin.Create(f.t.Context(), &u, metav1.CreateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// edit replaces all finalizers, as another party does.
func (f *finalized) edit(ctx context.Context, finalizers ...string) {
	f.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": finalizers}})
	if err == nil {
		_, err = f.admin.Patch(ctx, f.name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		f.t.Errorf("editing the finalizers: %v", err)
	}
}

func (f *finalized) delete() {
	f.t.Helper()
	if err := f.admin.Delete(f.t.Context(), f.name, metav1.DeleteOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// live returns the object; nil when it is gone.
func (f *finalized) live() handlers.Object {
	f.t.Helper()
	u, err := f.admin.Get(f.t.Context(), f.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	obj, err := handlers.ObjectOf(u)
	if err != nil {
		f.t.Fatal(err)
	}
	return obj
}

// what says what there is: the finalizers, or that it is gone.
func (f *finalized) what() string {
	f.t.Helper()
	obj := f.live()
	if obj == nil {
		return "gone"
	}
	text := fmt.Sprint(obj.Metadata().Finalizers)
	if obj.Metadata().DeletionTimestamp != nil {
		text += " deleting"
	}
	return text
}

// Each case edits the finalizers from the state before something else has happened, as a cache that
// lags behind has it.
func TestFinalizer(t *testing.T) {
	const (
		add    = "add"
		remove = "remove"
	)
	tests := map[string]struct {
		finalizers []string
		meanwhile  func(f *finalized)
		do         string
		refused    bool   // whether AddFinalizer says that the object is gone
		want       string // what is there afterwards
		requests   int
	}{
		"add to none":             {do: add, want: "[example.com/ours]", requests: 1},
		"add behind another":      {finalizers: []string{others}, do: add, want: "[example.com/others example.com/ours]", requests: 1},
		"add what is there":       {finalizers: []string{ours}, do: add, want: "[example.com/ours]"},
		"add beside a new one":    {meanwhile: func(f *finalized) { f.edit(t.Context(), others) }, do: add, want: "[example.com/others example.com/ours]", requests: 3},
		"add after one has gone":  {finalizers: []string{others}, meanwhile: func(f *finalized) { f.edit(t.Context()) }, do: add, want: "[example.com/ours]", requests: 3},
		"add what came meanwhile": {meanwhile: func(f *finalized) { f.edit(t.Context(), ours) }, do: add, want: "[example.com/ours]", requests: 2},
		"add while it is deleted": {finalizers: []string{others}, meanwhile: (*finalized).delete, do: add, refused: true, want: "[example.com/others] deleting", requests: 1},
		"add when it is gone":     {meanwhile: (*finalized).delete, do: add, refused: true, want: "gone", requests: 1},
		"add to its successor": {
			meanwhile: func(f *finalized) { f.delete(); f.create() }, do: add, refused: true, want: "[]", requests: 2,
		},
		"remove":                      {finalizers: []string{others, ours}, do: remove, want: "[example.com/others]", requests: 1},
		"remove the last":             {finalizers: []string{ours}, meanwhile: (*finalized).delete, do: remove, want: "gone", requests: 1},
		"remove what is not there":    {finalizers: []string{others}, do: remove, want: "[example.com/others]"},
		"remove beside a new one":     {finalizers: []string{ours}, meanwhile: func(f *finalized) { f.edit(t.Context(), others, ours) }, do: remove, want: "[example.com/others]", requests: 3},
		"remove after one has gone":   {finalizers: []string{others, ours}, meanwhile: func(f *finalized) { f.edit(t.Context(), ours) }, do: remove, want: "[]", requests: 3},
		"remove what goes meanwhile":  {finalizers: []string{ours}, meanwhile: func(f *finalized) { f.edit(t.Context()) }, do: remove, want: "[]", requests: 2},
		"remove from what is gone":    {finalizers: []string{ours}, meanwhile: func(f *finalized) { f.delete(); f.edit(t.Context()) }, do: remove, want: "gone", requests: 1},
		"remove from its successor":   {finalizers: []string{ours}, meanwhile: func(f *finalized) { f.delete(); f.edit(t.Context()); f.create(ours) }, do: remove, want: "[example.com/ours]", requests: 2},
		"remove from what is deleted": {finalizers: []string{others, ours}, meanwhile: (*finalized).delete, do: remove, want: "[example.com/others] deleting", requests: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFinalized(t, tc.finalizers...)
			seen := f.live()
			if tc.meanwhile != nil {
				tc.meanwhile(f)
			}
			mark := shared.AuditMark(t)
			switch tc.do {
			case add:
				now, ok, err := kube.AddFinalizer(t.Context(), f.patcher, seen, ours)
				if err != nil || ok == tc.refused {
					t.Fatalf("AddFinalizer: %t, %v", ok, err)
				}
				if ok {
					if live := f.live(); live.ResourceVersion() != now.ResourceVersion() || now.GroupVersionKind() != configMapKind {
						t.Errorf("AddFinalizer returned %s at %s, want the object at %s", now.GroupVersionKind(), now.ResourceVersion(), live.ResourceVersion())
					}
				}
			case remove:
				if err := kube.RemoveFinalizer(t.Context(), f.patcher, seen, ours); err != nil {
					t.Fatal(err)
				}
			}
			if have := f.what(); have != tc.want {
				t.Errorf("afterwards there is %s, want %s", have, tc.want)
			}
			requests := 0
			for _, e := range shared.AuditSince(t, mark, agent(t)) {
				if e.UserAgent == agent(t) {
					requests++
				}
			}
			if requests != tc.requests {
				t.Errorf("%d requests, want %d", requests, tc.requests)
			}
		})
	}
}

// An object that the API server does not take any more, as its schema has become narrower, is an
// error, and not one that looks as if it were gone.
func TestFinalizerOfInvalidObject(t *testing.T) {
	f := newFinalized(t, others)
	stale := f.live()
	f.edit(t.Context(), ours, others)
	_, _, err := kube.AddFinalizer(t.Context(), f.patcher, stale, "example.com/no finalizer")
	if !apierrors.IsInvalid(err) {
		t.Errorf("AddFinalizer: %v, want that it is invalid", err)
	}
	if diff := cmp.Diff("[example.com/ours example.com/others]", f.what()); diff != "" {
		t.Errorf("finalizers (-want +have):\n%s", diff)
	}
}

func TestFinalizerIsForbidden(t *testing.T) {
	f := newFinalized(t)
	ns := f.live().Namespace()
	nobody, err := dynamic.NewForConfig(shared.ServiceAccount(t, ns, "nobody"))
	if err != nil {
		t.Fatal(err)
	}
	client := nobody.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(ns)
	if _, _, err := kube.AddFinalizer(t.Context(), client, f.live(), ours); !apierrors.IsForbidden(err) {
		t.Errorf("AddFinalizer: %v, want that it is forbidden", err)
	}
	f.edit(t.Context(), ours)
	if err := kube.RemoveFinalizer(t.Context(), client, f.live(), ours); !apierrors.IsForbidden(err) {
		t.Errorf("RemoveFinalizer: %v, want that it is forbidden", err)
	}
}
