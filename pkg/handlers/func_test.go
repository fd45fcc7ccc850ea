package handlers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestFunc(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			wantErr := errors.New("not today")
			var data string
			typed := handlers.Func(func(_ context.Context, cm *corev1.ConfigMap) error {
				data = cm.Data["key"]
				cm.Data["key"] = "changed"
				return wantErr
			})
			for range 2 {
				_, err := typed.Handle(t.Context(), handlers.Request{Object: obj})
				if !errors.Is(err, wantErr) || handlers.IsTerminal(err) {
					t.Errorf("Handle = %v, want %v unmarked", err, wantErr)
				}
				if data != "value" {
					t.Errorf("function saw %q, want its own copy of the object", data)
				}
			}
			content := handlers.Func(func(_ context.Context, u *unstructured.Unstructured) error {
				data = u.GetKind()
				return nil
			})
			if _, err := content.Handle(t.Context(), handlers.Request{Object: obj}); err != nil || data != "ConfigMap" {
				t.Errorf("Handle = %v, kind %q", err, data)
			}
			wrong := handlers.Func(func(context.Context, *corev1.Secret) error {
				t.Error("function called with an object that does not decode")
				return nil
			})
			if _, err := wrong.Handle(t.Context(), handlers.Request{Object: obj}); !handlers.IsTerminal(err) {
				t.Errorf("Handle = %v, want a terminal error", err)
			}
		})
	}
}

func TestFuncPanics(t *testing.T) {
	tests := map[string]func(){
		"handlers.Func: want a pointer to an API struct, have v1.ConfigMap": func() {
			handlers.Func(func(context.Context, corev1.ConfigMap) error { return nil })
		},
		"handlers.Func: want a pointer to an API struct, have runtime.Object": func() {
			handlers.Func(func(context.Context, interface{ GetName() string }) error { return nil })
		},
		"handlers.Func: want a function, have nil":       func() { handlers.Func[*corev1.ConfigMap](nil) },
		"handlers.FuncResult: want a function, have nil": func() { handlers.FuncResult[*corev1.ConfigMap](nil) },
	}
	for want, call := range tests {
		t.Run(want, func(t *testing.T) {
			defer func() {
				got, _ := recover().(string)
				prefix, _, _ := strings.Cut(want, ", have runtime.Object")
				if !strings.HasPrefix(got, prefix) {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			call()
		})
	}
}

func takes[T any]() handlers.Handler {
	return handlers.Func(func(context.Context, T) error { return nil })
}

// widget is a struct of a kind that Kubernetes does not know.
type widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

func TestFuncChecksTheKind(t *testing.T) {
	pods := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	tests := map[string]struct {
		handler handlers.Handler
		watched schema.GroupVersionKind
		want    string
	}{
		"the watched kind": {handler: takes[*corev1.Pod](), watched: pods},
		"another kind": {
			handler: takes[*appsv1.Deployment](), watched: pods,
			want: "the handler is a function over *v1.Deployment (apps/v1 Deployment), the watched kind is v1 Pod",
		},
		"another version": {
			handler: takes[*autoscalingv2.HorizontalPodAutoscaler](),
			watched: autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
			want: "the handler is a function over *v2.HorizontalPodAutoscaler (autoscaling/v2 HorizontalPodAutoscaler), " +
				"the watched kind is autoscaling/v1 HorizontalPodAutoscaler",
		},
		"a built-in struct for a custom kind": {
			handler: takes[*corev1.Pod](), watched: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Pod"},
			want: "the handler is a function over *v1.Pod (v1 Pod), the watched kind is example.com/v1 Pod",
		},
		"unstructured":    {handler: takes[*unstructured.Unstructured](), watched: pods},
		"metadata":        {handler: takes[*metav1.PartialObjectMetadata](), watched: pods},
		"a custom struct": {handler: takes[*widget](), watched: pods},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := plugin("typed")
			p.New = func(context.Context, handlers.Env, config) (handlers.Handler, error) { return tc.handler, nil }
			bound, _, err := bind(t, p, "")
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tc.want != "" {
				want = "making the handler: " + tc.want
			}
			if _, err := bound.New(t.Context(), handlers.Env{Kind: tc.watched}); errorText(err) != want {
				t.Errorf("New = %v, want %q", err, want)
			}
			u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "a"}}}
			u.SetGroupVersionKind(tc.watched)
			o, err := handlers.ObjectOf(u)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tc.handler.Handle(t.Context(), handlers.Request{Object: o})
			if errorText(err) != tc.want || tc.want != "" && !handlers.IsTerminal(err) {
				t.Errorf("Handle = %v, want %q, terminal", err, tc.want)
			}
		})
	}
}

func TestFuncFinalizer(t *testing.T) {
	h := handlers.FuncFinalizer(
		func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
			return handlers.Result{}, errors.New("handle " + cm.Name)
		},
		func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
			return handlers.Result{RequeueAfter: time.Hour}, errors.New("finalize " + cm.Name)
		},
	)
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			req := handlers.Request{Object: obj}
			if got, err := h.Handle(t.Context(), req); got.RequeueAfter != 0 || errorText(err) != "handle cart" {
				t.Errorf("Handle = %+v, %v", got, err)
			}
			if got, err := h.Finalize(t.Context(), req); got.RequeueAfter != time.Hour || errorText(err) != "finalize cart" {
				t.Errorf("Finalize = %+v, %v", got, err)
			}
		})
	}
	p := plugin("typed")
	p.New = func(context.Context, handlers.Env, config) (handlers.Handler, error) { return h, nil }
	bound, _, err := bind(t, p, "")
	if err != nil {
		t.Fatal(err)
	}
	const want = "making the handler: the handler is a function over *v1.ConfigMap (v1 ConfigMap), the watched kind is v1 Pod"
	if _, err := bound.New(t.Context(), handlers.Env{Kind: corev1.SchemeGroupVersion.WithKind("Pod")}); errorText(err) != want {
		t.Errorf("New = %v, want %q", err, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFuncResult(t *testing.T) {
	for name, obj := range objects(t) {
		t.Run(name, func(t *testing.T) {
			h := handlers.FuncResult(func(_ context.Context, cm *corev1.ConfigMap) (handlers.Result, error) {
				return handlers.Result{RequeueAfter: time.Hour}, errors.New(cm.Name)
			})
			got, err := h.Handle(t.Context(), handlers.Request{Object: obj})
			if got.RequeueAfter != time.Hour || errorText(err) != "cart" || handlers.IsTerminal(err) {
				t.Errorf("Handle = %+v, %v", got, err)
			}
		})
	}
}
