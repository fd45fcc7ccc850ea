package compose

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// collectionIn finds the kind of a path that ends with a resource, and its namespace.
func collectionIn(path string) (kind schema.GroupVersionKind, namespace string, ok bool) {
	kind, id, subresource, ok := idIn(path + "/any")
	return kind, id.Namespace, ok && subresource == "" && id.Name == "any"
}

// list answers with the metadata of the objects that a selector selects.
func (s *server) list(w http.ResponseWriter, kind schema.GroupVersionKind, namespace, selector string) {
	selected, err := labels.Parse(selector)
	if err != nil {
		panic(err)
	}
	items := []json.RawMessage{}
	for id, o := range s.cluster.objects {
		if id.Kind != kind.GroupKind() || namespace != "" && id.Namespace != namespace {
			continue
		}
		object, err := o.read(true)
		if err != nil {
			panic(err)
		}
		if !selected.Matches(labels.Set(object.Metadata().Labels)) {
			continue
		}
		text, err := o.encode()
		if err != nil {
			panic(err)
		}
		items = append(items, text)
	}
	text, err := json.Marshal(map[string]any{
		"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.cluster.version)}, "items": items,
	})
	if err != nil {
		panic(err)
	}
	sendJSON(w, http.StatusOK, text)
}

// lists are the lists among requests.
func lists(requests []request) (paths []string) {
	for _, r := range requests {
		if _, _, ok := collectionIn(r.path); ok && r.method == http.MethodGet && !strings.HasPrefix(r.path, "/openapi") {
			paths = append(paths, r.path)
		}
	}
	return paths
}
