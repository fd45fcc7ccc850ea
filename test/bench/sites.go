package main

import (
	"context"
	_ "embed" // for sites.json
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/test/bench/order"
)

//go:embed sites.json
var siteDefinition []byte

// siteKind is the kind of the parents, whose children are ConfigMaps.
var siteKind = order.Kind{Group: "bench.kooperd.dev", Version: "v1", Kind: "Site", Resource: "sites"}

// siteCreators is how many parents are created at a time.
const siteCreators = 16

// siteName is that of parent i.
func siteName(i int) string { return fmt.Sprintf("site-%06d", i) }

// siteText is what parent i says.
func siteText(i int) string { return fmt.Sprintf("the text of parent %06d", i) }

// sites returns a client for parents of a kind.
func (s *scene) sites(kind order.Kind) dynamic.ResourceInterface {
	return s.cluster.Dynamic().Resource(kind.GVR()).Namespace(namespace)
}

// createSite creates parent i of a kind.
func (s *scene) createSite(ctx context.Context, kind order.Kind, i int) error {
	site := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GVK().GroupVersion().String(), "kind": kind.Kind,
		"metadata": map[string]any{"name": siteName(i), "namespace": namespace},
		"spec":     map[string]any{"text": siteText(i)},
	}}
	_, err := s.sites(kind).Create(ctx, site, metav1.CreateOptions{})
	return err
}

// createSites creates the parents from one number up to another.
func (s *scene) createSites(ctx context.Context, kind order.Kind, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(siteCreators)
	for i := from; i < to && ctx.Err() == nil; i++ {
		group.Go(func() error { return s.createSite(ctx, kind, i) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("creating parents: %w", err)
	}
	return nil
}

// clearSites deletes all parents and children, the children first so that the garbage collector has
// nothing to do, and waits until they are gone.
func (s *scene) clearSites(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reportTimeout, errors.New("the objects of the last run are still there"))
	defer cancel()
	kinds := []order.Kind{siteKind}
	if s.graphs {
		kinds = append(kinds, graphKind)
	}
	children, own := s.client.CoreV1().ConfigMaps(namespace), metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"}
	for {
		if err := children.DeleteCollection(ctx, metav1.DeleteOptions{}, own); err != nil {
			return fmt.Errorf("deleting children: %w", err)
		}
		maps, err := children.List(ctx, own)
		if err != nil {
			return fmt.Errorf("listing children: %w", err)
		}
		left := len(maps.Items)
		for _, kind := range kinds {
			parents, err := s.deleteSites(ctx, kind)
			if err != nil {
				return err
			}
			left += parents
		}
		if left == 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("deleting parents: %w", err)
		}
	}
}

// deleteSites deletes all parents of a kind, whose program is gone and will not remove its
// finalizer, and returns how many are left.
func (s *scene) deleteSites(ctx context.Context, kind order.Kind) (int, error) {
	sites := s.sites(kind)
	if err := sites.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return 0, fmt.Errorf("deleting parents: %w", err)
	}
	parents, err := sites.List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing parents: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(siteCreators)
	for i := range parents.Items {
		if len(parents.Items[i].GetFinalizers()) == 0 {
			continue
		}
		group.Go(func() error {
			patch := []byte(`{"metadata":{"finalizers":null}}`)
			_, err := sites.Patch(ctx, parents.Items[i].GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("removing finalizers: %w", err)
	}
	return len(parents.Items), nil
}
