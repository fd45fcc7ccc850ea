package engine

import (
	"context"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// finalizers writes the finalizer of one definition into its objects. It is safe for concurrent
// use.
type finalizers interface {
	// add returns the object with the finalizer. ok is false when the object is gone or being
	// deleted.
	add(ctx context.Context, obj handlers.Object) (now handlers.Object, ok bool, err error)
	// remove removes the finalizer. An object that is gone has none.
	remove(ctx context.Context, obj handlers.Object) error
}

// withFinalizer returns what makes the handler of a revision as the reconciler calls it.
func (c *controller) withFinalizer(r *revision) func(context.Context, handlers.Env) (handlers.Handler, error) {
	return func(ctx context.Context, env handlers.Env) (handlers.Handler, error) {
		handler, err := r.makeHandler(ctx, env)
		finalizer, ok := handler.(handlers.Finalizer)
		if err != nil || !ok || r.def.Finalizer == "" {
			return handler, err
		}
		return &finalizingHandler{
			name: r.def.Finalizer, handler: handler, finalizer: finalizer, finalizers: c.api.finalizers(r.def, env.Clients),
		}, nil
	}
}

// finalizingHandler is the handler of a definition with a finalizer, as the reconciler calls it.
type finalizingHandler struct {
	name       string
	handler    handlers.Handler
	finalizer  handlers.Finalizer // the same as handler
	finalizers finalizers
}

// Handle sees to it that the object has the finalizer before the plugin handles it. One that is
// being deleted is finalized.
func (h *finalizingHandler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	switch m := req.Object.Metadata(); {
	case m.DeletionTimestamp != nil:
		return h.finalize(ctx, req)
	case !hasFinalizer(m, h.name):
		obj, ok, err := h.finalizers.add(ctx, req.Object)
		if err != nil || !ok { // What has become of it is going to be seen.
			return handlers.Result{}, err
		}
		req.Object = obj
	}
	return h.handler.Handle(ctx, req)
}

// Close closes the plugin's handler if it wants that.
func (h *finalizingHandler) Close() error {
	if closer, ok := h.handler.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (h *finalizingHandler) finalize(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	result, err := h.finalizer.Finalize(ctx, req)
	if err != nil || result.RequeueAfter > 0 {
		return result, err
	}
	return result, h.finalizers.remove(ctx, req.Object)
}

// finalizersOf returns the finalizers that a definition puts into its objects, or has put there
// under another id: that of the definition, or those that a composer has where it needs one.
func (s *shared) finalizersOf(def config.Definition) []string {
	if !def.Handler.Composes() {
		return []string{def.Finalizer}
	}
	var names []string
	for _, id := range def.IDs() {
		names = append(names, compose.FinalizerOf(s.installation, id))
	}
	return names
}

// finalizable reports whether an object is one to finalize: it is being deleted and has the
// finalizer. left reports whether it is being deleted without it, so that it is no concern of the
// definition any more. Both are false where there is no finalizer.
func finalizable(finalizer string, obj handlers.Object) (yes, left bool) {
	if finalizer == "" {
		return false, false
	}
	m := obj.Metadata()
	if m.DeletionTimestamp == nil {
		return false, false
	}
	yes = hasFinalizer(m, finalizer)
	return yes, !yes
}

func hasFinalizer(m *metav1.ObjectMeta, name string) bool { return slices.Contains(m.Finalizers, name) }

// clusterFinalizers are the finalizers of a real cluster.
type clusterFinalizers struct {
	name   string
	kind   schema.GroupVersionKind
	finder kinds.Finder
	client dynamic.Interface
}

func (f *clusterFinalizers) add(ctx context.Context, obj handlers.Object) (handlers.Object, bool, error) {
	client, err := f.clientOf(ctx, obj)
	if err != nil {
		return nil, false, err
	}
	return kube.AddFinalizer(ctx, client, obj, f.name)
}

func (f *clusterFinalizers) remove(ctx context.Context, obj handlers.Object) error {
	client, err := f.clientOf(ctx, obj)
	if err != nil {
		return err
	}
	return kube.RemoveFinalizer(ctx, client, obj, f.name)
}

func (f *clusterFinalizers) clientOf(ctx context.Context, obj handlers.Object) (dynamic.ResourceInterface, error) {
	resource, err := f.finder.Kind(ctx, f.kind)
	if err != nil {
		return nil, err
	}
	return f.client.Resource(f.kind.GroupVersion().WithResource(resource.Name)).Namespace(obj.Namespace()), nil
}
