package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/bench/order"
)

// composer is the floor of what makes children: it sends each child and each status as one request
// as soon as a parent comes, and knows nothing of what is there already.
type composer struct {
	order order.Order
	sites dynamic.NamespaceableResourceInterface
	typed kubernetes.Interface
	rest  rest.Interface

	mu      sync.Mutex
	parents map[string]parent // by name
}

// parent is what matters of one.
type parent struct {
	Metadata struct {
		Name       string    `json:"name"`
		Namespace  string    `json:"namespace"`
		UID        types.UID `json:"uid"`
		Generation int64     `json:"generation"`
	} `json:"metadata"`
	Spec order.Spec `json:"spec"`
}

// queueLength is more than what waits to be sent at any time, so that no watch is held up.
const queueLength = 100_000

// compose makes the children of all parents.
func (w worker) compose(ctx context.Context) error {
	dyn, err := dynamic.NewForConfig(w.config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	typed, err := w.typed()
	if err != nil {
		return err
	}
	c := &composer{order: w.order, sites: dyn.Resource(w.order.KindOf(0).GVR()), typed: typed, rest: typed.CoreV1().RESTClient(), parents: map[string]parent{}}
	group, ctx := errgroup.WithContext(ctx)
	tasks := make(chan func() error, queueLength)
	group.Go(func() error { return c.watchParents(ctx, tasks) })
	if w.order.Repair {
		group.Go(func() error { return c.watchChildren(ctx, tasks) })
	}
	for range max(w.order.Workers, 1) {
		group.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case task := <-tasks:
					if err := task(); err != nil && ctx.Err() == nil {
						return err
					}
				}
			}
		})
	}
	return group.Wait()
}

// watchParents makes the children of all parents that there are and that come.
func (c *composer) watchParents(ctx context.Context, tasks chan<- func() error) error {
	list, err := c.sites.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing parents: %w", err)
	}
	for i := range list.Items {
		if err := c.take(ctx, &list.Items[i], tasks); err != nil {
			return err
		}
	}
	options := metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}
	return follow(ctx, options, c.sites.Watch, func(event watch.Event) error {
		if object, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Deleted {
			return c.take(ctx, object, tasks)
		}
		return nil
	})
}

// follow sees every event after the version of the options until ctx ends. The API server ends the
// watch of a client that does not keep up; then another one goes on.
func follow(ctx context.Context, options metav1.ListOptions, open func(context.Context, metav1.ListOptions) (watch.Interface, error),
	see func(watch.Event) error) error {
	for ctx.Err() == nil {
		events, err := open(ctx, options)
		if err == nil {
			err = drain(events, &options, see)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
	return nil
}

// drain sees every event of one watch, and notes the version to go on from.
func drain(events watch.Interface, options *metav1.ListOptions, see func(watch.Event) error) error {
	defer events.Stop()
	for event := range events.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		if err := see(event); err != nil {
			return err
		}
		if object, err := meta.Accessor(event.Object); err == nil {
			options.ResourceVersion = object.GetResourceVersion()
		}
	}
	return nil
}

// take orders what a parent needs unless it is as it was.
func (c *composer) take(ctx context.Context, object *unstructured.Unstructured, tasks chan<- func() error) error {
	var p parent
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &p); err != nil {
		return fmt.Errorf("reading a parent: %w", err)
	}
	c.mu.Lock()
	before := c.parents[p.Metadata.Name]
	c.parents[p.Metadata.Name] = p
	c.mu.Unlock()
	if before == p {
		return nil
	}
	tasks <- func() error {
		for _, part := range c.order.Children() {
			if err := c.apply(ctx, p, part); err != nil {
				return err
			}
		}
		return c.writeStatus(ctx, p)
	}
	return nil
}

// apply sends one child, with all that kooperd writes into it.
func (c *composer) apply(ctx context.Context, p parent, part string) error {
	name, data := order.ChildName(p.Metadata.Name, part), c.order.ChildData(p.Spec, part)
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{
			"name": name, "namespace": p.Metadata.Namespace,
			"labels": map[string]string{"floor.bench.kooperd.dev/installation": "3ae0c5a1b47f",
				"floor.bench.kooperd.dev/definition": order.Name(0), "floor.bench.kooperd.dev/parent-uid": string(p.Metadata.UID)},
			"annotations": map[string]string{"floor.bench.kooperd.dev/parent": p.Metadata.Namespace + "/" + p.Metadata.Name,
				"floor.bench.kooperd.dev/child": part, "floor.bench.kooperd.dev/applied": "v1:5f2b9c0e7d1a4863b6e5a0c94d72f818"},
			"ownerReferences": []metav1.OwnerReference{{
				APIVersion: c.order.KindOf(0).GVK().GroupVersion().String(), Kind: c.order.KindOf(0).Kind,
				Name: p.Metadata.Name, UID: p.Metadata.UID, Controller: new(true),
			}},
		},
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	err = c.rest.Patch(types.ApplyPatchType).AbsPath("/api/v1/namespaces", p.Metadata.Namespace, "configmaps", name).
		Param("fieldManager", "floor").Param("force", "true").Body(body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("applying %s: %w", name, err)
	}
	return nil
}

// writeStatus says that the children of a parent are there.
func (c *composer) writeStatus(ctx context.Context, p parent) error {
	now := metav1.NewTime(time.Now())
	condition := func(name, reason string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: name, Status: status, Reason: reason, ObservedGeneration: p.Metadata.Generation, LastTransitionTime: now}
	}
	body, err := json.Marshal(map[string]any{"status": map[string]any{
		"observed": c.order.Observed(p.Spec), "observedGeneration": p.Metadata.Generation,
		"conditions": []metav1.Condition{
			condition(order.Ready, "Ready", metav1.ConditionTrue), condition("Progressing", "Settled", metav1.ConditionFalse),
			condition("Degraded", "AsDesired", metav1.ConditionFalse),
		},
	}})
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", p.Metadata.Name, err)
	}
	gvr := c.order.KindOf(0).GVR()
	err = c.rest.Patch(types.MergePatchType).
		AbsPath("/apis", gvr.Group, gvr.Version, "namespaces", p.Metadata.Namespace, gvr.Resource, p.Metadata.Name, "status").
		Param("fieldManager", "floor").Body(body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("writing the status of %s: %w", p.Metadata.Name, err)
	}
	return nil
}

// watchChildren sends every child again that is not as it should be.
func (c *composer) watchChildren(ctx context.Context, tasks chan<- func() error) error {
	children := c.typed.CoreV1().ConfigMaps(metav1.NamespaceAll)
	options := metav1.ListOptions{LabelSelector: "floor.bench.kooperd.dev/installation"}
	list, err := children.List(ctx, options)
	if err != nil {
		return fmt.Errorf("listing children: %w", err)
	}
	options.ResourceVersion = list.ResourceVersion
	return follow(ctx, options, children.Watch, func(event watch.Event) error {
		child, ok := event.Object.(*corev1.ConfigMap)
		if !ok || len(child.OwnerReferences) != 1 {
			return nil
		}
		c.mu.Lock()
		p, lives := c.parents[child.OwnerReferences[0].Name]
		c.mu.Unlock()
		part := child.Annotations["floor.bench.kooperd.dev/child"]
		if lives && (event.Type == watch.Deleted || !maps.Equal(child.Data, c.order.ChildData(p.Spec, part))) {
			tasks <- func() error { return c.apply(ctx, p, part) }
		}
		return nil
	})
}
