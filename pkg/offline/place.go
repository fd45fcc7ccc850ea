package offline

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

// place is what the path of a request names: an object, a part of one, or all of a kind.
type place struct {
	kind        schema.GroupVersionKind
	namespace   string
	name        string // empty for all
	subresource string
	resource    kinds.Resource
}

func (p place) key() Key {
	return Key{GroupKind: p.kind.GroupKind(), Namespace: p.namespace, Name: p.name}
}

// placeOf takes a path apart. ok is false for one that names no objects of a kind that is known.
func (s *Server) placeOf(ctx context.Context, req *http.Request) (place, bool) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	var gv schema.GroupVersion
	switch i := slices.IndexFunc(parts, func(p string) bool { return p == "api" || p == "apis" }); {
	case i >= 0 && parts[i] == "api" && len(parts) > i+2:
		gv.Version, parts = parts[i+1], parts[i+2:]
	case i >= 0 && parts[i] == "apis" && len(parts) > i+3:
		gv.Group, gv.Version, parts = parts[i+1], parts[i+2], parts[i+3:]
	default:
		return place{}, false
	}
	var p place
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		p.namespace, parts = parts[1], parts[2:]
	}
	resource, err := s.finder.Resource(ctx, schema.GroupResource{Group: gv.Group, Resource: parts[0]})
	if err != nil || len(parts) > 3 {
		return place{}, false
	}
	p.resource, p.kind = resource, gv.WithKind(resource.Kind)
	if len(parts) > 1 {
		p.name = parts[1]
	}
	if len(parts) > 2 {
		p.subresource = parts[2]
	}
	return p, true
}
