package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/kinds"
)

const (
	// shapeAge is for how long the schema of a kind is believed: a CustomResourceDefinition may
	// change.
	shapeAge = 5 * time.Minute
	// doubtAge is the same where the schema has no field that a composer sets: it may be new.
	doubtAge = 10 * time.Second
)

// statusFields says what of a status the API server keeps.
type statusFields struct {
	served bool            // the kind has a status subresource
	names  map[string]bool // top-level fields; nil when all are kept, or that is not known
}

// keeps reports whether the API server keeps a top-level field of the status.
func (f statusFields) keeps(name string) bool { return f.names == nil || f.names[name] }

// statusShape remembers what of a status is kept.
type statusShape struct {
	mu     sync.Mutex
	fields statusFields
	at     time.Time
	told   map[string]bool // fields that are not kept, which has been logged
}

// fields finds out what of a status is kept, and of this one in particular. It asks the API server
// once in a while, however many parents there are.
func (w *statusWriter) fields(ctx context.Context, status map[string]any) (statusFields, error) {
	w.shape.mu.Lock()
	defer w.shape.mu.Unlock()
	age := shapeAge
	for name := range status {
		if !w.shape.fields.keeps(name) {
			age = doubtAge
		}
	}
	if !w.shape.at.IsZero() && time.Since(w.shape.at) < age {
		return w.shape.fields, nil
	}
	w.client.forget(w.kind) // It may have a status subresource by now.
	resource, err := w.client.resource(ctx, w.kind)
	if err != nil {
		return statusFields{}, err
	}
	fields, err := w.client.statusFields(ctx, w.kind, resource)
	if err != nil {
		return statusFields{}, err
	}
	w.shape.fields, w.shape.at = fields, time.Now()
	return fields, nil
}

// tellPruned logs once that a field of the composer's status is not kept.
func (w *statusWriter) tellPruned(name string) {
	w.shape.mu.Lock()
	defer w.shape.mu.Unlock()
	if w.shape.told[name] {
		return
	}
	if w.shape.told == nil {
		w.shape.told = map[string]bool{}
	}
	w.shape.told[name] = true
	w.logger.Info("the schema of the kind has no such field of the status; it is left out", "field", "status."+name)
}

// openAPI is the part of an OpenAPI document that is read.
type openAPI struct {
	Components struct {
		Schemas map[string]openAPISchema `json:"schemas"`
	} `json:"components"`
}

type openAPISchema struct {
	Kinds      []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
	Preserve   bool                      `json:"x-kubernetes-preserve-unknown-fields"`
	Properties map[string]openAPISchema  `json:"properties"`
}

// statusFields reads the schema of a kind.
func (c *Client) statusFields(ctx context.Context, kind schema.GroupVersionKind, resource kinds.Resource) (statusFields, error) {
	verbs, served := resource.Subresources["status"]
	if !served || !slices.Contains(verbs, "patch") {
		return statusFields{}, nil
	}
	path := []string{"/openapi/v3/apis", kind.Group, kind.Version}
	text, err := c.rest.Get().AbsPath(path...).SetHeader("Accept", "application/json").Do(ctx).Raw()
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return statusFields{served: true}, nil // An aggregated API server need not have a schema.
	case err != nil:
		return statusFields{}, fmt.Errorf("reading the schema of %s: %w", kind.Kind, err)
	}
	var document openAPI
	if err := json.Unmarshal(text, &document); err != nil {
		return statusFields{}, fmt.Errorf("reading the schema of %s: %w", kind.Kind, err)
	}
	for _, s := range document.Components.Schemas {
		status, ok := s.Properties["status"]
		if !ok || s.Preserve || status.Preserve || !slices.Contains(s.Kinds, kind) || len(status.Properties) == 0 {
			continue
		}
		names := map[string]bool{}
		for name := range status.Properties {
			names[name] = true
		}
		return statusFields{served: true, names: names}, nil
	}
	return statusFields{served: true}, nil
}
