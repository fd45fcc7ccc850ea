package handlers

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Func makes a Handler of a function over typed objects, for example Func(func(ctx context.Context,
// pod *corev1.Pod) error {…}). See FuncResult, which it is but for the Result.
func Func[T any](f func(ctx context.Context, obj T) error) Handler {
	if f == nil {
		panic("handlers.Func: want a function, have nil")
	}
	return FuncResult(func(ctx context.Context, obj T) (Result, error) { return Result{}, f(ctx, obj) })
}

// FuncResult makes a Handler of a function over typed objects that may ask for another call.
//
// T is a pointer to the struct of the watched kind, or one that takes any kind:
// *unstructured.Unstructured or *metav1.PartialObjectMetadata. The object is the function's own
// copy. A built-in struct of another kind than the watched one is an error when the handler is
// made, and a terminal one of each call when it is made without a Bound; a struct that Kubernetes
// does not know is taken to be right. An object that does not decode into T is a terminal error.
//
// FuncResult panics when T is not a pointer or f is nil, as that is a mistake in the program and
// shows at start.
func FuncResult[T any](f func(ctx context.Context, obj T) (Result, error)) Handler {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Pointer {
		panic(fmt.Sprintf("handlers.Func: want a pointer to an API struct, have %s", t))
	}
	if f == nil {
		panic("handlers.FuncResult: want a function, have nil")
	}
	return &funcHandler[T]{f: f, typed: typedFunc{t: t, kinds: kindsOf(t), role: "handler"}}
}

// FuncFinalizer makes a Handler that is also a Finalizer of two functions over typed objects:
// handle is called for live objects, finalize for those that are being deleted. They are as
// FuncResult describes.
func FuncFinalizer[T any](
	handle, finalize func(ctx context.Context, obj T) (Result, error),
) interface {
	Handler
	Finalizer
} {
	return finalizingFunc{handler: FuncResult(handle), finalizer: FuncResult(finalize)}
}

// finalizingFunc consists of two handlers, both of which Func has made.
type finalizingFunc struct{ handler, finalizer Handler }

func (f finalizingFunc) Handle(ctx context.Context, req Request) (Result, error) {
	return f.handler.Handle(ctx, req)
}

func (f finalizingFunc) Finalize(ctx context.Context, req Request) (Result, error) {
	return f.finalizer.Handle(ctx, req)
}

func (f finalizingFunc) checkKind(watched schema.GroupVersionKind) error {
	typed, ok := f.handler.(kindChecker)
	if !ok {
		return nil
	}
	return typed.checkKind(watched)
}

// kindChecker is a handler that knows which kinds it can handle.
type kindChecker interface {
	checkKind(watched schema.GroupVersionKind) error
}

type funcHandler[T any] struct {
	f     func(ctx context.Context, obj T) (Result, error)
	typed typedFunc
}

// Handle decodes the object and calls the function.
func (h *funcHandler[T]) Handle(ctx context.Context, req Request) (Result, error) {
	obj, err := decodeInto[T](h.typed, req.Object)
	if err != nil {
		return Result{}, Terminal(err)
	}
	return h.f(ctx, obj)
}

func (h *funcHandler[T]) checkKind(watched schema.GroupVersionKind) error {
	return h.typed.checkKind(watched)
}

// typedFunc is what is known of a function over typed objects.
type typedFunc struct {
	t     reflect.Type
	kinds []schema.GroupVersionKind // that t stands for; empty when it may stand for any
	role  string                    // of the function, for messages
}

// decodeInto makes a T of an object of one of the kinds that T stands for.
func decodeInto[T any](f typedFunc, object Object) (T, error) {
	var none T
	if err := f.checkKind(object.GroupVersionKind()); err != nil {
		return none, err
	}
	obj := reflect.New(f.t.Elem()).Interface()
	if err := object.Into(obj); err != nil {
		return none, err
	}
	typed, ok := obj.(T)
	if !ok {
		return none, fmt.Errorf("decoding object: have %T, want %s", obj, f.t)
	}
	return typed, nil
}

func (f typedFunc) checkKind(watched schema.GroupVersionKind) error {
	if len(f.kinds) == 0 || slices.Contains(f.kinds, watched) {
		return nil
	}
	names := make([]string, len(f.kinds))
	for i, kind := range f.kinds {
		names[i] = kindName(kind)
	}
	return fmt.Errorf("the %s is a function over %s (%s), the watched kind is %s",
		f.role, f.t, strings.Join(names, " or "), kindName(watched))
}

// kindName writes a kind as a definition does, the version of the API in front: "apps/v1
// Deployment".
func kindName(kind schema.GroupVersionKind) string {
	version, name := kind.ToAPIVersionAndKind()
	return version + " " + name
}

// kindsOf returns the kinds that a pointer to a struct of Kubernetes itself stands for.
func kindsOf(t reflect.Type) []schema.GroupVersionKind {
	obj, ok := reflect.TypeAssert[runtime.Object](reflect.New(t.Elem()))
	if !ok {
		return nil
	}
	if _, ok := obj.(*metav1.PartialObjectMetadata); ok {
		return nil
	}
	if _, ok := obj.(runtime.Unstructured); ok {
		return nil
	}
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		return nil // it is none of Kubernetes itself
	}
	return kinds
}
