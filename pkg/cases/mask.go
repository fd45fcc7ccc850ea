package cases

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// leastSecret is from how many bytes on a value of a Secret is looked for outside of the Secret:
// shorter ones are everywhere.
const leastSecret = 6

// maskPrefix is how that begins what stands for a value.
const maskPrefix = "masked-"

// Mask takes values of Secrets out of objects. The same value becomes the same text wherever it is
// quoted, so that what is copied from one object to another still is. The zero Mask is empty. It is
// for one goroutine.
type Mask struct {
	names    map[string]string // what stands for a value
	replaced []replacement     // longest first, once sorted
	sorted   bool
}

// replacement is one form of a value with what stands for it.
type replacement struct{ from, to string }

// Add notes the values of an object, if it is a Secret.
func (m *Mask) Add(object map[string]any) {
	if !isSecret(object) {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		values, _ := object[field].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if text, ok := values[key].(string); ok {
				m.add(plainOf(field, text))
			}
		}
	}
}

func isSecret(object map[string]any) bool {
	return object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

// plainOf is a value of a Secret as it is used.
func plainOf(field, text string) string {
	if field == "stringData" {
		return text
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return text // The API server takes no such Secret.
	}
	return string(decoded)
}

// add notes a value, and returns what stands for it.
func (m *Mask) add(value string) string {
	if value == "" {
		return ""
	}
	if name, ok := m.names[value]; ok {
		return name
	}
	if m.names == nil {
		m.names = map[string]string{}
	}
	name := fmt.Sprintf("%s%d", maskPrefix, len(m.names)+1)
	m.names[value] = name
	m.forms(value, name)
	if trimmed := strings.TrimSpace(value); trimmed != value {
		m.forms(trimmed, name)
	}
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			m.forms(strings.TrimSpace(line), name)
		}
	}
	return name
}

// forms notes in which forms a value may be quoted: as it is, escaped, and in base64.
func (m *Mask) forms(value, name string) {
	if len(value) < leastSecret {
		return
	}
	encoded, as := base64.StdEncoding.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte(name))
	quoted := strconv.Quote(value)
	m.replaced = append(m.replaced, replacement{value, name}, replacement{encoded, as},
		replacement{strings.TrimRight(encoded, "="), strings.TrimRight(as, "=")}, replacement{quoted[1 : len(quoted)-1], name})
	if text, err := json.Marshal(value); err == nil {
		m.replaced = append(m.replaced, replacement{string(text[1 : len(text)-1]), name})
	}
	m.sorted = false
}

// Text returns a text without the values that were noted.
func (m *Mask) Text(text string) string {
	if !m.sorted {
		slices.SortStableFunc(m.replaced, func(a, b replacement) int { return cmp.Compare(len(b.from), len(a.from)) })
		m.sorted = true
	}
	var out strings.Builder
	for text != "" {
		at, found := len(text), replacement{}
		for _, r := range m.replaced {
			if i := strings.Index(text[:min(len(text), at+len(r.from))], r.from); i >= 0 && i < at {
				at, found = i, r
			}
		}
		out.WriteString(text[:at] + found.to)
		text = text[at+len(found.from):]
	}
	return out.String()
}

// Object returns an object without the values that were noted; of a Secret without any. What names
// an object stays as it is.
func (m *Mask) Object(object map[string]any) map[string]any {
	masked := m.Known(object)
	for _, field := range []string{"data", "stringData"} {
		if value, ok := object[field]; ok && isSecret(object) {
			masked[field] = m.values(field, value)
		}
	}
	return masked
}

// Known is Object for an object in which other values may stay, also if it is a Secret.
func (m *Mask) Known(object map[string]any) map[string]any {
	masked := make(map[string]any, len(object))
	for name, value := range object {
		switch name {
		case "apiVersion", "kind":
			masked[name] = value
		case "metadata":
			masked[name] = m.metadata(value)
		default:
			masked[name] = m.Value(value)
		}
	}
	return masked
}

// metadata is Value for the metadata of an object.
func (m *Mask) metadata(value any) any {
	metadata, _ := m.Value(value).(map[string]any)
	of, _ := value.(map[string]any)
	for _, name := range []string{"name", "namespace"} {
		if text, ok := of[name]; ok {
			metadata[name] = text
		}
	}
	return metadata
}

// values returns the data of a Secret with what stands for it.
func (m *Mask) values(field string, value any) any {
	values, ok := value.(map[string]any)
	if !ok {
		return m.Value(value)
	}
	masked := make(map[string]any, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text, ok := values[key].(string)
		if !ok {
			continue // The API server takes no such Secret.
		}
		name := m.add(plainOf(field, text))
		if field == "data" {
			name = base64.StdEncoding.EncodeToString([]byte(name))
		}
		masked[m.Text(key)] = name
	}
	return masked
}

// Value returns a JSON value without the values that were noted, keys of objects included.
func (m *Mask) Value(value any) any {
	switch value := value.(type) {
	case string:
		return m.Text(value)
	case []any:
		masked := make([]any, len(value))
		for i, element := range value {
			masked[i] = m.Value(element)
		}
		return masked
	case map[string]any:
		masked := make(map[string]any, len(value))
		for name, member := range value {
			masked[m.Text(name)] = m.Value(member)
		}
		return masked
	default:
		return value
	}
}
