package chaos_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"kooperd.dev/kooperd/examples/chaos-operator/chaos"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const terminator = `{apiVersion: chaos.example.com/v1alpha1, kind: PodTerminator, metadata: {name: web, namespace: test, generation: 1},
	spec: {selector: {app: web}, terminationPercent: 50, minimumInstances: 2, periodSeconds: 60}}`

func TestPlugin(t *testing.T) {
	handlerstest.Check(t, chaos.Plugin, handlerstest.Options{
		Configs: map[string]string{"defaults": `{}`, "full": `{"maxPods":3,"dryRun":true}`},
		Objects: []handlers.Object{handlerstest.Object(t, terminator)},
	})
}

func TestRulesOfADryRun(t *testing.T) {
	for config, want := range map[string]bool{`{}`: true, `{"dryRun":true}`: false} {
		deletes := false
		for _, rule := range handlerstest.Bind(t, chaos.Plugin, config).Rules() {
			for _, verb := range rule.Verbs {
				deletes = deletes || verb == "delete"
			}
		}
		if deletes != want {
			t.Errorf("with the config %s, the right to delete is asked for: %t, want %t", config, deletes, want)
		}
	}
}

func TestErrors(t *testing.T) {
	h := handlerstest.New(t, chaos.Plugin, `{}`)
	_, err := h.Handle(t.Context(), handlers.Request{Object: handlerstest.Object(t, terminator)})
	if !errors.Is(err, handlerstest.ErrUnreachable) || handlers.IsTerminal(err) {
		t.Errorf("without an API server: %v, want an error that is retried", err)
	}
	_, err = h.Handle(t.Context(), handlers.Request{Object: handlerstest.Object(t,
		`{apiVersion: chaos.example.com/v1alpha1, kind: PodTerminator, metadata: {name: all, namespace: test}, spec: {periodSeconds: 60}}`)})
	if !handlers.IsTerminal(err) {
		t.Errorf("without a selector: %v, want a terminal error", err)
	}
}
