package main

import (
	"context"
	_ "embed" // for sites.json
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// sites returns a client for parents.
func (s *scene) sites() dynamic.ResourceInterface {
	return s.cluster.Dynamic().Resource(siteKind.GVR()).Namespace(namespace)
}

// createSite creates parent i.
func (s *scene) createSite(ctx context.Context, i int) error {
	site := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": siteKind.GVK().GroupVersion().String(), "kind": siteKind.Kind,
		"metadata": map[string]any{"name": siteName(i), "namespace": namespace},
		"spec":     map[string]any{"text": siteText(i)},
	}}
	_, err := s.sites().Create(ctx, site, metav1.CreateOptions{})
	return err
}

// createSites creates the parents from one number up to another.
func (s *scene) createSites(ctx context.Context, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(siteCreators)
	for i := from; i < to && ctx.Err() == nil; i++ {
		group.Go(func() error { return s.createSite(ctx, i) })
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
	sites, children := s.sites(), s.client.CoreV1().ConfigMaps(namespace)
	own := metav1.ListOptions{FieldSelector: "metadata.name!=kube-root-ca.crt"}
	for {
		if err := children.DeleteCollection(ctx, metav1.DeleteOptions{}, own); err != nil {
			return fmt.Errorf("deleting children: %w", err)
		}
		if err := sites.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return fmt.Errorf("deleting parents: %w", err)
		}
		maps, err := children.List(ctx, own)
		if err != nil {
			return fmt.Errorf("listing children: %w", err)
		}
		parents, err := sites.List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing parents: %w", err)
		}
		if len(maps.Items)+len(parents.Items) == 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("deleting parents: %w", err)
		}
	}
}
