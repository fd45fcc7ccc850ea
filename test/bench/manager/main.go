// Command manager does the work of the benchmark as a manager of controller-runtime does it: one
// controller for each definition, one shared cache, the settings that controller-runtime has by
// itself.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kooperd.dev/kooperd/test/bench/order"
)

func main() {
	ctrl.SetLogger(logr.Discard())
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "manager: %v\n", err)
		os.Exit(1)
	}
}

// run works until ctx ends.
func run(ctx context.Context) error {
	o, err := order.FromEnv()
	if err != nil {
		return err
	}
	tally, err := order.NewTally(o, os.Stdout)
	if err != nil {
		return err
	}
	m, err := newManager(o)
	if err != nil {
		return err
	}
	for i := range o.Definitions {
		if err := add(m, o, tally, i); err != nil {
			return fmt.Errorf("adding a controller: %w", err)
		}
	}
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return tally.Close()
}

// newManager makes the manager of all definitions.
func newManager(o order.Order) (ctrl.Manager, error) {
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.UserAgent = "manager"
	options := ctrl.Options{
		Scheme:                        scheme.Scheme,
		Metrics:                       server.Options{BindAddress: o.Metrics},
		HealthProbeBindAddress:        "127.0.0.1:0",
		LeaderElection:                o.LeaseNamespace != "",
		LeaderElectionID:              "manager",
		LeaderElectionNamespace:       o.LeaseNamespace,
		LeaderElectionReleaseOnCancel: true,
	}
	if o.Resync > 0 {
		options.Cache.SyncPeriod = &o.Resync
	}
	m, err := ctrl.NewManager(config, options)
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return m, nil
}

// add adds the controller of one definition.
func add(m ctrl.Manager, o order.Order, tally *order.Tally, definition int) error {
	if o.Work == order.Compose {
		return addComposer(m, o, tally, definition)
	}
	gvk := o.KindOf(definition).GVK()
	b := ctrl.NewControllerManagedBy(m).Named(order.Name(definition))
	switch o.View {
	case order.Metadata:
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(gvk)
		b = b.For(object, builder.OnlyMetadata)
	case order.Unstructured:
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(gvk)
		b = b.For(object)
	default:
		typed, err := m.GetScheme().New(gvk)
		if err != nil {
			return fmt.Errorf("finding the type of %s: %w", gvk.Kind, err)
		}
		object, ok := typed.(client.Object)
		if !ok {
			return fmt.Errorf("finding the type of %s: %T is no object", gvk.Kind, typed)
		}
		b = b.For(object)
	}
	return b.Complete(&reconciler{client: m.GetClient(), order: o, tally: tally, definition: definition})
}

// reconciler is that of one definition.
type reconciler struct {
	client     client.Client
	order      order.Order
	tally      *order.Tally
	definition int
}

// Reconcile does the ordered work for one object.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	entered := time.Now()
	switch r.order.Work {
	case order.Decode:
		var pod corev1.Pod
		if err := r.tally.Decode(func() error { return r.client.Get(ctx, req.NamespacedName, &pod) }); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	case order.Stamp:
		var pod corev1.Pod
		if err := r.client.Get(ctx, req.NamespacedName, &pod); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		time.Sleep(r.order.Takes)
		r.tally.Stamped(r.definition, pod.Annotations[order.Annotation], entered)
	case order.Nothing, order.Compose:
	}
	r.tally.Handled(r.definition, req.Name)
	return reconcile.Result{}, nil
}
