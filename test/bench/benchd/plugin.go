package main

import (
	"context"
	_ "embed" // for schema.cue
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/bench/order"
)

//go:embed schema.cue
var schema string

// Config is the config of one handler. schema.cue describes its fields.
type Config struct {
	// MetadataOnly is whether metadata is all that is fetched of objects.
	MetadataOnly bool `json:"metadataOnly,omitempty"`
}

// plugin returns the plugin "bench". It has a rule, as most plugins do, so that kooperd asks
// whether it may do that.
func plugin(o order.Order, tally *order.Tally) handlers.Plugin[Config] {
	return handlers.Plugin[Config]{
		Name:         "bench",
		Summary:      "Handle objects as the benchmark orders it",
		Schema:       schema,
		MetadataOnly: func(c Config) bool { return c.MetadataOnly },
		Rules: func(Config) []rbacv1.PolicyRule {
			return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}}}
		},
		New: func(_ context.Context, env handlers.Env, _ Config) (handlers.Handler, error) {
			definition, err := order.Definition(env.Definition)
			if err != nil {
				return nil, err
			}
			return &handler{order: o, tally: tally, definition: definition}, nil
		},
	}
}

// errUnreachable is why calls fail that are to fail.
var errUnreachable = errors.New("dial tcp 10.0.3.17:443: connect: connection refused")

// handler is that of one definition.
type handler struct {
	order      order.Order
	tally      *order.Tally
	definition int
}

// Handle does the ordered work for one object.
func (h *handler) Handle(_ context.Context, req handlers.Request) (handlers.Result, error) {
	entered := time.Now()
	switch h.order.Work {
	case order.Decode:
		var pod corev1.Pod
		if err := h.tally.Decode(func() error { return req.Object.Into(&pod) }); err != nil {
			return handlers.Result{}, fmt.Errorf("decoding the object: %w", err)
		}
	case order.Stamp:
		time.Sleep(h.order.Takes)
		h.tally.Stamped(h.definition, req.Object.Metadata().Annotations[order.Annotation], entered)
	case order.Nothing, order.Compose:
	}
	h.tally.Handled(h.definition, req.Object.Name())
	if h.tally.Fails(req.Object.Name()) {
		return handlers.Result{}, fmt.Errorf("calling the billing service for %s: %w", req.Object.Name(), errUnreachable)
	}
	return handlers.Result{}, nil
}
