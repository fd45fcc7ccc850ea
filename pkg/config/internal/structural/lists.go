package structural

import (
	"reflect"

	"cuelang.org/go/cue"

	"kooperd.dev/kooperd/pkg/config/internal/diagnostic"
)

// list returns the schema of a list.
func (w *walker) list(v cue.Value, at diagnostic.Path) map[string]any {
	if isChoice(v) {
		arms := alternatives(v)
		if len(arms) != 1 {
			w.refuse(v, at, "is one of several lists", "write one list, and a rule in validations for what it has")
			return nil
		}
		v = arms[0]
	}
	schema := map[string]any{"type": "array"}
	rest := v.LookupPath(cue.MakePath(cue.AnyIndex))
	var items map[string]any
	if rest.Exists() {
		if items = w.value(rest, at.With(diagnostic.EachStep)); items == nil {
			return nil
		}
	}
	entries := 0
	for {
		entry := v.LookupPath(cue.MakePath(cue.Index(entries)))
		if !entry.Exists() {
			break
		}
		one := w.value(entry, at.With(diagnostic.EachStep))
		switch {
		case one == nil:
			return nil
		case items == nil:
			items = one
		case !reflect.DeepEqual(items, one):
			w.refuse(entry, at, "has entries with different schemas", "write a list with one kind of entries, or an object with a field for each")
			return nil
		}
		entries++
	}
	if items == nil {
		w.refuse(v, at, "says nothing of its entries", "write [...string] or another type")
		return nil
	}
	if rest.Exists() && describe(rest) != "" {
		items["description"] = describe(rest)
	}
	schema["items"] = items
	if entries > 0 {
		schema["minItems"] = int64(entries)
	}
	if entries > 0 && !rest.Exists() {
		schema["maxItems"] = int64(entries)
	}
	return schema
}
