package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// tryLive is a trial by a cluster.
type tryLive struct {
	*tryRun
	where   clusterConfig
	cluster *kube.Cluster
	clients handlers.Clients
}

// live tries objects by a cluster.
func (r *tryRun) live(ctx context.Context, report *tryReport) error {
	l := &tryLive{tryRun: r}
	objects, named, err := r.liveObjects()
	if err != nil {
		return err
	}
	if l.where, err = loadClusterConfig(r.flags.cluster.kubeconfig, r.flags.cluster.context); err != nil {
		return err
	}
	if l.cluster, err = connect(l.where); err != nil {
		return &runError{err}
	}
	defer l.cluster.Close()
	if l.clients, err = l.cluster.Clients("try", nil, nil); err != nil {
		return &runError{err}
	}
	var failure error
	if err := ask(ctx, r.stderr, l.where, r.flags.cluster.timeout, func(ctx context.Context) error {
		failure = l.try(ctx, objects, named, report)
		return ctx.Err()
	}); err != nil {
		return &runError{fmt.Errorf("trying by the cluster: %w", err)}
	}
	return failure
}

// liveObjects reads the objects of a file. What is no file names one of the cluster.
func (r *tryRun) liveObjects() ([]*unstructured.Unstructured, *treeParent, error) {
	if _, err := os.Stat(r.flags.object); r.flags.object == "-" || err == nil || !strings.Contains(r.flags.object, "/") {
		objects, err := readObjects(r.flags.object, r.stdin)
		return objects, nil, err
	}
	parent, err := parseTreeParent(r.flags.object)
	if err != nil {
		return nil, nil, fmt.Errorf("--object: there is no such file, and %w", err)
	}
	return nil, &parent, nil
}

// try tries each object.
func (l *tryLive) try(ctx context.Context, objects []*unstructured.Unstructured, named *treeParent, report *tryReport) error {
	if named != nil {
		object, err := l.get(ctx, *named)
		if err != nil {
			return err
		}
		objects = []*unstructured.Unstructured{object}
	}
	chosen, skipped, err := l.choose(objects)
	if err != nil {
		return err
	}
	report.Notes = skipped
	for _, c := range chosen {
		if err := l.tryOne(ctx, c, named != nil, report); err != nil {
			return &runError{fmt.Errorf("trying %s %s: %w", c.object.GetKind(), c.object.GetName(), err)}
		}
	}
	return nil
}

// get reads an object that was named.
func (l *tryLive) get(ctx context.Context, named treeParent) (*unstructured.Unstructured, error) {
	resources, failed, err := l.cluster.Kinds().All(ctx)
	if err != nil {
		return nil, &runError{err}
	}
	resource, err := kinds.Named(resources, named.kind)
	if err != nil {
		return nil, errors.Join(append([]error{err}, failed...)...)
	}
	if err := named.check(resource); err != nil {
		return nil, err
	}
	definitions, err := l.composers()
	if err != nil {
		return nil, err
	}
	kind := schema.GroupVersionKind{Group: resource.Group, Version: resource.Version, Kind: resource.Kind}
	if !slices.ContainsFunc(definitions, func(def config.Definition) bool { return def.Watch.Kind.GroupKind() == kind.GroupKind() }) {
		return nil, noDefinitionFits(kind, named.name, definitions)
	}
	for _, def := range definitions { // The version that the definition watches.
		if kind := def.Watch.Kind; kind.Group == resource.Group && kind.Kind == resource.Kind {
			resource.Version = kind.Version
		}
	}
	gvr := resource.GroupResource().WithVersion(resource.Version)
	object, err := l.clients.Dynamic.Resource(gvr).Namespace(named.namespace).Get(ctx, named.name, metav1.GetOptions{})
	if err != nil {
		return nil, &runError{err}
	}
	return object, nil
}

// tryOne tries one object. From a file, it is what the object would be.
func (l *tryLive) tryOne(ctx context.Context, c tryChoice, isLive bool, report *tryReport) error {
	finder := l.cluster.Kinds()
	resource, err := finder.Kind(ctx, c.object.GroupVersionKind())
	if err != nil {
		return err
	}
	var notes []string
	if !isLive {
		if notes, err = l.overlay(ctx, c.object, resource); err != nil {
			return err
		}
	}
	trials := &engine.Trials{
		Definition: c.definition, Installation: l.liveInstallation(), Finder: finder, Live: l.clients.REST, Logger: l.logger(c.definition),
	}
	tried, err := trials.Try(ctx, c.object.DeepCopy(), engine.Given{ParentIsLive: isLive})
	if err := errors.Join(err, trials.Close()); err != nil {
		return err
	}
	tried.Notes = append(notes, tried.Notes...)
	if tried.Server != nil {
		for _, missing := range tried.Server.Forbidden() {
			tried.Notes = append(tried.Notes, "a right is missing: "+missing)
		}
	}
	report.Tried = append(report.Tried, l.result(c, tried))
	return nil
}

func (l *tryLive) liveInstallation() string {
	namespace := l.cfg.LeaderElection.Namespace
	if namespace == "" {
		namespace = l.flags.namespace
	}
	if namespace == "" {
		namespace = l.where.namespace
	}
	return compose.Installation(namespace, l.cfg.LeaderElection.Name)
}

// overlay gives an object of a file what the one of its name in the cluster has besides.
func (l *tryLive) overlay(ctx context.Context, o *unstructured.Unstructured, resource kinds.Resource) (notes []string, err error) {
	if resource.Namespaced && o.GetNamespace() == "" {
		o.SetNamespace(l.where.namespace)
	}
	if !resource.Namespaced {
		o.SetNamespace("")
	}
	gvr := resource.GroupResource().WithVersion(o.GroupVersionKind().Version)
	live, err := l.clients.Dynamic.Resource(gvr).Namespace(o.GetNamespace()).Get(ctx, o.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return []string{"the cluster does not have it: it is tried as if it had just been created, without defaults"}, nil
	case err != nil:
		return nil, err
	}
	o.SetUID(live.GetUID())
	o.SetResourceVersion(live.GetResourceVersion())
	o.SetGeneration(live.GetGeneration())
	o.SetFinalizers(live.GetFinalizers())
	if status, ok := live.Object["status"]; ok {
		o.Object["status"] = status
	}
	return []string{"it is tried as the file has it: defaults, which the API server would fill in, are missing"}, nil
}
