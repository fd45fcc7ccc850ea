package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

var (
	errNoPath     = errors.New("want a path, such as spec.replicas")
	errKeptOfMeta = errors.New("kooperd keeps that field itself")
)

// ignoredPath is the path of a field that a child leaves to others.
type ignoredPath []ignoredStep

// ignoredStep is one step of such a path.
type ignoredStep struct {
	name string         // of a field
	key  map[string]any // of the items of an associative list; nil for a field
}

// parseIgnored reads a path as people write it, and as conditions have it: spec.replicas,
// metadata.annotations["example.com/note"], spec.containers[name="web"].image.
func parseIgnored(text string) (ignoredPath, error) {
	var path ignoredPath
	rest := strings.TrimPrefix(text, ".")
	for rest != "" {
		step, after, err := parseStep(rest)
		if err != nil {
			return nil, fmt.Errorf("ignore %q: %w", text, err)
		}
		path = append(path, step)
		if next, ok := strings.CutPrefix(after, "."); ok && next == "" {
			return nil, fmt.Errorf("ignore %q: %w", text, errNoPath)
		}
		rest = strings.TrimPrefix(after, ".")
	}
	if len(path) == 0 || path[0].key != nil {
		return nil, fmt.Errorf("ignore %q: %w", text, errNoPath)
	}
	if path.isKept() {
		return nil, fmt.Errorf("ignore %q: %w", text, errKeptOfMeta)
	}
	return path, nil
}

// parseStep reads the first step of a path.
func parseStep(text string) (step ignoredStep, rest string, err error) {
	if !strings.HasPrefix(text, "[") {
		end := strings.IndexAny(text, ".[")
		if end < 0 {
			end = len(text)
		}
		if step.name = text[:end]; step.name == "" {
			return step, "", errNoPath
		}
		return step, text[end:], nil
	}
	inside, rest, ok := cutBracket(text[1:])
	if !ok || inside == "" {
		return step, "", errNoPath
	}
	if json.Unmarshal([]byte(inside), &step.name) == nil && step.name != "" {
		return step, rest, nil
	}
	step.key = map[string]any{}
	for pair := range strings.SplitSeq(inside, ",") {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return step, "", errNoPath
		}
		step.key[strings.TrimSpace(name)] = keyValue(text)
	}
	return step, rest, nil
}

// cutBracket cuts a text at the bracket that ends it, outside of quotes.
func cutBracket(text string) (inside, rest string, ok bool) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"' && (i == 0 || text[i-1] != '\\'):
			quoted = !quoted
		case text[i] == ']' && !quoted:
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

// keyValue is the value of a key: JSON, or a text as it is.
func keyValue(text string) any {
	if tree, err := decodeTree([]byte(`{"v": ` + text + `}`)); err == nil {
		return tree["v"]
	}
	return text
}

// isKept reports whether the path has in it what kooperd keeps of each child: what names it, its
// marks, and its owner references.
func (p ignoredPath) isKept() bool {
	switch {
	case p[0].name == "apiVersion", p[0].name == "kind":
		return true
	case p[0].name != "metadata":
		return false
	case len(p) == 1:
		return true
	case p[1].name == "labels", p[1].name == "annotations":
		return len(p) == 2 || strings.HasPrefix(p[2].name, "kooperd.dev/")
	default:
		return p[1].name == "name" || p[1].name == "namespace" || p[1].name == "ownerReferences"
	}
}

// cut removes what is at the path from a tree, and the objects that are empty after that.
func (p ignoredPath) cut(tree map[string]any) {
	member, ok := tree[p[0].name]
	switch {
	case !ok:
	case len(p) == 1:
		delete(tree, p[0].name)
	default:
		if member = p[1:].cutBelow(member); isEmpty(member) {
			delete(tree, p[0].name)
			return
		}
		tree[p[0].name] = member
	}
}

// cutBelow removes what is at the path from a value, and returns what is left of it.
func (p ignoredPath) cutBelow(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if p[0].key == nil {
			p.cut(v)
		}
		return v
	case []any:
		if p[0].key == nil {
			return v
		}
		if len(p) == 1 {
			return slices.DeleteFunc(v, p[0].selects)
		}
		for i, item := range v {
			if p[0].selects(item) {
				v[i] = p[1:].cutBelow(item)
			}
		}
		return v
	default:
		return v
	}
}

// selects reports whether an item of a list has the key of the step.
func (s ignoredStep) selects(item any) bool {
	fields, isObject := item.(map[string]any)
	for name, want := range s.key {
		if !isObject || !equalValues(want, fields[name], false) {
			return false
		}
	}
	return isObject
}

// fits reports whether a path element is that of the step.
func (s ignoredStep) fits(element fieldpath.PathElement) bool {
	if s.key == nil {
		return element.FieldName != nil && *element.FieldName == s.name
	}
	if element.Key == nil {
		return false
	}
	for name, want := range s.key {
		if !slices.ContainsFunc(*element.Key, func(field value.Field) bool {
			return field.Name == name && equalValues(want, field.Value.Unstructured(), false)
		}) {
			return false
		}
	}
	return true
}

// within adds to found what set has at or below the path. at is where set is.
func (p ignoredPath) within(set *fieldpath.Set, at fieldpath.Path, found *fieldpath.Set) {
	here := func(element fieldpath.PathElement) fieldpath.Path { return append(at.Copy(), element) }
	if len(p) == 1 {
		set.Members.Iterate(func(element fieldpath.PathElement) {
			if p[0].fits(element) {
				found.Insert(here(element))
			}
		})
	}
	set.Children.Iterate(func(element fieldpath.PathElement) {
		if !p[0].fits(element) {
			return
		}
		below, _ := set.Children.Get(element)
		if len(p) > 1 {
			p[1:].within(below, here(element), found)
			return
		}
		below.Iterate(func(rest fieldpath.Path) { found.Insert(append(here(element), rest...)) })
	})
}

// splitIgnored splits what a child sets: what it leaves to others once it exists is in full alone.
func (d *Desired) splitIgnored() error {
	for _, text := range d.Policy.Ignore {
		path, err := parseIgnored(text)
		if err != nil {
			return err
		}
		if path[0].name == "stringData" && d.ID.Kind == ofSecrets {
			path[0].name = "data"
		}
		d.ignored = append(d.ignored, path)
	}
	if len(d.ignored) == 0 || d.full != nil {
		return nil
	}
	d.full, d.tree = d.tree, runtime.DeepCopyJSON(d.tree)
	for _, path := range d.ignored {
		path.cut(d.tree)
	}
	return nil
}
