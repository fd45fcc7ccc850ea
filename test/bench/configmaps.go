package main

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/test/bench/order"
)

// configMapKind is the kind of the objects of spreadShape.
var configMapKind = order.Kind{Version: "v1", Kind: "ConfigMap", Resource: "configmaps"}

// spreadNamespaces are where the objects of spreadShape are, as many in each.
var spreadNamespaces = func() (names []string) {
	for i := range 20 {
		names = append(names, fmt.Sprintf("%s-%02d", namespace, i))
	}
	return names
}()

// configMapCreator returns what creates one object of spreadShape, and makes their namespaces.
// Objects have the same names in each.
func configMapCreator(ctx context.Context, client kubernetes.Interface) (func(ctx context.Context, i int) error, error) {
	for _, name := range spreadNamespaces {
		made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, made, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("making a namespace: %w", err)
		}
	}
	return func(ctx context.Context, i int) error {
		of := len(spreadNamespaces)
		made := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: objectName(i / of), Labels: map[string]string{"app.kubernetes.io/name": "web"}},
			Data:       map[string]string{"number": fmt.Sprint(i), "region": "eu-central-1"},
		}
		_, err := client.CoreV1().ConfigMaps(spreadNamespaces[i%of]).Create(ctx, made, metav1.CreateOptions{})
		return err
	}, nil
}

// configMapSize returns how long the first of them is as JSON.
func configMapSize(ctx context.Context, client kubernetes.Interface) (int, error) {
	first, err := client.CoreV1().ConfigMaps(spreadNamespaces[0]).Get(ctx, objectName(0), metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("reading an object: %w", err)
	}
	data, err := json.Marshal(first)
	if err != nil {
		return 0, fmt.Errorf("reading an object: %w", err)
	}
	return len(data), nil
}
