package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

// What of the status takes too long stays as it was, and is tried again. The rest does not suffer
// from it.
func TestStatusThatTakesTooLong(t *testing.T) {
	const slow = "object.spec.all.map(a, a)[0]"
	var config Config
	text := fmt.Sprintf(`{"status": {"slow": "${%[1]s}", "new": "${%[1]s}", "quick": "${object.spec.html}"},
		"conditions": {"Fit": {"when": "%[1]s == 'x'"}, "Big": {"when": "object.spec.html == ''", "message": "${%[1]s}"}}}`, slow)
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	program, problems, err := compile(&config, handlers.Kinds{})
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	parent := fmt.Sprintf(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Website", "metadata": {"name": "home", "namespace": "web", "uid": "1"},
		"spec": {"html": "<p>", "all": [%s"x"]}, "status": {"slow": "before", "quick": "before", "conditions": [
		{"type": "Fit", "status": "True", "reason": "Fits", "message": "it does", "lastTransitionTime": "2026-11-26T10:00:00Z"},
		{"type": "Big", "status": "True", "reason": "Big", "message": "it is"}]}}`, strings.Repeat(`"x",`, 1000))
	e, err := newEvaluation(program, handlers.ComposeRequest{Object: handlerstest.Object(t, parent)})
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	e.status(late)
	want := map[string]any{
		"slow": "before", "quick": "<p>", "conditions": []any{
			map[string]any{"type": "Big", "status": "False", "reason": "Big", "message": "it is"},
			map[string]any{"type": "Fit", "status": "True", "reason": "Fits", "message": "it does"},
		},
	}
	if diff := cmp.Diff(want, e.out.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if e.out.RequeueAfter != lateInterval || len(e.out.Problems) != 4 {
		t.Errorf("it is composed again after %s, with %d problems: %v", e.out.RequeueAfter, len(e.out.Problems), e.out.Problems)
	}
}
