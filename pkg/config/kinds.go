package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// kindReader makes CustomResourceDefinitions of what a file says of kinds.
type kindReader struct {
	problems []problem
	// schema returns the schema of a version, and where in the files its parts stand. It reports
	// what is wrong itself, and returns nil then.
	schema  func(at diagnostic.Path, version *language.KindVersion) (map[string]any, schemaPlace)
	refused int // schemas that are nil
}

// schemaPlace leads from a place in a schema to one in the files.
type schemaPlace func(path []string, key bool) problem

func (r *kindReader) report(at diagnostic.Path, message, hint string) {
	r.problems = append(r.problems, problem{at: at, message: message, hint: hint})
}

// encodedKinds returns the kinds of a file that another process has read.
func encodedKinds(all map[string]*language.Kind) ([]crd.Definition, []problem) {
	r := &kindReader{schema: func(_ diagnostic.Path, version *language.KindVersion) (map[string]any, schemaPlace) {
		return version.OpenAPIV3Schema, openAPIPlace(nil)
	}}
	return r.kinds(all), r.problems
}

// kinds reads all kinds. Those with mistakes are left out.
func (r *kindReader) kinds(all map[string]*language.Kind) (definitions []crd.Definition) {
	names := map[string]string{}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		before := len(r.problems) + r.refused
		at := diagnostic.Path{"kinds", kind}
		d := r.kind(at, kind, all[kind])
		if other, taken := names[d.Metadata.Name]; taken {
			r.report(at.With("plural"), fmt.Sprintf("kind %s has the same plural %q", other, d.Spec.Names.Plural), "write another one")
		}
		names[d.Metadata.Name] = kind
		if len(r.problems)+r.refused == before {
			definitions = append(definitions, d)
		}
	}
	return definitions
}

// approved is the annotation without which the API server takes no kind of a group of Kubernetes.
const approved = "api-approved.kubernetes.io"

func (r *kindReader) kind(at diagnostic.Path, kind string, f *language.Kind) crd.Definition {
	spec := crd.Spec{Group: f.Group, Scope: f.Scope, Names: crd.Names{
		Kind: kind, Plural: f.Plural, Singular: f.Singular, ListKind: f.ListKind, ShortNames: f.ShortNames, Categories: f.Categories,
	}}
	if group := "." + f.Group; (strings.HasSuffix(group, ".k8s.io") || strings.HasSuffix(group, ".kubernetes.io")) && f.Annotations[approved] == "" {
		r.report(at.With("group"), fmt.Sprintf("%s is a group of Kubernetes itself", f.Group), "want a domain of your own")
	}
	if f.ListKind == kind {
		r.report(at.With("listKind"), "is the kind itself", fmt.Sprintf("write %q, or leave it out", kind+"List"))
	}
	r.storage(at.With("versions"), f.Versions)
	served := false
	for _, name := range slices.Sorted(maps.Keys(f.Versions)) {
		v := r.version(at, kind, name, f)
		served = served || v.Served
		spec.Versions = append(spec.Versions, v)
	}
	if len(spec.Versions) > 0 && !served {
		r.report(at.With("versions"), "no version is served", "leave served out in one of them")
	}
	d := crd.New(spec)
	d.Metadata.Labels, d.Metadata.Annotations = f.Labels, f.Annotations
	if len(d.Metadata.Name) > validation.DNS1123SubdomainMaxLength {
		r.report(at.With("group"), fmt.Sprintf("the CustomResourceDefinition would have a name of %d characters", len(d.Metadata.Name)), "want at most 253")
	}
	return d
}

// storage checks that objects are stored in exactly one version, and fills that in for an only one.
func (r *kindReader) storage(at diagnostic.Path, versions map[string]*language.KindVersion) {
	var stored []string
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		v := versions[name]
		if v.Storage == nil {
			only := len(versions) == 1
			v.Storage = &only
		}
		if *v.Storage {
			stored = append(stored, name)
		}
	}
	switch {
	case len(versions) == 0:
		r.report(at, "is empty", "want at least one version, such as v1: {schema: {…}}")
	case len(stored) == 0 && len(versions) == 1:
		r.report(at.With(slices.Collect(maps.Keys(versions))[0], "storage"), "is false, and there is no other version", "leave it out")
	case len(stored) == 0:
		r.report(at, "objects are stored in none of the versions", "write storage: true in exactly one")
	case len(stored) > 1:
		r.report(at.With(stored[1], "storage"), fmt.Sprintf("objects are stored in %s already", stored[0]), "write storage: true in exactly one")
	}
}

func (r *kindReader) version(at diagnostic.Path, kind, name string, f *language.Kind) crd.Version {
	v := f.Versions[name]
	here := at.With("versions", name)
	out := crd.Version{
		Name: name, Served: v.Served == nil || *v.Served, Storage: *v.Storage,
		Deprecated: v.Deprecated, DeprecationWarning: v.DeprecationWarning,
	}
	if v.DeprecationWarning != nil && !v.Deprecated {
		r.report(here.With("deprecationWarning"), "means nothing without deprecated: true", "write deprecated: true, or leave it out")
	}
	subresourcesAt, subresources := at.With("subresources"), f.Subresources
	if v.Subresources != nil {
		subresourcesAt, subresources = here.With("subresources"), v.Subresources
	}
	if subresources == nil {
		subresources = &language.Subresources{}
	}
	if subresources.Status == nil || *subresources.Status {
		out.Subresources.Status = &struct{}{}
	}
	before := len(r.problems)
	schema, place := r.schema(here, v)
	if schema == nil {
		r.refused++
		return out
	}
	schema = runtime.DeepCopyJSON(schema)
	out.Schema.OpenAPIV3Schema = schema
	if r.problems = append(r.problems, placed(crd.CheckSchema(schema), place)...); len(r.problems) > before {
		return out
	}
	if out.Subresources.Status != nil {
		crd.AddConditions(schema)
	}
	r.rules(here, crdKind(f.Group, name, kind), v.Validations, schema, place)
	r.scale(subresourcesAt.With("scale"), subresources.Scale, &out)
	columnsAt, columns := at.With("columns"), f.Columns
	if v.Columns != nil {
		columnsAt, columns = here.With("columns"), v.Columns
	}
	r.columns(columnsAt, columns, &out)
	r.selectable(here.With("selectableFields"), v.SelectableFields, &out)
	return out
}

// placed gives the problems of a schema their places.
func placed(found []crd.Problem, place schemaPlace) []problem {
	problems := make([]problem, len(found))
	for i, f := range found {
		p := place(f.Path, f.Key)
		p.message, p.hint = p.message+f.Message, f.Hint
		problems[i] = p
	}
	return problems
}

// openAPIPlace is that of a literal schema.
func openAPIPlace(at diagnostic.Path) schemaPlace {
	return func(path []string, key bool) problem { return problem{at: at.With(path...), key: key} }
}
