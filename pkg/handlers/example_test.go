package handlers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// cart is an object as a handler is given it.
func cart() handlers.Object {
	o, err := handlers.ObjectOf(&corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
		Data:       map[string]string{"items": "3"},
	})
	if err != nil {
		panic(err)
	}
	return o
}

// The shortest handler is a function over typed objects.
func ExampleFunc() {
	h := handlers.Func(func(_ context.Context, cm *corev1.ConfigMap) error {
		fmt.Printf("%s has %s items\n", cm.Name, cm.Data["items"])
		return nil
	})
	_, err := h.Handle(context.Background(), handlers.Request{Object: cart()})
	fmt.Println(err)
	// Output:
	// cart has 3 items
	// <nil>
}

// A function over the wrong kind is not called.
func ExampleFunc_kind() {
	h := handlers.Func(func(context.Context, *corev1.Secret) error { return nil })
	_, err := h.Handle(context.Background(), handlers.Request{Object: cart()})
	fmt.Println(err)
	// Output: the handler is a function over *v1.Secret (v1 Secret), the watched kind is v1 ConfigMap
}

// FuncResult is for a function that wants to be called again, here to look at the object in an
// hour.
func ExampleFuncResult() {
	h := handlers.FuncResult(func(_ context.Context, u *unstructured.Unstructured) (handlers.Result, error) {
		fmt.Println(u.GetKind(), u.GetName())
		return handlers.Result{RequeueAfter: time.Hour}, nil
	})
	result, err := h.Handle(context.Background(), handlers.Request{Object: cart()})
	fmt.Println(result.RequeueAfter, err)
	// Output:
	// ConfigMap cart
	// 1h0m0s <nil>
}

// A handler that makes something outside of the cluster takes it away again in Finalize. The
// definition names the finalizer, the plugin's Finalizes returns true, and the engine does the
// rest.
func ExampleFuncFinalizer() {
	accounts := map[string]bool{}
	h := handlers.FuncFinalizer(
		func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
			accounts[cm.Name] = true
			return handlers.Result{}, nil
		},
		func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
			delete(accounts, cm.Name) // No error if it is not there: Finalize may be called again.
			return handlers.Result{}, nil
		},
	)
	ctx, req := context.Background(), handlers.Request{Object: cart()}
	_, err := h.Handle(ctx, req)
	fmt.Println(accounts, err)
	_, err = h.Finalize(ctx, req)
	fmt.Println(accounts, err)
	// Output:
	// map[cart:true] <nil>
	// map[] <nil>
}

// HandlerFunc is for a function that wants to know why it is called, or that needs no more of the
// object than its metadata.
func ExampleHandlerFunc() {
	h := handlers.HandlerFunc(func(_ context.Context, req handlers.Request) (handlers.Result, error) {
		fmt.Println(req.Object.Name(), req.Cause, req.Attempt)
		return handlers.Result{}, nil
	})
	_, err := h.Handle(context.Background(), handlers.Request{Object: cart(), Cause: handlers.CauseRetry, Attempt: 2})
	fmt.Println(err)
	// Output:
	// cart retry 2
	// <nil>
}

func ExampleTerminal() {
	errColor := errors.New(`color "octarine" does not exist`)
	err := fmt.Errorf("painting: %w", handlers.Terminal(errColor))
	fmt.Println(err)
	fmt.Println(handlers.IsTerminal(err), errors.Is(err, errColor))
	// Output:
	// painting: color "octarine" does not exist
	// true true
}

// greetConfig is the config of the plugin of the examples.
type greetConfig struct {
	Greeting string            `json:"greeting,omitempty"`
	Every    handlers.Duration `json:"every,omitempty"`
}

