package daemon

import "kooperd.dev/kooperd/pkg/compose"

// hidden stands where a value of a Secret is.
const hidden = "[REDACTED]"

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
		for name, member := range value {
			masked[name] = m.mask(append(path[:len(path):len(path)], name), member, had[name])
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
			masked[i] = m.mask(append(path[:len(path):len(path)], ""), element, was)
		}
		return masked
	case string:
		return m.text(path, value, before)
	default:
		return value
	}
}

// text is mask for a text.
func (m masker) text(path []string, value string, before any) string {
	masked := m.redact(value)
	switch {
	case len(path) == 2 && m.secret && (path[0] == "data" || path[0] == "stringData"):
		masked = hidden
	case len(path) == 1, path[0] == "metadata" && (path[1] == "name" || path[1] == "namespace"):
		return value // It names the object.
	}
	was, there := before.(string)
	if masked != value && there && was != value && m.sameMasked(path, was, masked) {
		return masked + " (changed)"
	}
	return masked
}

// sameMasked reports whether another text looks the same.
func (m masker) sameMasked(path []string, other, masked string) bool {
	return m.text(path, other, nil) == masked
}

// redacted is a value without what is secret.
func (s shownObjects) redacted(value any) any {
	if s.view.secrets {
		return value
	}
	return masker{redact: s.redact}.mask([]string{"status"}, value, nil)
}
