package compose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// listLimit is how many objects one answer may have.
const listLimit = 500

// query says which objects to list.
type query struct {
	kind      schema.GroupVersionKind
	namespace string // empty for all
	labels    labels.Set
	selector  string // a label selector in place of labels
	fields    string // a field selector
	whole     bool   // not the metadata alone
	manager   string // the field manager, or managers, whose fields are kept; empty for FieldManager
}

// accept is the Accept header of the request.
func (q query) accept() string {
	if q.whole {
		return runtime.ContentTypeJSON
	}
	return runtime.ContentTypeJSON + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
}

// listAnswer is one answer of a list.
type listAnswer struct {
	metav1.ListMeta `json:"metadata"`
	Items           []json.RawMessage `json:"items"`
}

// list reads the metadata of objects, or all of them, past all caches: as they are now. version is
// that of the list.
func (c *Client) list(ctx context.Context, q query) (objects []handlers.Object, version string, err error) {
	return listSome(ctx, c, q, nil)
}

// listSome is list of the objects that are to be kept; nil for all. The others take no memory.
func listSome(ctx context.Context, c *Client, q query, keep func(handlers.Object) bool) (objects []handlers.Object, version string, err error) {
	next := ""
	for {
		page, err := c.page(ctx, q, next)
		if err != nil {
			return nil, "", fmt.Errorf("listing %s: %w", q.kind.Kind, err)
		}
		for _, item := range page.Items {
			object, err := q.read(item)
			if err != nil {
				return nil, "", fmt.Errorf("listing %s: %w", q.kind.Kind, err)
			}
			if keep == nil || keep(object) {
				objects = append(objects, object)
			}
		}
		if version == "" {
			version = page.ResourceVersion
		}
		if next = page.Continue; next == "" {
			return objects, version, nil
		}
	}
}

// page reads one answer of a list.
func (c *Client) page(ctx context.Context, q query, next string) (answer listAnswer, err error) {
	path, err := c.path(ctx, target{kind: q.kind, namespace: q.namespace})
	if err != nil {
		return answer, err
	}
	request := c.rest.Get().AbsPath(path[:len(path)-1]...).Param("limit", strconv.Itoa(listLimit)).SetHeader("Accept", q.accept())
	for name, value := range map[string]string{"labelSelector": cmp.Or(q.selector, q.labels.String()), "fieldSelector": q.fields, "continue": next} {
		if value != "" {
			request = request.Param(name, value)
		}
	}
	result := request.Do(ctx)
	body, err := result.Raw()
	if err != nil {
		return answer, result.Error() // It has the causes.
	}
	err = json.Unmarshal(body, &answer)
	return answer, err
}

// read reads an item of a list as the answer to a request for it. In a list, it need not say what
// it is.
func (q query) read(item json.RawMessage) (handlers.Object, error) {
	var whole map[string]any
	var of any = &whole
	var partial metav1.PartialObjectMetadata
	if !q.whole {
		of = &partial
	}
	if err := apijson.Unmarshal(item, of); err != nil {
		return nil, fmt.Errorf("decoding an item: %w", err)
	}
	partial.TypeMeta = metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: "PartialObjectMetadata"}
	if whole != nil {
		whole["apiVersion"], whole["kind"] = q.kind.GroupVersion().String(), q.kind.Kind
	}
	text, err := json.Marshal(of)
	if err != nil {
		return nil, fmt.Errorf("encoding an item: %w", err)
	}
	return kube.ReadObject(text, q.kind, cmp.Or(q.manager, FieldManager), !q.whole)
}
