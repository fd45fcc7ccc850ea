package webhook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
)

func discardLogger() logr.Logger { return logr.Discard() }

// page answers as a hook that makes a ConfigMap for each parent, for any shape and any hook.
func page(w http.ResponseWriter, req *http.Request) {
	var asked struct {
		Parent, Object *struct {
			Metadata struct{ Name string }
		}
		Children, Attachments map[string]map[string]any
		Finalizing            bool
	}
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	parent, field := asked.Parent, "children"
	if parent == nil {
		parent, field = asked.Object, "attachments"
	}
	made := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": parent.Metadata.Name + "-page"},
		"data": map[string]any{"text": "hello"},
	}
	response := map[string]any{field: []any{made}}
	if asked.Finalizing {
		count := len(asked.Children["ConfigMap.v1"]) + len(asked.Attachments["ConfigMap.v1"])
		response = map[string]any{field: []any{}, "finalized": count == 0}
	}
	if err := json.NewEncoder(w).Encode(response); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func TestPlugin(t *testing.T) {
	server := serve(t, page)
	const children = `"children": [{"apiVersion": "v1", "kind": "ConfigMap"}]`
	handlerstest.Check(t, Plugin, handlerstest.Options{
		Configs: map[string]string{
			"composite": fmt.Sprintf(`{"sync": {"url": %q, "timeout": "5m"}, "finalize": {"url": %q, "timeout": "5m"}, %s}`, server.URL, server.URL, children),
			"decorator": fmt.Sprintf(`{"sync": {"url": %q, "timeout": "5m"}, "shape": "decorator", "version": "v1", "etag": true, %s}`, server.URL, children),
		},
		Objects: []handlers.Object{handlerstest.Object(t, `
apiVersion: example.com/v1
kind: Site
metadata: {name: home, namespace: team-a, uid: u-1}
`)},
	})
}
