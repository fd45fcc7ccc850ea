package crd

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

// Definition is a CustomResourceDefinition of apiextensions.k8s.io/v1, as far as a config declares
// it. Its JSON is the object that kubectl applies.
type Definition struct {
	// APIVersion and Kind are those of CustomResourceDefinitions.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Metadata names the object: the plural, a dot and the group.
	Metadata Metadata `json:"metadata"`
	// Spec is what is declared.
	Spec Spec `json:"spec"`
	// StoredVersions are the versions in which objects may be stored, as the API server says. They
	// are no part of what is applied.
	StoredVersions []string `json:"-"`
}

// Metadata is that of a CustomResourceDefinition.
type Metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Spec declares a kind.
type Spec struct {
	// Group is the API group.
	Group string `json:"group"`
	// Scope is Namespaced or Cluster.
	Scope string `json:"scope"`
	// Names are those of the kind and its resource.
	Names Names `json:"names"`
	// Versions are the versions, by name.
	Versions []Version `json:"versions"`
}

// Names are those of a kind.
type Names struct {
	Kind       string   `json:"kind"`
	Plural     string   `json:"plural"`
	Singular   string   `json:"singular,omitempty"`
	ListKind   string   `json:"listKind,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Categories []string `json:"categories,omitempty"`
}

// Version is one version of a kind.
type Version struct {
	Name               string            `json:"name"`
	Served             bool              `json:"served"`
	Storage            bool              `json:"storage"`
	Deprecated         bool              `json:"deprecated,omitempty"`
	DeprecationWarning *string           `json:"deprecationWarning,omitempty"`
	Schema             Schema            `json:"schema"`
	Subresources       Subresources      `json:"subresources,omitzero"`
	Columns            []Column          `json:"additionalPrinterColumns,omitempty"`
	SelectableFields   []SelectableField `json:"selectableFields,omitempty"`
}

// Schema is that of the objects.
type Schema struct {
	// OpenAPIV3Schema is decoded JSON: whole numbers are int64, others float64.
	OpenAPIV3Schema map[string]any `json:"openAPIV3Schema"`
}

// Subresources are the parts of an object that are written apart.
type Subresources struct {
	Status *struct{} `json:"status,omitempty"`
	Scale  *Scale    `json:"scale,omitempty"`
}

// Scale says where an object has its replicas.
type Scale struct {
	SpecReplicasPath   string `json:"specReplicasPath"`
	StatusReplicasPath string `json:"statusReplicasPath"`
	LabelSelectorPath  string `json:"labelSelectorPath,omitempty"`
}

// Column is a column of kubectl get.
type Column struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Format      string `json:"format,omitempty"`
	Description string `json:"description,omitempty"`
	Priority    int32  `json:"priority,omitempty"`
	JSONPath    string `json:"jsonPath"`
}

// SelectableField is a field that field selectors may name.
type SelectableField struct {
	JSONPath string `json:"jsonPath"`
}

// The scopes.
const (
	Namespaced = "Namespaced"
	Cluster    = "Cluster"
)

// APIVersion is the version of CustomResourceDefinitions that this package is about, and Kind their
// kind.
const (
	APIVersion = "apiextensions.k8s.io/v1"
	Kind       = "CustomResourceDefinition"
)

// Resource is the resource of CustomResourceDefinitions.
var Resource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// New returns the Definition of a spec, with the names that it leaves out. The versions are sorted.
func New(spec Spec) Definition {
	plural, singular := meta.UnsafeGuessKindToResource(schema.GroupVersionKind{Group: spec.Group, Kind: spec.Names.Kind})
	fill := func(name *string, otherwise string) {
		if *name == "" {
			*name = otherwise
		}
	}
	fill(&spec.Scope, Namespaced)
	fill(&spec.Names.Plural, plural.Resource)
	fill(&spec.Names.Singular, singular.Resource)
	fill(&spec.Names.ListKind, spec.Names.Kind+"List")
	spec.Versions = slices.Clone(spec.Versions)
	slices.SortFunc(spec.Versions, func(a, b Version) int { return strings.Compare(a.Name, b.Name) })
	return Definition{
		APIVersion: APIVersion, Kind: Kind, Spec: spec,
		Metadata: Metadata{Name: spec.Names.Plural + "." + spec.Group},
	}
}

// Object returns the CustomResourceDefinition as decoded JSON.
func (d Definition) Object() (map[string]any, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding CustomResourceDefinition %s: %w", d.Metadata.Name, err)
	}
	var object map[string]any
	if err := decode(text, &object); err != nil {
		return nil, fmt.Errorf("encoding CustomResourceDefinition %s: %w", d.Metadata.Name, err)
	}
	return object, nil
}

// CustomKinds returns what the definitions say of their kinds: one for each version that is served.
func CustomKinds(definitions []Definition) (kinds.CustomKinds, error) {
	var all kinds.CustomKinds
	for _, d := range definitions {
		text, err := json.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("encoding CustomResourceDefinition %s: %w", d.Metadata.Name, err)
		}
		found, err := kinds.ParseCRD(text)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// Version returns a version by its name.
func (d Definition) Version(name string) (Version, bool) {
	i := slices.IndexFunc(d.Spec.Versions, func(v Version) bool { return v.Name == name })
	if i < 0 {
		return Version{}, false
	}
	return d.Spec.Versions[i], true
}
