package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"kooperd.dev/kooperd/test/failover/marker"
)

// controller is one informer, one queue and some workers.
type controller struct {
	config   config
	writer   *marker.Writer
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

func newController(client kubernetes.Interface, c config, writer *marker.Writer) *controller {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(c.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = marker.LabelTarget }))
	return &controller{
		config: c, writer: writer, informer: factory.Core().V1().ConfigMaps().Informer(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
}

// warm starts the informer, which ends with ctx, and returns when its cache is filled.
func (c *controller) warm(ctx context.Context) error {
	_, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, object any) { c.enqueue(object) },
	})
	if err != nil {
		return fmt.Errorf("watching the targets: %w", err)
	}
	go c.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
		return errors.New("waiting for the cache: stopped")
	}
	return nil
}

func (c *controller) enqueue(object any) {
	if name, err := cache.ObjectToName(object); err == nil {
		c.queue.Add(name)
	}
}

// run works until ctx ends and every call has returned.
func (c *controller) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range c.config.Workers {
		workers.Go(func() {
			for c.handleNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.queue.ShutDown()
	workers.Wait()
}

// handleNext handles one object and reports false when there will be no more.
func (c *controller) handleNext(ctx context.Context) bool {
	name, shutdown := c.queue.Get()
	if shutdown {
		return false
	}
	defer c.queue.Done(name)
	_ = c.writer.Write(ctx, name.Namespace, name.Name) // as in the plugin: a failure changes nothing
	if c.config.Takes > 0 {
		timer := time.NewTimer(time.Duration(c.config.Takes))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		_ = c.writer.Write(ctx, name.Namespace, name.Name)
	}
	c.queue.AddAfter(name, time.Duration(c.config.Interval))
	return true
}
