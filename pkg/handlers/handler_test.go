package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestTerminal(t *testing.T) {
	cause := fmt.Errorf("reading: %w", fs.ErrNotExist)
	marked := handlers.Terminal(cause)
	if marked.Error() != cause.Error() {
		t.Errorf("Error = %q, want %q", marked, cause)
	}
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":          {nil, false},
		"plain":        {cause, false},
		"marked":       {marked, true},
		"marked twice": {handlers.Terminal(marked), true},
		"wrapped":      {fmt.Errorf("handling: %w", marked), true},
		"joined":       {errors.Join(cause, marked), true},
		"marked nil":   {handlers.Terminal(nil), false},
	}
	for name, tc := range tests {
		if got := handlers.IsTerminal(tc.err); got != tc.want {
			t.Errorf("%s: IsTerminal = %v, want %v", name, got, tc.want)
		}
	}
	if handlers.Terminal(nil) != nil {
		t.Error("Terminal(nil) is not nil")
	}
	if !errors.Is(marked, fs.ErrNotExist) {
		t.Error("errors.Is does not see through the mark")
	}
}

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
		"handlers.Func: want a function, have nil": func() { handlers.Func[*corev1.ConfigMap](nil) },
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
