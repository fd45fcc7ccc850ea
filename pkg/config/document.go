package config

import (
	"encoding/json"

	"cuelang.org/go/cue"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"kooperd.dev/kooperd/pkg/config/internal/explain"
)

// cueSchemas is where a document has schemas in CUE; * stands for any name. They have constraints
// where everything else has values.
var cueSchemas = []string{"kinds", "*", "versions", "*", "schema"}

// encode checks that the whole document has values, and returns it as JSON. Schemas in CUE are left
// out.
func encode(full cue.Value) ([]byte, error) {
	if !full.LookupPath(cue.MakePath(cue.Str(cueSchemas[0]))).Exists() {
		if err := full.Validate(cue.Concrete(true)); err != nil {
			return nil, err
		}
		return full.MarshalJSON()
	}
	if err := full.Validate(); err != nil {
		return nil, err
	}
	return encodeWithout(full, cueSchemas)
}

// encodeWithout is encode for a value below which something is left out.
func encodeWithout(v cue.Value, leftOut []string) ([]byte, error) {
	v = explain.Settled(v)
	if v.IncompleteKind() != cue.StructKind {
		if err := v.Validate(cue.Concrete(true)); err != nil {
			return nil, err
		}
		return v.MarshalJSON()
	}
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return nil, err
	}
	fields := map[string]json.RawMessage{}
	for it.Next() {
		name := it.Selector().Unquoted()
		switch it.Selector().ConstraintType() {
		case cue.OptionalConstraint:
			continue
		case cue.RequiredConstraint:
			return nil, cueerrors.Newf(token.NoPos, "field is required but not present: %s", name)
		}
		isPart := leftOut[0] == name || leftOut[0] == "*"
		switch {
		case isPart && len(leftOut) == 1:
		case isPart:
			fields[name], err = encodeWithout(it.Value(), leftOut[1:])
		default:
			if err = it.Value().Validate(cue.Concrete(true)); err == nil {
				fields[name], err = it.Value().MarshalJSON()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(fields)
}
