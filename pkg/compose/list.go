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
}

// list reads the metadata of objects past all caches: as they are now. version is that of the list.
func (c *Client) list(ctx context.Context, q query) (objects []handlers.Object, version string, err error) {
	next := ""
	for {
		var page metav1.PartialObjectMetadataList
		if err := c.page(ctx, q, next, &page); err != nil {
			return nil, "", fmt.Errorf("listing %s: %w", q.kind.Kind, err)
		}
		for i := range page.Items {
			object, err := metadataObject(&page.Items[i], q.kind)
			if err != nil {
				return nil, "", fmt.Errorf("listing %s: %w", q.kind.Kind, err)
			}
			objects = append(objects, object)
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
func (c *Client) page(ctx context.Context, q query, next string, page *metav1.PartialObjectMetadataList) error {
	path, err := c.path(ctx, target{kind: q.kind, namespace: q.namespace})
	if err != nil {
		return err
	}
	request := c.rest.Get().AbsPath(path[:len(path)-1]...).Param("limit", strconv.Itoa(listLimit)).
		SetHeader("Accept", runtime.ContentTypeJSON+";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	for name, value := range map[string]string{"labelSelector": cmp.Or(q.selector, q.labels.String()), "fieldSelector": q.fields, "continue": next} {
		if value != "" {
			request = request.Param(name, value)
		}
	}
	result := request.Do(ctx)
	body, err := result.Raw()
	if err != nil {
		return result.Error() // It has the causes.
	}
	return json.Unmarshal(body, page)
}

// metadataObject is an item of a list as an answer to a request for it would be.
func metadataObject(item *metav1.PartialObjectMetadata, kind schema.GroupVersionKind) (handlers.Object, error) {
	item.TypeMeta = metav1.TypeMeta{APIVersion: metav1.SchemeGroupVersion.String(), Kind: "PartialObjectMetadata"}
	text, err := json.Marshal(item)
	if err != nil {
		return nil, fmt.Errorf("encoding the metadata of %s: %w", item.Name, err)
	}
	return kube.ReadObject(text, kind, FieldManager, true)
}
