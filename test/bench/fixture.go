package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"golang.org/x/sync/errgroup"

	"kooperd.dev/kooperd/test/bench/order"
	"kooperd.dev/kooperd/test/cluster"
)

// namespace is where all objects are.
const namespace = "bench"

// creators is how many objects are created at a time.
const creators = 32

// shape is what the objects are.
type shape string

// The shapes.
const (
	smallPods   shape = "pods of one container"
	largePods   shape = "pods of two containers with status"
	widgets     shape = "custom objects"
	siteShape   shape = "parents of three ConfigMaps"
	spreadShape shape = "ConfigMaps in twenty namespaces"
)

// pods and widgetKind are the kinds of the objects.
var (
	pods       = order.Kind{Version: "v1", Kind: "Pod", Resource: "pods"}
	widgetKind = order.Kind{Group: "bench.kooperd.dev", Version: "v1", Kind: "Widget", Resource: "widgets"}
)

// fixture is a cluster and what is in it.
type fixture struct {
	shape   shape
	objects int
	audit   bool // whether the cluster keeps its audit log, which slows it down
}

// furnish puts the objects of a fixture into a new cluster.
func (b *bench) furnish(ctx context.Context, c *cluster.Cluster, f fixture) (*scene, error) {
	config := c.AdminConfig()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("asking for the API server's version: %w", err)
	}
	b.server = version.GitVersion
	if err := makeNamespace(ctx, client); err != nil {
		return nil, err
	}
	start := time.Now()
	create, err := f.creator(ctx, client, c.AdminConfig())
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range f.objects {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return create(ctx, i) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("creating objects: %w", err)
	}
	if f.objects == 0 {
		return &scene{bench: b, cluster: c, client: client}, nil
	}
	size, err := f.size(context.WithoutCancel(ctx), client)
	if err != nil {
		return nil, err
	}
	b.sizes = append(b.sizes, fmt.Sprintf("%s: %.1f KB", f.shape, float64(size)/1000))
	progressf("created %d %s of %d bytes as JSON in %s", f.objects, f.shape, size, time.Since(start).Round(time.Millisecond))
	return &scene{bench: b, cluster: c, client: client, objects: f.objects}, nil
}

// creator returns what creates one object.
func (f fixture) creator(ctx context.Context, client kubernetes.Interface, config *rest.Config) (func(ctx context.Context, i int) error, error) {
	switch f.shape {
	case widgets:
		return widgetCreator(ctx, client, config)
	case siteShape: // There are none before a program runs, but their kind is.
		_, err := defineKind(ctx, client, config, siteDefinition, siteKind)
		return nil, err
	case spreadShape:
		return configMapCreator(ctx, client)
	}
	return func(ctx context.Context, i int) error {
		pod, err := client.CoreV1().Pods(namespace).Create(ctx, newPod(f.shape, i), metav1.CreateOptions{})
		if err != nil || f.shape == smallPods {
			return err
		}
		pod.Status = runningStatus(pod)
		_, err = client.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: "kubelet"})
		return err
	}, nil
}

// size returns how long the first object is as JSON.
func (f fixture) size(ctx context.Context, client kubernetes.Interface) (int, error) {
	if f.shape == spreadShape {
		return configMapSize(ctx, client)
	}
	if f.shape == widgets {
		data, err := client.Discovery().RESTClient().Get().AbsPath(widgetPath, objectName(0)).SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
		if err != nil {
			return 0, fmt.Errorf("reading an object: %w", err)
		}
		return len(data), nil
	}
	pod, err := client.CoreV1().Pods(namespace).Get(ctx, objectName(0), metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading an object: %w", err)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		return 0, fmt.Errorf("reading an object: %w", err)
	}
	return len(data), nil
}

// objectName is that of object i.
func objectName(i int) string { return fmt.Sprintf("web-7c5ddbdf54-%06d", i) }

// makeNamespace makes the namespace and waits until pods can be created in it.
func makeNamespace(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("making the namespace: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for the namespace's service account: %w", err)
	}
	return nil
}
