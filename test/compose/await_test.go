package compose_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// objects are those of one resource in a namespace, by name.
type objects map[string]*unstructured.Unstructured

// names are the sorted names.
func (o objects) names() []string { return slices.Sorted(maps.Keys(o)) }

// text returns a field of an object that is a text, or "" if there is none.
func (o objects) text(name string, path ...string) string {
	if o[name] == nil {
		return ""
	}
	value, _, _ := unstructured.NestedString(o[name].Object, path...)
	return value
}

// condition returns status, reason and message of a condition of an object.
func (o objects) condition(name, kind string) (status, reason, message string) {
	if o[name] == nil {
		return "", "", ""
	}
	return conditionOf(o[name], kind)
}

func conditionOf(object *unstructured.Unstructured, kind string) (status, reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range conditions {
		if c, _ := item.(map[string]any); c["type"] == kind {
			return fmt.Sprint(c["status"]), fmt.Sprint(c["reason"]), fmt.Sprint(c["message"])
		}
	}
	return "", "", ""
}

// place is where objects are.
type place struct {
	resource  schema.GroupVersionResource
	namespace string
}

// world is what several places have, kept up to date by watches.
type world struct {
	changed chan struct{} // has something when there is something new

	mu     sync.Mutex
	places map[place]objects // without those that are not known yet
	err    error
}

// observe watches places until ctx ends. The caller waits for its end by the group.
func observe(ctx context.Context, running *sync.WaitGroup, places ...place) *world {
	w := &world{changed: make(chan struct{}, 1), places: map[place]objects{}}
	for _, p := range places {
		running.Go(func() {
			for ctx.Err() == nil {
				if err := w.follow(ctx, p); err != nil && ctx.Err() == nil {
					w.set(func() { w.err = err })
					return
				}
			}
		})
	}
	return w
}

// follow keeps one place up to date until the watch ends.
func (w *world) follow(ctx context.Context, p place) error {
	client := shared.Dynamic().Resource(p.resource).Namespace(p.namespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	w.set(func() {
		w.places[p] = objects{}
		for i := range list.Items {
			w.places[p][list.Items[i].GetName()] = &list.Items[i]
		}
	})
	events, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		switch {
		case !ok || event.Type == watch.Error:
			return nil // It is begun again.
		case event.Type == watch.Deleted:
			w.set(func() { delete(w.places[p], object.GetName()) })
		default:
			w.set(func() { w.places[p][object.GetName()] = object })
		}
	}
	return nil
}

func (w *world) set(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// await waits until the world is as wanted, and reports whether it is: not so when stop is closed
// before.
func (w *world) await(t testing.TB, what string, stop <-chan struct{}, done func(at map[place]objects) bool) bool {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		ok, err := done(w.places), w.err
		w.mu.Unlock()
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok {
			return true
		}
		select {
		case <-w.changed:
		case <-stop:
			return false
		case <-deadline:
			t.Fatalf("after %s, it is not so: %s; there is:\n%s", patience, what, w.show())
		}
	}
}

// show is for people.
func (w *world) show() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := ""
	for p, o := range w.places {
		text += fmt.Sprintf("%s in %s: %s\n", p.resource.Resource, p.namespace, o.show())
	}
	return text
}

// await waits until the objects of a resource in the namespace of the parents are as wanted, and
// returns them.
func (r *rig) await(t testing.TB, resource schema.GroupVersionResource, what string, done func(objects) bool) objects {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	here := place{resource, r.namespace}
	parents := place{things, r.namespace} // They say what is wrong.
	w := observe(ctx, &running, slices.Compact([]place{here, parents})...)
	var seen objects
	w.await(t, what, nil, func(at map[place]objects) bool {
		seen = maps.Clone(at[here])
		return seen != nil && done(seen)
	})
	return seen
}

// list returns the objects of a resource as they are.
func (r *rig) list(t testing.TB, resource schema.GroupVersionResource) objects {
	t.Helper()
	list, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatalf("listing %s: %v", resource.Resource, err)
	}
	all := objects{}
	for i := range list.Items {
		all[list.Items[i].GetName()] = &list.Items[i]
	}
	return all
}

// show is for people.
func (o objects) show() string {
	text := ""
	for _, name := range o.names() {
		if name == "kube-root-ca.crt" {
			continue
		}
		object := o[name].DeepCopy()
		object.SetManagedFields(nil)
		data, err := object.MarshalJSON()
		if err != nil {
			return err.Error()
		}
		text += string(data)
		if len(text) > 20000 {
			return text[:20000] + "…"
		}
	}
	return text
}

// ready waits until a parent is ready as it is now, and returns it.
func (r *rig) ready(t testing.TB, name string) *unstructured.Unstructured {
	t.Helper()
	return r.await(t, things, name+" ready at its generation", func(o objects) bool { return isReady(o[name]) })[name]
}

func isReady(parent *unstructured.Unstructured) bool {
	if parent == nil {
		return false
	}
	status, _, _ := conditionOf(parent, "Ready")
	generation, _, _ := unstructured.NestedInt64(parent.Object, "status", "observedGeneration")
	return status == "True" && generation == parent.GetGeneration()
}
