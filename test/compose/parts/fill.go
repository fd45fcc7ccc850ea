package parts

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/handlers"
)

// placeholder is what texts of the config can have.
var placeholder = regexp.MustCompile(`\{(name|namespace|uid|text|child [^ {}]+ [^ {}]+|related [^ {}]+)\}`)

// filler puts what a call is about into the texts of the config.
type filler struct {
	req  handlers.ComposeRequest
	text string
}

func newFiller(req handlers.ComposeRequest) (filler, error) {
	var parent unstructured.Unstructured
	if err := req.Object.Into(&parent); err != nil {
		return filler{}, fmt.Errorf("reading the parent: %w", err)
	}
	text, _, err := unstructured.NestedString(parent.Object, "spec", "text")
	return filler{req: req, text: text}, err
}

// fill returns a copy of value with its texts filled in. The error is a handlers.Pending for an
// observed child that is not there.
func (f filler) fill(value map[string]any) (map[string]any, error) {
	filled, err := f.any(value)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(filled)
	if err != nil {
		return nil, fmt.Errorf("encoding what is filled in: %w", err)
	}
	var object map[string]any
	err = apijson.Unmarshal(data, &object) // Whole numbers become int64.
	return object, err
}

// marks returns labels or annotations with their values filled in, and nil for those to remove.
func (f filler) marks(values map[string]string, removes []string) (map[string]*string, error) {
	if len(values)+len(removes) == 0 {
		return nil, nil
	}
	filled := map[string]*string{}
	for name, value := range values {
		text, err := f.string(value)
		if err != nil {
			return nil, err
		}
		filled[name] = &text
	}
	for _, name := range removes {
		filled[name] = nil
	}
	return filled, nil
}

func (f filler) any(value any) (any, error) {
	switch value := value.(type) {
	case string:
		return f.string(value)
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			var err error
			if list[i], err = f.any(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		object := make(map[string]any, len(value))
		for key, item := range value {
			name, err := f.string(key)
			if err != nil {
				return nil, err
			}
			if object[name], err = f.any(item); err != nil {
				return nil, err
			}
		}
		return object, nil
	default:
		return value, nil
	}
}

func (f filler) string(text string) (string, error) {
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(match string) string {
		value, err := f.lookup(strings.Fields(strings.Trim(match, "{}")))
		if err != nil {
			failed = err
		}
		return value
	})
	return filled, failed
}

// lookup returns what the words of a placeholder stand for.
func (f filler) lookup(words []string) (string, error) {
	switch words[0] {
	case "name":
		return f.req.Object.Name(), nil
	case "namespace":
		return f.req.Object.Namespace(), nil
	case "uid":
		return string(f.req.Object.UID()), nil
	case "text":
		return f.text, nil
	case "related":
		var names []string
		for _, object := range f.req.Related[words[1]] {
			names = append(names, object.Name())
		}
		return strings.Join(names, " "), nil
	default:
		return f.child(words[1], strings.Split(words[2], "."))
	}
}

// child returns a field of an observed child.
func (f filler) child(name string, path []string) (string, error) {
	child, ok := f.req.Children.Get(name)
	if !ok {
		return "", handlers.Pending{On: "child " + name}
	}
	var object unstructured.Unstructured
	if err := child.Into(&object); err != nil {
		return "", fmt.Errorf("reading child %s: %w", name, err)
	}
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if err != nil || !found {
		return "", handlers.Pending{On: "child " + name, Why: "it has no " + strings.Join(path, ".")}
	}
	return fmt.Sprint(value), nil
}