// greet is a plugin with all its parts but MetadataOnly.
var greet = handlers.Plugin[greetConfig]{
	Name:    "greet",
	Summary: "Greet every object",
	Schema: `
		#Config: {
			// What to say. Default: "hello".
			greeting?: string
			// How often. Default: "1h".
			every?: #Duration
		}`,
	Defaults: func() greetConfig { return greetConfig{Greeting: "hello", Every: handlers.Duration(time.Hour)} },
	Validate: func(c *greetConfig) []handlers.Problem {
		if c.Greeting == "" {
			return []handlers.Problem{{Path: "greeting", Message: "is empty", Hint: `write "hello"`}}
		}
		return nil
	},
	Rules: func(greetConfig) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"patch"}}}
	},
	New: func(_ context.Context, _ handlers.Env, c greetConfig) (handlers.Handler, error) {
		return handlers.FuncResult(func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
			fmt.Println(c.Greeting, cm.Name)
			return handlers.Result{RequeueAfter: time.Duration(c.Every)}, nil
		}), nil
	},
}

// The daemon checks the plugins of its binary, binds each definition's config, and makes the
// handler.
func ExamplePlugin() {
	registry, err := handlers.NewRegistry(greet)
	if err != nil {
		panic(err)
	}
	bound, problems, err := registry.Bind("greet", []byte(`{"every":"5m"}`))
	fmt.Println(string(bound.JSON()), problems, err)

	env := handlers.Env{Definition: "carts", Kind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}}
	h, err := bound.New(context.Background(), env)
	if err != nil {
		panic(err)
	}
	result, err := h.Handle(context.Background(), handlers.Request{Object: cart()})
	fmt.Println(result.RequeueAfter, err)
	// Output:
	// {"greeting":"hello","every":"5m0s"} [] <nil>
	// hello cart
	// 5m0s <nil>
}

func ExampleNewRegistry() {
	unnamed := greet
	unnamed.Name = "Greet"
	_, err := handlers.NewRegistry(unnamed)
	fmt.Println(err)

	registry, err := handlers.NewRegistry(greet)
	fmt.Println(registry.Names(), err)
	_, problems, _ := registry.Bind("greet", []byte(`{"greeting":""}`))
	fmt.Println(problems[0].Path, problems[0].Message, "-", problems[0].Hint)
	// Output:
	// registering plugin "Greet": want a name of lower-case letters, digits and '-', at most 63, starting with a letter
	// [greet] <nil>
	// greeting is empty - write "hello"
}

func ExampleObjectOf() {
	o, err := handlers.ObjectOf(&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "w", "namespace": "shop"},
	}})
	if err != nil {
		panic(err)
	}
	fmt.Println(o.GroupVersionKind().Kind, o.Namespace(), o.Name())
	// Output: Widget shop w
}

// What an Object returns is the caller's copy.
func ExampleObject() {
	o := cart()
	var cm corev1.ConfigMap
	if err := o.Into(&cm); err != nil {
		panic(err)
	}
	cm.Data["items"] = "4"

	text, err := o.JSON()
	fmt.Println(string(text), err)
	// Output: {"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"cart","namespace":"shop"},"data":{"items":"3"}} <nil>
}

// DecodeJSON matches field names as the API server does, by case, and keeps whole numbers whole.
func ExampleDecodeJSON() {
	var u unstructured.Unstructured
	err := handlers.DecodeJSON([]byte(`{"apiVersion":"example.com/v1","kind":"Widget","spec":{"size":9007199254740993}}`), &u)
	size, _, _ := unstructured.NestedInt64(u.Object, "spec", "size")
	fmt.Println(size, err)
	// Output: 9007199254740993 <nil>
}

// A Secret names where its value is, so it can be printed, and so can the value.
func ExampleSecret() {
	s := handlers.Secret{Env: "EXAMPLE_TOKEN_THAT_IS_NOT_SET"}
	_, err := s.Resolve()
	fmt.Println(s.Env, err)
	value := handlers.NewSecretValue("hunter2")
	fmt.Println(value, len(value.Reveal()))
	// Output:
	// EXAMPLE_TOKEN_THAT_IS_NOT_SET reading secret: environment variable EXAMPLE_TOKEN_THAT_IS_NOT_SET is not set
	// [REDACTED] 7
}

func ExampleDuration() {
	var c greetConfig
	err := json.Unmarshal([]byte(`{"every":"90s"}`), &c)
	fmt.Println(time.Duration(c.Every), err)
	// Output: 1m30s <nil>
}
