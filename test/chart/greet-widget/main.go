// Command greet-widget is what the chart's example of a custom resource runs for each Widget: it
// reads the object from its standard input and writes a greeting into the status, as the service
// account of its pod. It does so once for each generation.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// widget is as much of a Widget as this program knows.
type widget struct {
	Metadata struct {
		Namespace  string `json:"namespace"`
		Name       string `json:"name"`
		Generation int64  `json:"generation"`
	} `json:"metadata"`
	Spec struct {
		Who string `json:"who"`
	} `json:"spec"`
	Status status `json:"status"`
}

type status struct {
	Greeting   string `json:"greeting"`
	Generation int64  `json:"generation"`
	By         string `json:"by"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) //nolint:forbidigo // a program begins its context
	defer cancel()
	if err := greet(ctx, os.Stdin); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // the context ends with the process
	}
}

// greet writes the greeting of the Widget in r.
func greet(ctx context.Context, r io.Reader) error {
	var w widget
	if err := json.NewDecoder(r).Decode(&w); err != nil {
		return fmt.Errorf("reading the widget: %w", err)
	}
	if w.Status.Generation == w.Metadata.Generation {
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG")) // Without it, as in a pod.
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	patch, err := json.Marshal(map[string]status{
		"status": {Greeting: "hello, " + w.Spec.Who, Generation: w.Metadata.Generation, By: os.Getenv("POD_NAME")},
	})
	if err != nil {
		return fmt.Errorf("writing the patch: %w", err)
	}
	widgets := client.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"})
	_, err = widgets.Namespace(w.Metadata.Namespace).Patch(ctx, w.Metadata.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("greeting %s: %w", w.Metadata.Name, err)
	}
	return nil
}
