package main

import (
	"context"
	_ "embed" // for children.cue
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/bench/order"
)

//go:embed children.cue
var childrenSchema string

// ChildrenConfig is the config of one composer. children.cue describes its fields.
type ChildrenConfig struct {
	Extra string `json:"extra,omitempty"`
}

// childrenPlugin returns the plugin "children", whose composers make three ConfigMaps of a parent
// and read nothing of them.
func childrenPlugin(o order.Order, tally *order.Tally) handlers.Plugin[ChildrenConfig] {
	return handlers.Plugin[ChildrenConfig]{
		Name:    "children",
		Summary: "Make the children of the benchmark's parents",
		Schema:  childrenSchema,
		Owns: func(ChildrenConfig) []handlers.OwnedKind {
			return []handlers.OwnedKind{{APIVersion: "v1", Kind: "ConfigMap", MetadataOnly: true}}
		},
		NewComposer: func(_ context.Context, env handlers.Env, c ChildrenConfig) (handlers.Composer, error) {
			definition, err := order.Definition(env.Definition)
			if err != nil {
				return nil, err
			}
			own := o
			own.Extra = c.Extra
			return &composer{order: own, tally: tally, definition: definition}, nil
		},
	}
}

// composer is that of one definition.
type composer struct {
	order      order.Order
	tally      *order.Tally
	definition int
}

// Compose says what the children of a parent are.
func (c *composer) Compose(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var parent struct {
		Spec order.Spec `json:"spec"`
	}
	if err := req.Object.Into(&parent); err != nil {
		return handlers.Composition{}, fmt.Errorf("reading the parent: %w", err)
	}
	children := make([]handlers.Child, len(c.order.Children()))
	for i, part := range c.order.Children() {
		children[i] = handlers.Child{Name: part, Object: &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: order.ChildName(req.Object.Name(), part)},
			Data:       c.order.ChildData(parent.Spec, part),
		}}
	}
	c.tally.Handled(c.definition, req.Object.Name())
	return handlers.Composition{Children: children, Status: map[string]any{"observed": parent.Spec.Text}}, nil
}
