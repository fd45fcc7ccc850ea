package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/token"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
	"kooperd.dev/kooperd/pkg/config/internal/explain"
	"kooperd.dev/kooperd/pkg/config/internal/language"
	"kooperd.dev/kooperd/pkg/config/internal/structural"
	"kooperd.dev/kooperd/pkg/config/internal/syntax"
	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/kinds/crd"
)

// declareKinds reads the kinds of the document, in JSON, so that what follows is checked by them.
func (l *loader) declareKinds(document []byte) {
	l.table = kinds.BuiltIn()
	var f struct {
		Kinds json.RawMessage `json:"kinds"`
	}
	if json.Unmarshal(document, &f) != nil || f.Kinds == nil {
		return
	}
	all, err := language.DecodeKinds(f.Kinds)
	if err != nil {
		return // It has mistakes that are reported already.
	}
	for kind, k := range all {
		if k == nil || l.report.Explained(diagnostic.Path{"kinds", kind}) {
			delete(all, kind)
		}
	}
	r := &kindReader{schema: l.kindSchema}
	l.declared = r.kinds(all)
	l.reportProblems(r.problems)
	custom, err := crd.CustomKinds(l.declared)
	if err != nil {
		l.report.Add(l.doc.Start(), nil, err.Error(), "this is a mistake in kooperd")
		return
	}
	l.table = l.table.With(custom.Resources()...)
	l.kinds = declaredBefore(custom, l.kinds)
}

// declaredBefore returns what is known of the kinds of the file, and of others.
func declaredBefore(custom kinds.CustomKinds, others handlers.Kinds) handlers.Kinds {
	return handlers.Kinds{
		TypeOf: func(kind schema.GroupVersionKind) expression.Type {
			if k, ok := custom.Find(kind); ok {
				return k.Type
			}
			return others.Type(kind)
		},
		ScopeOf: func(kind schema.GroupVersionKind) (namespaced, known bool) {
			if namespaced, known = custom.ScopeOf(kind); known || others.ScopeOf == nil {
				return namespaced, known
			}
			return others.ScopeOf(kind)
		},
		IsCustom: func(kind schema.GroupVersionKind) bool {
			return custom.IsCustom(kind) || others.IsCustom != nil && others.IsCustom(kind)
		},
		StatusOf: func(kind schema.GroupVersionKind) (has, known bool) {
			if has, known = custom.StatusOf(kind); known || others.StatusOf == nil {
				return has, known
			}
			return others.StatusOf(kind)
		},
	}
}

// kindSchema returns the schema of a version, whichever way it is written.
func (l *loader) kindSchema(at diagnostic.Path, version *language.KindVersion) (map[string]any, schemaPlace) {
	v := l.doc.Lookup(at.With("schema"))
	inCUE := v.Exists()
	switch {
	case inCUE && version.OpenAPIV3Schema != nil:
		l.report.Add(l.doc.KeyPosition(at.With("schema")), at.With("schema"), "stands beside openAPIV3Schema", "leave one of both out")
		return nil, nil
	case !inCUE && version.OpenAPIV3Schema == nil:
		l.report.Add(l.doc.KeyPosition(at), at, "has no schema", "write schema: {spec: {…}} in CUE, or openAPIV3Schema: {type: object, …}")
		return nil, nil
	case !inCUE:
		return version.OpenAPIV3Schema, openAPIPlace(at.With("openAPIV3Schema"))
	}
	at = at.With("schema")
	if !l.isCUE(v) {
		l.report.Add(l.doc.KeyPosition(at), at, "is for CUE files, as it has constraints in CUE", "write openAPIV3Schema")
		return nil, nil
	}
	if kind, err := v.LookupPath(cue.ParsePath("type")).String(); err == nil && kind == "object" && v.LookupPath(cue.ParsePath("properties")).Exists() {
		l.report.Add(l.doc.KeyPosition(at), at, "is an OpenAPI schema, and not one in CUE", "write openAPIV3Schema")
		return nil, nil
	}
	found, places, problems := structural.Of(v, at)
	for _, p := range problems {
		full := at.With(p.Path...)
		if !l.report.Has(full) {
			l.report.Add(l.placeOf(p.Positions, full), full, p.Message, p.Hint)
		}
	}
	if len(problems) > 0 {
		return nil, nil
	}
	return found, l.cuePlace(at, places)
}

// isCUE reports whether a value stands in a CUE file.
func (l *loader) isCUE(v cue.Value) bool {
	for _, part := range append([]cue.Value{v}, explain.Conjuncts(v)...) {
		if file, ok := l.doc.Files[part.Pos().Filename()]; ok && file.Language != syntax.YAML && file.Language != syntax.JSON {
			return true
		}
	}
	return false
}

// placeOf returns the first of several places that is in the files, or that of the path.
func (l *loader) placeOf(positions []token.Pos, at diagnostic.Path) diagnostic.Position {
	for _, p := range positions {
		if pos, ok := l.doc.Position(p); ok {
			return pos
		}
	}
	return l.doc.ValuePosition(at)
}

// cuePlace is the place of a problem in a schema that was made of one in CUE.
func (l *loader) cuePlace(at diagnostic.Path, places structural.Places) schemaPlace {
	return func(path []string, _ bool) problem {
		var field diagnostic.Path
		for len(path) > 0 {
			switch {
			case path[0] == "properties" && len(path) > 1:
				field, path = field.With(path[1]), path[2:]
				continue
			case path[0] == "items" || path[0] == "additionalProperties":
				field, path = field.With(diagnostic.EachStep), path[1:]
				continue
			}
			break
		}
		p := problem{at: at.With(field...)}
		pos := l.placeOf(places[field.Key()], p.at)
		p.position = &pos
		if len(path) > 0 {
			p.message = fmt.Sprintf("%s ", strings.Join(slices.Compact(slices.Clone(path)), "."))
		}
		return p
	}
}
