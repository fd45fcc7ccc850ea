package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/format"
	cuejson "cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"

	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// Format is a language in which Effective prints.
type Format string

// The formats.
const (
	CUE  Format = "cue"
	YAML Format = "yaml"
	JSON Format = "json"
)

// Effective prints a config with every default filled in. The text loads again as an equal config,
// but for Hash and Files. A namespace of the lease that is left to the daemon stays left out. The
// text ends in a newline and is the same for equal configs.
func Effective(cfg *Config, as Format) ([]byte, error) {
	f := fileOf(cfg)
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("encoding the config: %w", err)
	}
	text := unescapeHTML(buf.Bytes())
	if as == JSON {
		return text, nil
	}
	expr, err := cuejson.Extract("config.json", text)
	if err != nil {
		return nil, fmt.Errorf("encoding the config: %w", err)
	}
	switch as {
	case YAML:
		text, err := yaml.Encode(cuecontext.New().BuildExpr(expr))
		if err != nil {
			return nil, fmt.Errorf("encoding the config as YAML: %w", err)
		}
		return text, nil
	case CUE:
		decls := []ast.Decl{expr}
		if lit, ok := expr.(*ast.StructLit); ok {
			decls = lit.Elts
		}
		text, err := format.Node(&ast.File{Decls: decls}, format.Simplify())
		if err != nil {
			return nil, fmt.Errorf("encoding the config as CUE: %w", err)
		}
		return text, nil
	default:
		return nil, fmt.Errorf("encoding the config: want format cue, yaml or json, have %q", as)
	}
}

// unescapeHTML writes <, > and & as themselves, which what plugins encode has as \u003c, \u003e and
// \u0026.
func unescapeHTML(text []byte) []byte {
	return escapedHTML.ReplaceAllFunc(text, func(escape []byte) []byte {
		switch string(escape) {
		case `\u003c`:
			return []byte("<")
		case `\u003e`:
			return []byte(">")
		case `\u0026`:
			return []byte("&")
		default:
			return escape
		}
	})
}

// escapedHTML matches every escape in JSON, so that a backslash is never taken apart.
var escapedHTML = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|.)`)

// fileOf is the way back from a config to the language.
func fileOf(cfg *Config) *language.File {
	le := cfg.LeaderElection
	f := &language.File{
		APIVersion:  language.APIVersion,
		Controllers: make(map[string]*language.Controller, len(cfg.Definitions)),
		Removed:     cfg.Removed,
		Kinds:       kindsOf(cfg.Kinds),
		LeaderElection: language.LeaderElection{Disabled: le.Disabled, Fields: language.LeaderElectionFields{
			Name: le.Name, Namespace: le.Namespace,
			LeaseDuration: short(le.LeaseDuration), RenewDeadline: short(le.RenewDeadline), RetryPeriod: short(le.RetryPeriod),
			OnLost: string(le.OnLost), Lock: string(le.Lock),
		}},
	}
	if cfg.Engine.MaxConcurrent > 0 {
		f.Engine = &language.Engine{MaxConcurrent: cfg.Engine.MaxConcurrent}
	}
	for _, c := range cfg.Definitions {
		f.Controllers[c.Name] = controllerOf(c, c.Handler.JSON())
	}
	return f
}

func controllerOf(c Definition, handler []byte) *language.Controller {
	out := &language.Controller{
		Watch: language.Watch{
			APIVersion:    c.Watch.Kind.GroupVersion().String(),
			Kind:          c.Watch.Kind.Kind,
			Namespaces:    c.Watch.Namespaces,
			LabelSelector: selectorOf(c.Watch.LabelSelector),
			FieldSelector: selectorOf(c.Watch.FieldSelector),
		},
		Ignore:         c.Filter.Ignored().Texts(),
		Handler:        map[string]json.RawMessage{c.Handler.Plugin(): handler},
		Mode:           string(c.Mode),
		Resync:         language.Off,
		Retry:          language.Retry{MaxRetries: language.RetryCount(c.Retry.MaxRetries), InitialDelay: short(c.Retry.InitialDelay), MaxDelay: short(c.Retry.MaxDelay)},
		Timeout:        short(c.Timeout),
		LeaderElection: language.Required,
		Finalizer:      c.Finalizer,
		Children:       language.Children{ConditionPrefix: c.Status.ConditionPrefix, Formerly: slices.Concat(c.Formerly, c.Donors), Rollout: rolloutOf(c.Rollout)},
		Paused:         c.Paused,
	}
	if c.Handler.Composes() {
		out.Status, out.OnRemove = language.StatusOwn, string(c.OnRemove)
	}
	if id := c.IDs()[0]; id != c.Name {
		out.ID = id
	}
	if c.Status.None {
		out.Status = language.StatusNone
	}
	if where := c.Filter.Where(); where != nil {
		text := where.Text()
		out.Where = &text
	}
	if c.Mode == Concurrent {
		out.Workers = &c.Workers
	}
	if c.Rate.PerSecond > 0 {
		out.Rate = &language.Rate{PerSecond: c.Rate.PerSecond, Burst: &c.Rate.Burst}
	}
	if c.Resync > 0 {
		out.Resync = short(c.Resync)
	}
	if c.EveryReplica {
		out.LeaderElection = language.Disabled
	}
	return out
}

// selectorOf is the way back from a label or field selector, or nil.
func selectorOf(selector fmt.Stringer) *language.Selector {
	if selector == nil {
		return nil
	}
	return &language.Selector{Text: selector.String()}
}

// kindsOf is the way back from CustomResourceDefinitions; nil for none.
func kindsOf(definitions []crd.Definition) map[string]*language.Kind {
	if len(definitions) == 0 {
		return nil
	}
	all := make(map[string]*language.Kind, len(definitions))
	for _, d := range definitions {
		names := d.Spec.Names
		k := &language.Kind{
			Group: d.Spec.Group, Scope: d.Spec.Scope, Plural: names.Plural, Singular: names.Singular, ListKind: names.ListKind,
			ShortNames: names.ShortNames, Categories: names.Categories, Labels: d.Metadata.Labels, Annotations: d.Metadata.Annotations,
			Versions: map[string]*language.KindVersion{},
		}
		for _, v := range d.Spec.Versions {
			k.Versions[v.Name] = versionOf(v)
		}
		all[names.Kind] = k
	}
	return all
}

func versionOf(v crd.Version) *language.KindVersion {
	status := v.Subresources.Status != nil
	out := &language.KindVersion{
		Served: &v.Served, Storage: &v.Storage, Deprecated: v.Deprecated, DeprecationWarning: v.DeprecationWarning,
		OpenAPIV3Schema: v.Schema.OpenAPIV3Schema, Subresources: &language.Subresources{Status: &status},
	}
	if scale := v.Subresources.Scale; scale != nil {
		out.Subresources.Scale = &language.Scale{
			SpecReplicasPath: scale.SpecReplicasPath, StatusReplicasPath: scale.StatusReplicasPath, LabelSelectorPath: scale.LabelSelectorPath,
		}
	}
	columns := make([]language.Column, len(v.Columns))
	for i, c := range v.Columns {
		columns[i] = language.Column{Name: c.Name, JSONPath: c.JSONPath, Type: c.Type, Description: c.Description, Format: c.Format, Priority: c.Priority}
	}
	out.Columns = &columns
	for _, field := range v.SelectableFields {
		out.SelectableFields = append(out.SelectableFields, field.JSONPath)
	}
	return out
}
