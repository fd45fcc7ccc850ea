package annotate_test

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/examples/custom-build/annotate"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestPlugin(t *testing.T) {
	handlerstest.Check(t, annotate.Plugin, handlerstest.Options{
		Configs: map[string]string{
			"shortest": `{"key":"example.com/seen"}`,
			"full":     `{"key":"example.com/seen","value":""}`,
		},
		Objects: []handlers.Object{handlerstest.Object(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y"}})},
	})
}

func TestErrorOfTheAPIServerIsRetried(t *testing.T) {
	h := handlerstest.New(t, annotate.Plugin, `{"key":"example.com/seen"}`)
	o := handlerstest.Object(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "y"}})
	_, err := h.Handle(t.Context(), handlers.Request{Object: o})
	if !errors.Is(err, handlerstest.ErrUnreachable) || handlers.IsTerminal(err) {
		t.Errorf("Handle = %v, want %v to be retried", err, handlerstest.ErrUnreachable)
	}
}
