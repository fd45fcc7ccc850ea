package engine

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kube"
)

// needsWhole reports whether more than the metadata of the watched objects is needed whatever the
// plugin reads: a composer's runtime keeps the status of custom kinds.
func needsWhole(def config.Definition) bool {
	return def.Handler.Composes() && !scheme.Scheme.Recognizes(def.Watch.Kind)
}

// watchesOfComposer returns what a definition watches besides the parents.
func watchesOfComposer(def config.Definition, installation string) []watched {
	var watches []watched
	ofInstallation := labels.SelectorFromSet(labels.Set{compose.InstallationLabel: installation})
	for _, owned := range ownedKinds(def) {
		w := kube.Watch{
			Kind: owned.GroupVersionKind(), LabelSelector: ofInstallation, FieldManager: compose.FieldManager,
			MetadataOnly: owned.MetadataOnly,
		}
		if !owned.AnyNamespace {
			w.Namespaces = def.Watch.Namespaces
		}
		watches = append(watches, watched{watch: w})
	}
	for _, related := range def.Handler.Reads() {
		w := kube.Watch{Kind: related.GroupVersionKind(), Namespaces: def.Watch.Namespaces, MetadataOnly: related.MetadataOnly}
		switch {
		case isClusterScoped(related.GroupVersionKind()):
			w.Namespaces = nil
		case related.Namespace != "":
			w.Namespaces = []string{related.Namespace}
		}
		if related.LabelSelector != nil {
			w.LabelSelector, _ = metav1.LabelSelectorAsSelector(related.LabelSelector) // It was checked by Bind.
		}
		if related.ObjectName != "" {
			w.FieldSelector = fields.OneTermEqualSelector("metadata.name", related.ObjectName)
		}
		watches = append(watches, watched{watch: w})
	}
	for _, patched := range patchedKinds(def) {
		w := watchOfPatched(patched, installation)
		if !patched.AnyNamespace {
			w.Namespaces = def.Watch.Namespaces
		}
		watches = append(watches, watched{watch: w})
	}
	if readsByNamespace(def) {
		watches = append(watches, watched{watch: kube.Watch{Kind: namespaceKind, MetadataOnly: true}})
	}
	return watches
}

// namespaceKind is the kind of Namespaces.
var namespaceKind = corev1.SchemeGroupVersion.WithKind("Namespace")

// readsByNamespace reports whether a definition reads something by the labels of its namespace. The
// last of its watches is that of the Namespaces then.
func readsByNamespace(def config.Definition) bool {
	return slices.ContainsFunc(def.Handler.Reads(), func(related handlers.Related) bool { return related.NamespaceSelector != nil })
}

// watchOfPatched is the watch of the patched objects of one kind, in all namespaces.
func watchOfPatched(kind handlers.PatchedKind, installation string) kube.Watch {
	return kube.Watch{
		Kind: kind.GroupVersionKind(), FieldManager: compose.PatchManagers, MetadataOnly: kind.MetadataOnly,
		LabelSelector: labels.SelectorFromSet(labels.Set{compose.PatchedLabel(installation): compose.PatchedValue}),
	}
}

// patchedKinds are the kinds to whose objects a definition may contribute, in the same way.
func patchedKinds(def config.Definition) []handlers.PatchedKind {
	patched := def.Handler.Patches()
	for i := range patched {
		patched[i].AnyNamespace = patched[i].AnyNamespace || isClusterScoped(patched[i].GroupVersionKind())
	}
	return patched
}

// ownedKinds are the kinds of a definition's children. Those that have no namespace are looked for
// in the whole cluster, whatever namespaces the definition watches.
func ownedKinds(def config.Definition) []handlers.OwnedKind {
	owns := slices.Clone(def.Handler.Owns())
	for i := range owns {
		owns[i].AnyNamespace = owns[i].AnyNamespace || isClusterScoped(owns[i].GroupVersionKind())
	}
	return owns
}

// isClusterScoped reports whether a kind is one of Kubernetes itself that has no namespace. Of a
// custom kind, that is not known before the API server is asked.
func isClusterScoped(kind schema.GroupVersionKind) bool {
	resource, err := kinds.BuiltIn().Kind(context.Background(), kind) //nolint:forbidigo // a table asks nobody
	return err == nil && !resource.Namespaced
}

func (c *composing) children() []compose.ChildSource {
	owns := ownedKinds(c.revision.def)
	sources := make([]compose.ChildSource, len(owns))
	for i, owned := range owns {
		w := c.revision.watches.watches[1+i]
		sources[i] = compose.ChildSource{OwnedKind: owned, Source: w.source, Namespaces: w.watch.Namespaces}
	}
	return sources
}

// otherSources are the sources of what are neither parents nor children.
func otherSources(c *composing) compose.OtherSources {
	sources := compose.OtherSources{Related: c.related(), Patched: patchedSources(c.revision)}
	if watches := c.revision.watches.watches; readsByNamespace(c.revision.def) {
		sources.AllNamespaces = watches[len(watches)-1].source
	}
	return sources
}

// patchedSources are the sources of what a revision patches.
func patchedSources(r *revision) []compose.PatchSource {
	kinds := patchedKinds(r.def)
	first := 1 + len(r.def.Handler.Owns()) + len(r.def.Handler.Reads())
	sources := make([]compose.PatchSource, len(kinds))
	for i, kind := range kinds {
		w := r.watches.watches[first+i]
		sources[i] = compose.PatchSource{PatchedKind: kind, Source: w.source, Namespaces: w.watch.Namespaces}
	}
	return sources
}

func (c *composing) related() []compose.RelatedSource {
	reads := c.revision.def.Handler.Reads()
	first := 1 + len(c.revision.def.Handler.Owns())
	sources := make([]compose.RelatedSource, len(reads))
	for i, related := range reads {
		sources[i] = compose.RelatedSource{Related: related, Source: c.revision.watches.watches[first+i].source}
	}
	return sources
}
