package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"

	"kooperd.dev/kooperd/test/bench/order"
)

const (
	// kroFolder is that of the Go module which builds kro.
	kroFolder  = "../../tools/kro"
	kroModule  = "github.com/kubernetes-sigs/kro"
	kroCommand = kroModule + "/cmd/controller"
)

// graphKind is the kind of the parents that kro makes children of. Kro itself makes the custom
// resource.
var graphKind = order.Kind{Group: "kro.bench.kooperd.dev", Version: "v1", Kind: "Site", Resource: "sites"}

// graphName is the name of the one ResourceGraphDefinition.
const graphName = "site"

// graphDefinitions and definedKinds are resources of kro and of the API server.
var (
	graphDefinitions = schema.GroupVersionResource{Group: "kro.run", Version: "v1alpha1", Resource: "resourcegraphdefinitions"}
	definedKinds     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// kroArgs returns the command line of kro: with what its chart sets, and for an order with workers
// with limits that do not hold it back.
func kroArgs(o order.Order) []string {
	args := []string{
		"--metrics-bind-address", o.Metrics, "--health-probe-bind-address", "127.0.0.1:0",
		"--zap-log-level", "info", "--zap-encoder", "console", "--zap-devel=false",
	}
	if o.Workers > 0 {
		args = append(args, "--dynamic-controller-concurrent-reconciles", strconv.Itoa(o.Workers),
			"--client-qps", "1000", "--client-burst", "2000", "--dynamic-controller-rate-limiter-min-delay", "10ms",
			"--dynamic-controller-rate-limiter-rate-limit", "1000", "--dynamic-controller-rate-limiter-burst-limit", "2000")
	}
	if o.LeaseNamespace != "" {
		args = append(args, "--leader-elect", "--leader-election-namespace", o.LeaseNamespace)
	}
	return args
}

// installKro gives the cluster the kinds of kro, and lets kro make that of the parents.
func (s *scene) installKro(ctx context.Context, o order.Order) error {
	if s.graphs {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", kroModule)
	cmd.Dir = kroFolder
	folder, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("finding the module of kro: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(folder)), "helm", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("finding the kinds of kro: %w", errors.Join(err, errors.New("there are none")))
	}
	for _, file := range files {
		if err := s.defineFrom(ctx, file); err != nil {
			return err
		}
	}
	if err := s.awaitServed(ctx, func(ctx context.Context) error { return s.writeGraph(ctx, o) }); err != nil {
		return err
	}
	maker, err := s.start(kro, order.Order{}, s.cluster.AdminKubeconfig())
	if err != nil {
		return err
	}
	err = s.awaitServed(ctx, func(ctx context.Context) error {
		_, err := s.sites(graphKind).List(ctx, metav1.ListOptions{Limit: 1})
		return err
	})
	if err := errors.Join(err, maker.stop()); err != nil {
		return fmt.Errorf("letting kro make its kind: %w", err)
	}
	s.graphs = true
	return nil
}

// defineFrom creates the custom resource in a file.
func (s *scene) defineFrom(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading a custom resource: %w", err)
	}
	crd := &unstructured.Unstructured{}
	if text, err = yaml.ToJSON(text); err == nil {
		err = crd.UnmarshalJSON(text)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if _, err := s.cluster.Dynamic().Resource(definedKinds).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a custom resource: %w", err)
	}
	return nil
}

// awaitServed waits until a request about a new kind finds it.
func (s *scene) awaitServed(ctx context.Context, ask func(context.Context) error) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := ask(ctx)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("waiting for a kind to be served: %w", err)
	}
	return nil
}

// writeGraph tells kro what to make.
func (s *scene) writeGraph(ctx context.Context, o order.Order) error {
	definitions := s.cluster.Dynamic().Resource(graphDefinitions)
	spec := runtime.DeepCopyJSON(graphSpec(o))
	now, err := definitions.Get(ctx, graphName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = definitions.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": graphDefinitions.GroupVersion().String(), "kind": "ResourceGraphDefinition",
			"metadata": map[string]any{"name": graphName}, "spec": spec,
		}}, metav1.CreateOptions{})
	case err == nil:
		now.Object["spec"] = spec
		_, err = definitions.Update(ctx, now, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing the definition for kro: %w", err)
	}
	return nil
}

// awaitGraph waits until kro says that it works by the present definition.
func (s *scene) awaitGraph(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		now, err := s.cluster.Dynamic().Resource(graphDefinitions).Get(ctx, graphName, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		var definition struct {
			Status struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"status"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(now.Object, &definition); err != nil {
			return false, err
		}
		for _, c := range definition.Status.Conditions {
			if c.Type == order.Ready {
				return c.Status == metav1.ConditionTrue && c.ObservedGeneration == now.GetGeneration(), nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for kro to accept its definition: %w", err)
	}
	return nil
}
