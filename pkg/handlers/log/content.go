package log

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kooperd.dev/kooperd/pkg/handlers"
)

// maxValue bounds one logged value, in bytes of text or JSON: log stores cut or drop longer lines,
// and a line should not cost as much as its object.
const maxValue = 1024

// contents decodes an object at most once, and not at all when its metadata is enough.
type contents struct {
	object   handlers.Object
	metadata map[string]any
	whole    map[string]any
}

// get returns the content that templates are evaluated over.
func (c *contents) get(metadataOnly bool) (map[string]any, error) {
	if c.whole == nil && metadataOnly {
		return c.getMetadata()
	}
	if c.whole == nil {
		var u unstructured.Unstructured
		if err := c.object.Into(&u); err != nil {
			return nil, err
		}
		c.whole = u.Object
	}
	return c.whole, nil
}

func (c *contents) getMetadata() (map[string]any, error) {
	if c.metadata != nil {
		return c.metadata, nil
	}
	partial := metav1.PartialObjectMetadata{ObjectMeta: *c.object.Metadata()}
	partial.SetGroupVersionKind(c.object.GroupVersionKind())
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&partial)
	if err != nil {
		return nil, fmt.Errorf("encoding metadata: %w", err)
	}
	c.metadata = content
	return content, nil
}

// cut bounds a value: a long text loses its end, and a long list or map becomes the beginning of
// its JSON.
func cut(value any) any {
	text, ok := value.(string)
	if !ok {
		b, err := json.Marshal(value)
		if err == nil && len(b) <= maxValue {
			return value
		}
		text = string(b)
	}
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d more bytes)", text[:end], len(text)-end)
}
