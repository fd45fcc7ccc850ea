package daemon

import (
	"maps"
	"reflect"
	"slices"

	"kooperd.dev/kooperd/pkg/compose"
)

const (
	// hidden stands where a value of a Secret is.
	hidden = "[REDACTED]"
	// generated stands where a value is that every run makes anew.
	generated = "<generated>"
)

// masker takes what is secret out of objects.
type masker struct {
	redact func(string) string
	secret bool // the object is a Secret
}

// masked returns an object before and after without what is secret in either; nil for none. What
// has changed and looks the same then is marked.
func (s shownObjects) masked(id compose.ChildID, before, now map[string]any) (was, is map[string]any) {
	if s.view.secrets {
		return before, now
	}
	m := masker{redact: s.redact, secret: id.Kind.Group == "" && id.Kind.Kind == "Secret"}
	if before != nil {
		was, _ = m.mask(nil, before, nil).(map[string]any)
	}
	if now != nil {
		is, _ = m.mask(nil, now, before).(map[string]any)
	}
	return was, is
}

// mask returns a value at a path without what is secret. before is what was there; nil for nothing.
func (m masker) mask(path []string, value, before any) any {
	switch value := value.(type) {
	case map[string]any:
		had, _ := before.(map[string]any)
		masked := make(map[string]any, len(value))
		for _, name := range slices.Sorted(maps.Keys(value)) {
			masked[m.name(path, name)] = m.mask(append(slices.Clip(path), name), value[name], had[name])
		}
		return masked
	case []any:
		had, _ := before.([]any)
		masked := make([]any, len(value))
		for i, element := range value {
			var was any
			if i < len(had) {
				was = had[i]
			}
			masked[i] = m.mask(append(slices.Clip(path), ""), element, was)
		}
		return masked
	default:
		masked := m.leaf(path, value)
		if !reflect.DeepEqual(masked, value) && before != nil && !reflect.DeepEqual(before, value) && reflect.DeepEqual(m.leaf(path, before), masked) {
			return masked.(string) + " (changed)" //nolint:forcetypeassert // what is masked is a text
		}
		return masked
	}
}

// name is mask for the name of a field at a path, or a key there.
func (m masker) name(path []string, name string) string {
	if len(path) == 0 || len(path) == 1 && path[0] == "metadata" {
		return name
	}
	return m.redact(name)
}

// leaf is mask for what has no members.
func (m masker) leaf(path []string, value any) any {
	if m.secret && len(path) > 0 && (path[0] == "data" || path[0] == "stringData") {
		return hidden
	}
	text, ok := value.(string)
	switch {
	case !ok, len(path) == 1 && (path[0] == "apiVersion" || path[0] == "kind"):
		return value
	case len(path) == 2 && path[0] == "metadata" && (path[1] == "name" || path[1] == "namespace"):
		return value // It names the object, as the line about it does.
	}
	return m.redact(text)
}

// redacted is a value without what is secret.
func (s shownObjects) redacted(value any) any {
	if s.view.secrets {
		return value
	}
	return masker{redact: s.redact}.mask([]string{"status"}, value, nil)
}

// withoutGenerated is an object without the values that are not in what the definition says of it.
func withoutGenerated(object, desired map[string]any) map[string]any {
	if object == nil {
		return nil
	}
	shown, _ := onlyKnown(object, desired).(map[string]any)
	return shown
}

func onlyKnown(value, known any) any {
	switch value := value.(type) {
	case map[string]any:
		of, _ := known.(map[string]any)
		shown := make(map[string]any, len(value))
		for name, member := range value {
			shown[name] = onlyKnown(member, of[name])
		}
		return shown
	case []any:
		of, _ := known.([]any)
		shown := make([]any, len(value))
		for i, element := range value {
			var one any
			if i < len(of) {
				one = of[i]
			}
			shown[i] = onlyKnown(element, one)
		}
		return shown
	default:
		if reflect.DeepEqual(value, known) {
			return value
		}
		return generated
	}
}
