package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

func crdKind(group, version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// rules adds the rules of a version to its schema, and checks all that it has then.
func (r *kindReader) rules(at diagnostic.Path, kind schema.GroupVersionKind, rules []language.Validation, s map[string]any, place schemaPlace) {
	written := map[string]int{} // by the place in the schema
	for i, rule := range rules {
		here := at.With("validations", diagnostic.IndexStep(i))
		path, err := crd.AddRule(s, rule.Path, ruleOf(rule))
		if wrong := (*crd.PathError)(nil); errors.As(err, &wrong) {
			r.problems = append(r.problems, problem{at: here.With("path"), message: wrong.Message, hint: wrong.Hint})
			continue
		}
		written[diagnostic.Path(path).Key()] = i
	}
	found, err := crd.CheckRules(kind, s)
	if err != nil {
		r.report(at, err.Error(), "this is a mistake in kooperd")
	}
	for _, f := range found {
		p := place(f.Path, f.Key)
		text, _ := r.ruleText(s, f.Path)
		if i, ok := written[diagnostic.Path(f.Path[:len(f.Path)-1]).Key()]; ok {
			p = problem{at: at.With("validations", diagnostic.IndexStep(i), f.Path[len(f.Path)-1])}
		}
		p.message, p.hint = p.message+f.Message, f.Hint
		if f.Offset > 0 && text != "" {
			p.text, p.offset = &text, f.Offset
		}
		r.problems = append(r.problems, p)
	}
}

// ruleText returns the text at a place in a schema.
func (r *kindReader) ruleText(s map[string]any, path []string) (string, bool) {
	var value any = s
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i := slices.IndexFunc(slices.Collect(indexes(len(v))), func(name string) bool { return name == step })
			if i < 0 {
				return "", false
			}
			value = v[i]
		}
	}
	text, ok := value.(string)
	return text, ok
}

func indexes(n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(diagnostic.IndexStep(i)) {
				return
			}
		}
	}
}

// ruleOf returns a rule as x-kubernetes-validations has it.
func ruleOf(rule language.Validation) map[string]any {
	out := map[string]any{"rule": rule.Rule}
	for word, text := range map[string]string{
		"message": rule.Message, "messageExpression": rule.MessageExpression, "reason": rule.Reason, "fieldPath": rule.FieldPath,
	} {
		if text != "" {
			out[word] = text
		}
	}
	if rule.OptionalOldSelf {
		out["optionalOldSelf"] = true
	}
	return out
}

// scale checks where the replicas are.
func (r *kindReader) scale(at diagnostic.Path, f *language.Scale, out *crd.Version) {
	if f == nil {
		return
	}
	out.Subresources.Scale = &crd.Scale{
		SpecReplicasPath: f.SpecReplicasPath, StatusReplicasPath: f.StatusReplicasPath, LabelSelectorPath: f.LabelSelectorPath,
	}
	for _, p := range []struct{ field, path, below, kind string }{
		{"specReplicasPath", f.SpecReplicasPath, ".spec.", "integer"},
		{"statusReplicasPath", f.StatusReplicasPath, ".status.", "integer"},
		{"labelSelectorPath", f.LabelSelectorPath, "", "string"},
	} {
		field, simple := crd.Field(out.Schema.OpenAPIV3Schema, p.path)
		switch {
		case p.path == "":
		case !simple || !strings.HasPrefix(p.path, p.below) || !strings.HasPrefix(p.path, ".spec.") && !strings.HasPrefix(p.path, ".status."):
			below := p.below
			if below == "" {
				below = ".spec. or .status."
			}
			r.report(at.With(p.field), fmt.Sprintf("%s does not lead below %s", p.path, strings.TrimSuffix(below, ".")), "")
		case field.Known && field.Type != p.kind:
			r.report(at.With(p.field), fmt.Sprintf("%s is %s in the schema", p.path, field.Describe()), "want a field of type "+p.kind)
		}
	}
}

// maxSelectable is how many fields the API server lets be selected.
const maxSelectable = 8

func (r *kindReader) selectable(at diagnostic.Path, paths []string, out *crd.Version) {
	if len(paths) > maxSelectable {
		r.report(at, fmt.Sprintf("has %d fields", len(paths)), fmt.Sprintf("want at most %d", maxSelectable))
	}
	for i, path := range paths {
		here := at.With(diagnostic.IndexStep(i))
		out.SelectableFields = append(out.SelectableFields, crd.SelectableField{JSONPath: path})
		field, simple := crd.Field(out.Schema.OpenAPIV3Schema, path)
		switch {
		case slices.Index(paths, path) < i:
			r.report(here, fmt.Sprintf("%s is there twice", path), "")
		case !simple || strings.HasPrefix(path, ".metadata"):
			r.report(here, fmt.Sprintf("%s is no field that can be selected by", path), "want a path such as .spec.color")
		case !slices.Contains([]string{"string", "integer", "boolean"}, field.Type):
			r.report(here, fmt.Sprintf("%s is %s in the schema", path, field.Describe()), "want a string, an integer or a boolean")
		}
	}
}

// columns fills in the columns of a version and checks that their fields are there.
func (r *kindReader) columns(at diagnostic.Path, columns *[]language.Column, out *crd.Version) {
	s := out.Schema.OpenAPIV3Schema
	if columns == nil {
		out.Columns = crd.DefaultColumns(s)
		return
	}
	for i, c := range *columns {
		here := at.With(diagnostic.IndexStep(i))
		column := crd.Column{Name: c.Name, JSONPath: c.JSONPath, Type: c.Type, Description: c.Description, Format: c.Format, Priority: c.Priority}
		if column.Type == "" {
			column.Type = crd.ColumnType(s, c.JSONPath)
		}
		out.Columns = append(out.Columns, column)
		if field, simple := crd.Field(s, c.JSONPath); simple && !field.Known && !strings.HasPrefix(c.JSONPath, ".metadata.") &&
			c.JSONPath != ".apiVersion" && c.JSONPath != ".kind" && !field.Free {
			r.report(here.With("jsonPath"), fmt.Sprintf("the schema has no field %s", c.JSONPath), "")
		}
		if problem := jsonPathMistake(c.JSONPath); problem != "" {
			r.report(here.With("jsonPath"), problem, `want a path such as .status.url or .status.conditions[?(@.type=="Ready")].status`)
		}
	}
}

// unbraced matches a JSON path that kubectl would refuse.
var unbraced = regexp.MustCompile(`[{}]`)

func jsonPathMistake(path string) string {
	if unbraced.MatchString(path) {
		return "a path stands here without braces"
	}
	if strings.Count(path, "[") != strings.Count(path, "]") || strings.Count(path, "(") != strings.Count(path, ")") {
		return "the brackets of the path are not closed"
	}
	return ""
}
