// Command informer is the floor of the benchmark: bare informers of client-go, or a bare watch,
// whose event handlers do the work at once. It has no queue, no retries, no leader election and no
// metrics.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/pkg/signals"
	"kooperd.dev/kooperd/test/bench/order"
)

func main() {
	if err := run(signals.Context()); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "informer: %v\n", err)
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
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(clientcmd.RecommendedConfigPathEnvVar))
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS, config.UserAgent = -1, "informer"
	w := worker{order: o, tally: tally, config: config}
	switch {
	case o.Work == order.Compose:
		err = w.compose(ctx)
	case o.View == order.Watch:
		err = w.watch(ctx)
	default:
		err = w.inform(ctx)
	}
	if err != nil {
		return err
	}
	return tally.Close()
}

// worker does the ordered work.
type worker struct {
	order  order.Order
	tally  *order.Tally
	config *rest.Config
}

// inform runs one informer for each kind, with all handlers of that kind.
func (w worker) inform(ctx context.Context) error {
	inform, start, err := w.factory()
	if err != nil {
		return err
	}
	for i := range w.order.Definitions {
		informer, err := inform(w.order.KindOf(i))
		if err != nil {
			return fmt.Errorf("making an informer: %w", err)
		}
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { w.handle(i, obj) },
			UpdateFunc: func(_, obj any) { w.handle(i, obj) },
		})
		if err != nil {
			return fmt.Errorf("adding a handler: %w", err)
		}
	}
	start(ctx.Done())
	<-ctx.Done()
	return nil
}

// factory returns what makes informers of the ordered view, and what starts them.
func (w worker) factory() (inform func(order.Kind) (cache.SharedIndexInformer, error), start func(<-chan struct{}), err error) {
	switch w.order.View {
	case order.Metadata:
		client, err := metadata.NewForConfig(w.config)
		if err != nil {
			return nil, nil, fmt.Errorf("making a client: %w", err)
		}
		f := metadatainformer.NewSharedInformerFactory(client, w.order.Resync)
		return func(k order.Kind) (cache.SharedIndexInformer, error) { return f.ForResource(k.GVR()).Informer(), nil }, f.Start, nil
	case order.Unstructured:
		client, err := dynamic.NewForConfig(w.config)
		if err != nil {
			return nil, nil, fmt.Errorf("making a client: %w", err)
		}
		f := dynamicinformer.NewDynamicSharedInformerFactory(client, w.order.Resync)
		return func(k order.Kind) (cache.SharedIndexInformer, error) { return f.ForResource(k.GVR()).Informer(), nil }, f.Start, nil
	default:
		client, err := w.typed()
		if err != nil {
			return nil, nil, err
		}
		f := informers.NewSharedInformerFactory(client, w.order.Resync)
		return func(k order.Kind) (cache.SharedIndexInformer, error) {
			informer, err := f.ForResource(k.GVR())
			if err != nil {
				return nil, err
			}
			return informer.Informer(), nil
		}, f.Start, nil
	}
}

// typed returns a client that speaks protobuf.
func (w worker) typed() (kubernetes.Interface, error) {
	config := rest.CopyConfig(w.config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return client, nil
}

// watch sees every change of pods from now on.
func (w worker) watch(ctx context.Context) error {
	client, err := w.typed()
	if err != nil {
		return err
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("finding out where to watch from: %w", err)
	}
	for i := range w.order.Definitions {
		for j := range w.order.Objects { // There is nothing to handle first: it is ready.
			w.tally.Handled(i, fmt.Sprintf("none-%d", j))
		}
	}
	// The API server ends the watch of a client that does not keep up, as may happen to any on a
	// busy machine.
	for version := pods.ResourceVersion; err == nil && ctx.Err() == nil; {
		version, err = w.watchFrom(ctx, client, version)
	}
	return err
}

// watchFrom sees every change after one version until the watch ends, and returns the version to go
// on from.
func (w worker) watchFrom(ctx context.Context, client kubernetes.Interface, version string) (string, error) {
	events, err := client.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		if ctx.Err() != nil {
			return version, nil
		}
		return "", fmt.Errorf("watching: %w", err)
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		if event.Type == watch.Error && ctx.Err() == nil {
			return "", fmt.Errorf("watching: %w", apierrors.FromObject(event.Object))
		}
		w.handle(0, event.Object)
		if object, err := meta.Accessor(event.Object); err == nil {
			version = object.GetResourceVersion()
		}
	}
	return version, nil
}

// handle does the ordered work for one object.
func (w worker) handle(definition int, obj any) {
	entered := time.Now()
	object, err := meta.Accessor(obj)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "informer: reading %T: %v\n", obj, err)
		return
	}
	switch w.order.Work {
	case order.Decode:
		err := w.tally.Decode(func() error {
			if pod, ok := obj.(*corev1.Pod); ok {
				_ = pod.DeepCopy()
			}
			return nil
		})
		if err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "informer: %v\n", err)
		}
	case order.Stamp:
		w.tally.Stamped(definition, object.GetAnnotations()[order.Annotation], entered)
	case order.Nothing, order.Compose:
	}
	w.tally.Handled(definition, object.GetName())
}
