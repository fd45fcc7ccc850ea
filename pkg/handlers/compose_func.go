package handlers

import (
	"context"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Compose makes a Composer of a function from a typed parent and its observed children to what
// should be, for example
//
//	Compose(func(ctx context.Context, ns *corev1.Namespace, observed Children) (Composition, error) {…})
//
// T is as for FuncResult, and so is what happens with another kind than T stands for. The parent is
// the function's own copy. A composer that reads related objects, or finalizes, is a ComposerFunc
// or another type.
//
// Compose panics when T is not a pointer or f is nil, as that is a mistake in the program and shows
// at start.
func Compose[T any](f func(ctx context.Context, parent T, observed Children) (Composition, error)) Composer {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("handlers.Compose: want a pointer to an API struct, have %s", t))
	}
	if f == nil {
		panic("handlers.Compose: want a function, have nil")
	}
	return &composeFunc[T]{f: f, typed: typedFunc{t: t, kinds: kindsOf(t), role: "composer"}}
}

type composeFunc[T any] struct {
	f     func(ctx context.Context, parent T, observed Children) (Composition, error)
	typed typedFunc
}

// Compose decodes the parent and calls the function.
func (c *composeFunc[T]) Compose(ctx context.Context, req ComposeRequest) (Composition, error) {
	parent, err := decodeInto[T](c.typed, req.Object)
	if err != nil {
		return Composition{}, Terminal(err)
	}
	return c.f(ctx, parent, req.Children)
}

func (c *composeFunc[T]) checkKind(watched schema.GroupVersionKind) error {
	return c.typed.checkKind(watched)
}
