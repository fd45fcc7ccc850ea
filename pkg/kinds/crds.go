package kinds

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/manifest"
)

// customResourceDefinition is the part of an apiextensions.k8s.io CustomResourceDefinition that is
// read.
type customResourceDefinition struct {
	metav1.TypeMeta `json:",inline"`
	Items           []customResourceDefinition `json:"items"` // of a List, as kubectl prints many
	Spec            struct {
		Group string `json:"group"`
		Scope string `json:"scope"`
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			ShortNames []string `json:"shortNames"`
		} `json:"names"`
		Versions []customVersion `json:"versions"`
		// PreserveUnknownFields is that of v1beta1, in which it is the default.
		PreserveUnknownFields *bool `json:"preserveUnknownFields"`
	} `json:"spec"`
}

// customVersion is one version of a CustomResourceDefinition.
type customVersion struct {
	Name         string         `json:"name"`
	Served       bool           `json:"served"`
	Subresources map[string]any `json:"subresources"`
	Schema       struct {
		OpenAPIV3Schema json.RawMessage `json:"openAPIV3Schema"`
	} `json:"schema"`
}

// CustomKind is one version of a kind that a CustomResourceDefinition defines.
type CustomKind struct {
	Resource
	// Type is what its schema says of its objects.
	Type expression.Type

	isCustom bool // its CustomResourceDefinition has been read
}

// CustomKinds are all those that are known.
type CustomKinds []CustomKind

// Resources returns how an API server serves them.
func (ks CustomKinds) Resources() []Resource {
	all := make([]Resource, len(ks))
	for i, k := range ks {
		all[i] = k.Resource
	}
	return all
}

// Find returns the one of a kind, the last of several.
func (ks CustomKinds) Find(kind schema.GroupVersionKind) (CustomKind, bool) {
	for _, k := range slices.Backward(ks) {
		if k.Group == kind.Group && k.Version == kind.Version && k.Kind == kind.Kind {
			return k, true
		}
	}
	return CustomKind{}, false
}

// TypeOf returns what is known of the objects of a kind, be it one of these or not.
func (ks CustomKinds) TypeOf(kind schema.GroupVersionKind) expression.Type {
	if k, ok := ks.Find(kind); ok {
		return k.Type
	}
	return expression.OfKind(kind)
}

// ScopeOf reports whether the objects of a kind belong to namespaces. Known is false where it is
// none of these.
func (ks CustomKinds) ScopeOf(kind schema.GroupVersionKind) (namespaced, known bool) {
	k, known := ks.Find(kind)
	return k.Namespaced, known
}

// StatusOf reports whether the objects of a kind have a subresource status. Known is false where it
// is none of these.
func (ks CustomKinds) StatusOf(kind schema.GroupVersionKind) (has, known bool) {
	k, known := ks.Find(kind)
	return k.Subresources["status"] != nil, known
}

// IsCustom reports whether a kind is one of these and its CustomResourceDefinition has been read.
// What an API server alone has said may be of another one behind it.
func (ks CustomKinds) IsCustom(kind schema.GroupVersionKind) bool {
	k, _ := ks.Find(kind)
	return k.isCustom
}

// ReadCRDs returns the kinds of the CustomResourceDefinitions in a file, or in the YAML and JSON
// files in and below a folder: one for each version that is served. Other objects are passed over.
// It is an error if there is no CustomResourceDefinition.
func ReadCRDs(path string) (CustomKinds, error) {
	files, err := manifest.Files(path)
	if err != nil {
		return nil, fmt.Errorf("reading CustomResourceDefinitions: %w", err)
	}
	var found CustomKinds
	for _, file := range files {
		kinds, err := readFile(file)
		if _, named := errors.AsType[*fs.PathError](err); named {
			return nil, fmt.Errorf("reading CustomResourceDefinitions: %w", err)
		}
		if err != nil {
			return nil, fmt.Errorf("reading CustomResourceDefinitions: %s: %w", file, err)
		}
		found = append(found, kinds...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("reading CustomResourceDefinitions: there is none in %s", path)
	}
	return found, nil
}

// ParseCRD returns the kinds of a CustomResourceDefinition in JSON, as ReadCRDs does.
func ParseCRD(text []byte) (CustomKinds, error) {
	found, err := readDocument(manifest.Document{Text: text, Line: 1})
	if err != nil {
		return nil, fmt.Errorf("reading a CustomResourceDefinition: %w", err)
	}
	return found, nil
}

func readFile(file string) (CustomKinds, error) {
	documents, err := manifest.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found CustomKinds
	for _, document := range documents {
		kinds, err := readDocument(document)
		if err != nil {
			return nil, err
		}
		found = append(found, kinds...)
	}
	return found, nil
}

// template matches an action of a Helm template, which need not be YAML.
var template = regexp.MustCompile(`\{\{-?\s*[^}]+\}\}`)

// readDocument reads one YAML document.
func readDocument(document manifest.Document) (CustomKinds, error) {
	text, err := document.JSON()
	if err != nil {
		if action := template.Find(document.Text); action != nil {
			return nil, fmt.Errorf("it is a template, with %s in it: render it first, for example with helm template", action)
		}
		return nil, err
	}
	var crd customResourceDefinition
	if err := json.Unmarshal(text, &crd); err != nil {
		return nil, err
	}
	var found CustomKinds
	for _, one := range append(crd.Items, crd) {
		if one.Kind != "CustomResourceDefinition" || !strings.HasPrefix(one.APIVersion, "apiextensions.k8s.io/") {
			continue
		}
		kinds, err := one.kinds()
		if err != nil {
			return nil, err
		}
		found = append(found, kinds...)
	}
	return found, nil
}

// kinds returns the kind in each version that is served.
func (crd customResourceDefinition) kinds() (CustomKinds, error) {
	spec := crd.Spec
	if spec.Group == "" || spec.Names.Kind == "" || spec.Names.Plural == "" {
		return nil, errors.New("a CustomResourceDefinition lacks spec.group, spec.names.kind or spec.names.plural")
	}
	singular := spec.Names.Singular
	if singular == "" {
		singular = strings.ToLower(spec.Names.Kind)
	}
	var found CustomKinds
	for _, version := range spec.Versions {
		if !version.Served {
			continue
		}
		subresources := map[string][]string{}
		for name := range version.Subresources {
			subresources[name] = []string{"get", "patch", "update"}
		}
		kind := schema.GroupVersionKind{Group: spec.Group, Version: version.Name, Kind: spec.Names.Kind}
		known := expression.OfKind(kind)
		if len(version.Schema.OpenAPIV3Schema) > 0 && !crd.keepsUnknownFields() {
			var err error
			if known, err = expression.OfSchema(kind, version.Schema.OpenAPIV3Schema); err != nil {
				return nil, err
			}
		}
		found = append(found, CustomKind{Type: known, isCustom: true, Resource: Resource{
			Group: spec.Group, Version: version.Name, Name: spec.Names.Plural, Kind: spec.Names.Kind,
			Singular: singular, ShortNames: spec.Names.ShortNames, Namespaced: spec.Scope != "Cluster",
			Verbs: usualVerbs, Subresources: subresources,
		}})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("CustomResourceDefinition %s.%s serves no version", spec.Names.Plural, spec.Group)
	}
	return found, nil
}

// keepsUnknownFields reports whether objects may have fields that the schema does not have.
func (crd customResourceDefinition) keepsUnknownFields() bool {
	if keep := crd.Spec.PreserveUnknownFields; keep != nil {
		return *keep
	}
	return strings.HasSuffix(crd.APIVersion, "/v1beta1")
}
