package handlers

import (
	"context"
	"fmt"
	"reflect"
)

// Func makes a Handler of a function over typed objects, for example Func(func(ctx context.Context, pod *corev1.Pod)
// error {…}). T is a pointer to the struct of the watched kind, or *unstructured.Unstructured; the object is the
// function's own copy. An object that does not decode into T is a terminal error. Func panics when T is not a pointer
// or f is nil, as that is a mistake in the program and shows at start.
func Func[T any](f func(ctx context.Context, obj T) error) Handler {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("handlers.Func: want a pointer to an API struct, have %s", t))
	}
	if f == nil {
		panic("handlers.Func: want a function, have nil")
	}
	return HandlerFunc(func(ctx context.Context, req Request) (Result, error) {
		obj := reflect.New(t.Elem()).Interface()
		if err := req.Object.Into(obj); err != nil {
			return Result{}, Terminal(err)
		}
		typed, ok := obj.(T)
		if !ok {
			return Result{}, Terminal(fmt.Errorf("decoding object: have %T, want %s", obj, t))
		}
		return Result{}, f(ctx, typed)
	})
}
