package main

import (
	"context"
	_ "embed" // for widgets.json
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/bench/order"
)

//go:embed widgets.json
var widgetDefinition []byte

// widgetPath is where the custom objects are.
const widgetPath = "/apis/bench.kooperd.dev/v1/namespaces/" + namespace + "/widgets"

// widgetCreator makes the custom resource and returns what creates one object of it.
func widgetCreator(ctx context.Context, client kubernetes.Interface, config *rest.Config) (func(ctx context.Context, i int) error, error) {
	objects, err := defineKind(ctx, client, config, widgetDefinition, widgetKind)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, i int) error {
		_, err := objects.Create(ctx, newWidget(i), metav1.CreateOptions{})
		return err
	}, nil
}

// defineKind makes a custom resource, waits until it is served, and returns a client for its
// objects.
func defineKind(ctx context.Context, client kubernetes.Interface, config *rest.Config, definition []byte, kind order.Kind) (dynamic.ResourceInterface, error) {
	err := client.Discovery().RESTClient().Post().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").
		SetHeader("Content-Type", "application/json").Body(definition).Do(ctx).Error()
	if err != nil {
		return nil, fmt.Errorf("creating the custom resource: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	objects := dyn.Resource(kind.GVR()).Namespace(namespace)
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := objects.List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the custom resource: %w", err)
	}
	return objects, nil
}

// newWidget returns custom object i: lists of objects with short texts and numbers, as custom
// resources mostly are.
func newWidget(i int) *unstructured.Unstructured {
	var parts []any
	for j := range 11 {
		parts = append(parts, map[string]any{
			"name": fmt.Sprintf("part-%d", j), "image": fmt.Sprintf("registry.example.com/shop/part-%d:v1.42.%d", j, i%10),
			"replicas": int64(j + 1), "enabled": j%2 == 0, "ports": []any{int64(8080 + j), int64(9090 + j)},
			"selector": map[string]any{"app": "web", "part": fmt.Sprint(j), "instance": fmt.Sprintf("shop-%d", i%50)},
			"command":  []any{"serve", "--port=8080", "--region=eu-central-1"},
		})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": widgetKind.GVK().GroupVersion().String(), "kind": widgetKind.Kind,
		"metadata": map[string]any{
			"name": objectName(i), "namespace": namespace,
			"labels":      map[string]any{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": fmt.Sprintf("shop-%d", i%50)},
			"annotations": map[string]any{"description": strings.Repeat("of no use ", 10)},
		},
		"spec": map[string]any{"size": int64(i), "parts": parts},
	}}
}
