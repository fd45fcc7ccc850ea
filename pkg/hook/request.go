package hook

import (
	"bytes"
	"encoding/json"
	"fmt"

	"kooperd.dev/kooperd/pkg/handlers"
)

// objectMap has objects by their kinds, and of each kind by their names: "Pod.v1", and then "web"
// or "shop/web".
type objectMap map[string]map[string]json.RawMessage

// The requests, as hooks know them.
type (
	compositeRequest struct {
		Controller json.RawMessage `json:"controller"`
		Parent     json.RawMessage `json:"parent"`
		Children   objectMap       `json:"children"`
		Related    objectMap       `json:"related"`
		Finalizing bool            `json:"finalizing"`
	}
	decoratorRequest struct {
		Controller  json.RawMessage `json:"controller"`
		Object      json.RawMessage `json:"object"`
		Attachments objectMap       `json:"attachments"`
		Related     objectMap       `json:"related"`
		Finalizing  bool            `json:"finalizing"`
	}
	customizeRequest struct {
		Controller json.RawMessage `json:"controller"`
		Parent     json.RawMessage `json:"parent"`
	}
)

// group makes the map of a kind, though no object of it may come.
func (m objectMap) group(key string) map[string]json.RawMessage {
	if m[key] == nil {
		m[key] = map[string]json.RawMessage{}
	}
	return m[key]
}

// view is what hooks see of objects for one parent.
type view struct {
	version Version
	parent  handlers.Object
}

// sees reports whether a hook sees an object. By v1, an object of a namespace has its own namespace
// alone.
func (v view) sees(object handlers.Object) bool {
	return v.version != V1 || v.parent.Namespace() == "" || object.Namespace() == v.parent.Namespace()
}

// key is the name of an object in the map of its kind.
func (v view) key(object handlers.Object) string {
	inside := v.version == V1 && v.parent.Namespace() != ""
	if object.Namespace() == "" || inside {
		return object.Name()
	}
	return object.Namespace() + "/" + object.Name()
}

// put adds an object to the map of a kind.
func (v view) put(group map[string]json.RawMessage, object handlers.Object) error {
	if !v.sees(object) {
		return nil
	}
	text, err := object.JSON()
	if err != nil {
		return err
	}
	group[v.key(object)] = text
	return nil
}

// children are the observed children of the kinds that are declared.
func (c *composer) children(v view, observed handlers.Children) (objectMap, error) {
	all := make(objectMap, len(c.config.Children))
	for _, child := range c.config.Children {
		group := all.group(groupKey(child.APIVersion, child.Kind))
		for _, object := range observed.OfKind(child.APIVersion, child.Kind) {
			if err := v.put(group, object.Object); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// related are the related objects. asked are all selections, of which some may have found nothing.
func (c *composer) related(v view, asked []handlers.Related, found map[string][]handlers.Object) (objectMap, error) {
	all := make(objectMap, len(asked))
	for _, one := range asked {
		group := all.group(groupKey(one.APIVersion, one.Kind))
		for _, object := range found[one.Name] {
			if err := v.put(group, object); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// request makes the request of a sync or finalize hook.
func (c *composer) request(req handlers.ComposeRequest, asked []handlers.Related, finalizing bool) ([]byte, error) {
	v := view{version: c.config.version(), parent: req.Object}
	parent, err := req.Object.JSON()
	if err != nil {
		return nil, err
	}
	children, err := c.children(v, req.Children)
	if err != nil {
		return nil, err
	}
	related, err := c.related(v, asked, req.Related)
	if err != nil {
		return nil, err
	}
	if c.config.shape() == Decorator {
		return encode(decoratorRequest{
			Controller: c.controller, Object: parent, Attachments: children, Related: related, Finalizing: finalizing,
		})
	}
	return encode(compositeRequest{
		Controller: c.controller, Parent: parent, Children: children, Related: related, Finalizing: finalizing,
	})
}

// encode writes JSON in one line, as it is, without escapes for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding the request: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
