package hook

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
)

// Shape is what requests and answers look like.
type Shape string

// The shapes, by metacontroller's two kinds of controllers.
const (
	// Composite is that of a CompositeController: parent, children, and status. It is the default.
	Composite Shape = "composite"
	// Decorator is that of a DecoratorController: object, attachments, labels, and annotations.
	Decorator Shape = "decorator"
)

// Version is that of the protocol.
type Version string

// The versions.
const (
	// V1 shows a namespaced parent the objects of its namespace alone.
	V1 Version = "v1"
	// V2 shows objects of all namespaces. It is the default.
	V2 Version = "v2"
)

// Decode is how an answer is read.
type Decode string

// The ways to read an answer.
const (
	// Strict refuses fields that mean nothing and fields that are there twice. It is the default
	// for V2.
	Strict Decode = "strict"
	// Loose leaves them out, and takes the last one. It is the default for V1.
	Loose Decode = "loose"
)

// The ways of an update that moves one child at a time, besides those of handlers.
const (
	// RollingInPlace changes the objects, as handlers.UpdateInPlace does.
	RollingInPlace handlers.Update = "rollingInPlace"
	// RollingRecreate does the same as handlers.UpdateRecreate.
	RollingRecreate handlers.Update = "rollingRecreate"
)

// Config is what the configs of all plugins with hooks have in common: such a config embeds it, and
// its schema has the fields where it says @hook(), see Schema. The fields are described there.
type Config struct {
	Shape            Shape   `json:"shape,omitempty"`
	Version          Version `json:"version,omitempty"`
	Decode           Decode  `json:"decode,omitempty"`
	GenerateSelector bool    `json:"generateSelector,omitempty"`
	Children         []Child `json:"children,omitempty"`
	Reads            []Read  `json:"reads,omitempty"`

	RevisionHistory *RevisionHistory `json:"revisionHistory,omitempty"`
}

// RevisionHistory says what a revision of a parent is, and where it is kept.
type RevisionHistory struct {
	FieldPaths []string `json:"fieldPaths,omitempty"`
	// Namespace is for parents that have none.
	Namespace string `json:"namespace,omitempty"`
}

// Child is a kind of objects that a hook may answer with.
type Child struct {
	APIVersion   string `json:"apiVersion"`
	Kind         string `json:"kind"`
	Resource     string `json:"resource,omitempty"`
	AnyNamespace bool   `json:"anyNamespace,omitempty"`

	StatusChecks []StatusCheck `json:"statusChecks,omitempty"`

	handlers.Policies
}

// StatusCheck is a condition that a child has to have before the next one is updated.
type StatusCheck struct {
	Type   string `json:"type"`
	Status string `json:"status,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// policy returns how a child of the kind is kept. A hook may return a child as it has got it.
func (c Child) policy() handlers.ChildPolicy {
	policy := c.ChildPolicy()
	switch policy.Update {
	case RollingInPlace:
		policy.Update = handlers.UpdateInPlace
	case RollingRecreate:
		policy.Update = handlers.UpdateRecreate
	}
	policy.KeepEqual = true
	return policy
}

// Read is a kind of objects that hooks read besides.
type Read struct {
	APIVersion    string `json:"apiVersion"`
	Kind          string `json:"kind"`
	Resource      string `json:"resource,omitempty"`
	Name          string `json:"name,omitempty"`
	LabelSelector string `json:"labelSelector,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
	SameNamespace bool   `json:"sameNamespace,omitempty"`
	// NamespaceSelector may be empty, which is not the same as nil.
	NamespaceSelector *string `json:"namespaceSelector,omitempty"`
}

// shape returns the shape with its default.
func (c Config) shape() Shape {
	if c.Shape == "" {
		return Composite
	}
	return c.Shape
}

// version returns the version with its default.
func (c Config) version() Version {
	if c.Version == "" {
		return V2
	}
	return c.Version
}

// loose reports whether answers are read loosely.
func (c Config) loose() bool {
	return c.Decode == Loose || c.Decode == "" && c.version() == V1
}

// Owns returns the kinds of Children, and the one in which revisions are kept, as handlers.Plugin
// wants them.
func Owns(c Config) []handlers.OwnedKind {
	owned := make([]handlers.OwnedKind, 0, len(c.Children)+1)
	for _, child := range c.Children {
		owned = append(owned, handlers.OwnedKind{APIVersion: child.APIVersion, Kind: child.Kind, AnyNamespace: child.AnyNamespace})
	}
	if c.rolls() {
		owned = append(owned, handlers.OwnedKind{APIVersion: revisionAPIVersion, Kind: revisionKind})
	}
	return owned
}

// Reads returns what Config.Reads selects, as handlers.Plugin wants it.
func Reads(c Config) []handlers.Related {
	related := make([]handlers.Related, len(c.Reads))
	for i, read := range c.Reads {
		related[i] = handlers.Related{
			Name: fmt.Sprintf("reads[%d]", i), APIVersion: read.APIVersion, Kind: read.Kind, ObjectName: read.Name,
			Namespace: read.Namespace, SameNamespace: read.SameNamespace,
		}
		if read.LabelSelector != "" {
			related[i].LabelSelector, _ = metav1.ParseToLabelSelector(read.LabelSelector) // Validate has parsed it.
		}
		if read.NamespaceSelector != nil {
			related[i].NamespaceSelector, _ = metav1.ParseToLabelSelector(*read.NamespaceSelector) // as above
		}
	}
	return related
}

// Marks reports whether an answer may set labels and annotations of the parent, as handlers.Plugin
// wants it.
func Marks(c Config) bool { return c.shape() == Decorator }

// resourceOf returns the plural of a kind: what the config says, or what Kubernetes has, or what is
// usual.
func resourceOf(kind schema.GroupVersionKind, said string) string {
	if said != "" {
		return said
	}
	if resource, err := kinds.BuiltIn().Lookup(kind); err == nil {
		return resource.Name
	}
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	return plural.Resource
}

// groupKey is a kind as the maps of a request name it: "Pod.v1", or "Deployment.apps/v1".
func groupKey(apiVersion, kind string) string { return kind + "." + apiVersion }
