package engine

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
)

// source is a cache that follows the API server, as one definition sees it; *kube.View is one. It
// is safe for concurrent use.
type source interface {
	handlers.Lister
	kube.Cache
	// Keys returns the keys of all cached objects. The caller must not change them.
	Keys() []kube.Key
	// Subscribe calls event for every change from now on, and changed when Status may differ. Both
	// must return at once.
	Subscribe(event func(kube.Event), changed func()) (cancel func())
	// GetByUID returns the object of that UID, or false.
	GetByUID(uid types.UID) (handlers.Object, bool)
	// ListAppliedBy returns the objects that a field manager has applied, of several that are kept.
	ListAppliedBy(manager string) []handlers.Object
	// Listed reports whether the cache has been complete, and the kind is not gone since.
	Listed() bool
	// Synced is closed when the first list is complete, or is known to be impossible for now.
	Synced() <-chan struct{}
	// Status returns the state, and why it is Waiting or Degraded.
	Status() (status.State, error)
	// SourceIDs returns which of apiServer.sources it shows.
	SourceIDs() []kube.SourceID
	// Close ends the use of the source.
	Close()
}

// apiServer is all that the engine does at the API server.
type apiServer interface {
	// watch starts to follow what w names.
	watch(ctx context.Context, w kube.Watch) source
	// sources returns all that is followed, in no order.
	sources() []kube.SourceInfo
	// plan sets what is going to be watched, so that narrow watches can share wide ones.
	plan(watches []kube.Watch)
	// clients makes the clients of a definition's handler.
	clients(definition string, gate *kube.Gate, own *kube.ConsistencyStore) (handlers.Clients, error)
	// Kinds finds out how kinds are served.
	Kinds() *kinds.Discovery
	// finalizers returns what writes the finalizer of a definition, by the clients of its handler.
	finalizers(def config.Definition, clients handlers.Clients) finalizers
	// findMissing returns what keeps a definition's handler from working, such as missing rights,
	// or its objects from coming, such as missing namespaces. An error means that this is not
	// known.
	findMissing(ctx context.Context, def config.Definition) ([]access.Finding, error)
}

// cluster is the apiServer of a process.
type cluster struct {
	*kube.Cluster
	checker *access.Checker
	records *compose.State // nil without composers
}

func newCluster(c *kube.Cluster, records *compose.State) (*cluster, error) {
	reviews, err := c.AccessReviews()
	if err != nil {
		return nil, err
	}
	namespaces, err := c.Namespaces()
	if err != nil {
		return nil, err
	}
	checker := access.NewChecker(c.Kinds(), reviews, access.NewNamespaces(namespaces, reviews))
	return &cluster{Cluster: c, checker: checker, records: records}, nil
}

func (c *cluster) watch(ctx context.Context, w kube.Watch) source { return c.Sources.Watch(ctx, w) }

func (c *cluster) sources() []kube.SourceInfo { return c.Sources.List() }

func (c *cluster) plan(watches []kube.Watch) { c.Sources.Plan(watches) }

func (c *cluster) clients(
	definition string, gate *kube.Gate, own *kube.ConsistencyStore,
) (handlers.Clients, error) {
	return c.Clients(definition, gate, own)
}

func (c *cluster) finalizers(def config.Definition, clients handlers.Clients) finalizers {
	return &clusterFinalizers{name: def.Finalizer, kind: def.Watch.Kind, finder: c.Kinds(), client: clients.Dynamic}
}

func (c *cluster) findMissing(ctx context.Context, def config.Definition) ([]access.Finding, error) {
	rights, err := c.checker.Handler(ctx, def)
	if err != nil {
		return nil, err
	}
	if c.records != nil && def.Handler.Composes() {
		// Otherwise the lack of it would show only when the record is to be changed.
		recording, err := c.checker.Records(ctx, c.records.ConfigMap())
		if err != nil {
			return nil, err
		}
		rights = append(rights, recording...)
	}
	rights = slices.DeleteFunc(rights, func(right access.Finding) bool { return right.Optional })
	namespaces, _, err := c.checker.Namespaces(ctx, def.Name, def.Watch.Namespaces)
	return append(namespaces, rights...), err
}
