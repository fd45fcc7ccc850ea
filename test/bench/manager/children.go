package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kooperd.dev/kooperd/test/bench/order"
)

// addComposer adds the controller of a definition that makes children, as the book about it
// advises: it owns the children, and changes of the status alone do not call it.
func addComposer(m ctrl.Manager, o order.Order, tally *order.Tally, definition int) error {
	addSites(m.GetScheme(), o.KindOf(definition).GVK())
	return ctrl.NewControllerManagedBy(m).Named(order.Name(definition)).
		For(&Site{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&corev1.ConfigMap{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(o.Workers, 1)}).
		Complete(&composer{client: m.GetClient(), order: o, tally: tally, definition: definition})
}

// composer makes the children of parents.
type composer struct {
	client     client.Client
	order      order.Order
	tally      *order.Tally
	definition int
}

// Reconcile makes the children of one parent, and its status.
func (c *composer) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var site Site
	if err := c.client.Get(ctx, req.NamespacedName, &site); err != nil || site.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	for _, part := range c.order.Children() {
		child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: order.ChildName(site.Name, part), Namespace: site.Namespace}}
		_, err := controllerutil.CreateOrUpdate(ctx, c.client, child, func() error {
			child.Data = c.order.ChildData(site.Spec, part)
			return controllerutil.SetControllerReference(&site, child, c.client.Scheme())
		})
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("making the %s: %w", part, err)
		}
	}
	if err := c.writeStatus(ctx, &site); err != nil {
		return reconcile.Result{}, err
	}
	c.tally.Handled(c.definition, req.Name)
	return reconcile.Result{}, nil
}

// writeStatus writes the status of a parent if it is another one.
func (c *composer) writeStatus(ctx context.Context, site *Site) error {
	before, _ := site.DeepCopyObject().(*Site) // It is none but that.
	site.Status.Observed = site.Spec.Text
	meta.SetStatusCondition(&site.Status.Conditions, metav1.Condition{
		Type: order.Ready, Status: metav1.ConditionTrue, Reason: "Made", ObservedGeneration: site.Generation,
	})
	if equality.Semantic.DeepEqual(before.Status, site.Status) {
		return nil
	}
	if err := c.client.Status().Update(ctx, site); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}
