package handlers

import (
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Related names objects that a composer reads besides its parent and children. A change of one of
// them calls the composer for the parents that read it. Everything that is set has to be true of an
// object; with nothing but a kind, it is any object of that kind.
type Related struct {
	// Name is the key in ComposeRequest.Related. Required, and different for each.
	Name string `json:"name"`
	// APIVersion and Kind name the kind. Required.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// ObjectName is that of one object; empty, the default, is any.
	ObjectName string `json:"objectName,omitempty"`
	// ObjectNames are those of several objects, in the place of ObjectName; none, the default, is
	// any. Objects of other names are watched nevertheless, so the rights are those for any.
	ObjectNames []string `json:"objectNames,omitempty"`
	// LabelSelector selects by labels; nil, the default, selects everything.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
	// Namespace is where the objects are; empty, the default, is the whole cluster, or the
	// namespaces that the definition watches.
	Namespace string `json:"namespace,omitempty"`
	// SameNamespace leaves out objects of other namespaces than that of the parent.
	SameNamespace bool `json:"sameNamespace,omitempty"`
	// NamespaceSelector selects by the labels of the objects' namespaces, in the place of Namespace
	// and SameNamespace; nil, the default, selects everything. Objects without a namespace are not
	// selected by it. A Namespace that is selected by a change of its labels, or not any more,
	// calls the composer, too. It takes the right to list and watch Namespaces. A Relater may use
	// it if the plugin Reads something that has one, which may be the empty selector.
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// MetadataOnly says that the composer reads nothing of these objects but their metadata.
	MetadataOnly bool `json:"metadataOnly,omitempty"`
}

// GroupVersionKind is the kind.
func (r Related) GroupVersionKind() schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
}

// Validate returns what is wrong with it, nil for nothing. What a plugin Reads is checked with its
// config, and what a Relater asks for when it does.
func (r Related) Validate() error {
	if r.Name == "" {
		return fmt.Errorf("%s %s: it has no name", r.APIVersion, r.Kind)
	}
	if err := errors.Join(r.checkNames(), r.checkSelectors()); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	return checkKindNames(r.APIVersion, r.Kind)
}

func (r Related) checkNames() error {
	switch {
	case r.ObjectName != "" && len(r.ObjectNames) > 0:
		return errors.New("objectName and objectNames exclude each other")
	case slices.Contains(r.ObjectNames, ""):
		return errors.New("one of objectNames is empty")
	}
	return nil
}

func (r Related) checkSelectors() error {
	if r.NamespaceSelector != nil && (r.Namespace != "" || r.SameNamespace) {
		return errors.New("namespaceSelector excludes namespace and sameNamespace")
	}
	for _, selector := range []*metav1.LabelSelector{r.LabelSelector, r.NamespaceSelector} {
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			return err
		}
	}
	return nil
}
