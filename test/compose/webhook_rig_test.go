package compose_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hookLabel selects the parents of one definition with hooks.
const hookLabel = "hook"

// hookCall is a request to a hook, as a hook reads it.
type hookCall struct {
	definition, hook string
	request          map[string]any
}

// parent is the object that the hook is called for.
func (c hookCall) parent() *unstructured.Unstructured {
	for _, field := range []string{"parent", "object"} {
		if object, ok := c.request[field].(map[string]any); ok {
			return &unstructured.Unstructured{Object: object}
		}
	}
	return &unstructured.Unstructured{Object: map[string]any{}}
}

// group returns the objects of one kind in the children, attachments or related objects.
func (c hookCall) group(field, kind string) map[string]any {
	group, _, _ := unstructured.NestedMap(c.request, field, kind)
	return group
}

// hookService has the hooks of all definitions of a rig, as http://…/DEFINITION/HOOK. What is wrong
// with a request fails the test at its end.
type hookService struct {
	*httptest.Server

	mu       sync.Mutex
	answers  map[string]hookAnswer // by definition
	mistakes []string
	calls    map[string]int // by definition, hook and parent, with slashes between
}

// hookAnswer answers a request with what becomes JSON, or writes an answer and returns nil.
type hookAnswer func(w http.ResponseWriter, req *http.Request, call hookCall) any

func newHookService(t *testing.T) *hookService {
	t.Helper()
	s := &hookService{answers: map[string]hookAnswer{}, calls: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		for _, mistake := range s.mistakes {
			t.Error(mistake)
		}
	})
	return s
}

func (s *hookService) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // The process was killed.
	}
	call := hookCall{}
	call.definition, call.hook, _ = strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if err := json.Unmarshal(body, &call.request); err != nil {
		s.mistakef("%s: the request is no JSON: %v: %s", req.URL.Path, err, body)
		return
	}
	s.mu.Lock()
	s.calls[strings.Join([]string{call.definition, call.hook, call.parent().GetName()}, "/")]++
	answer := s.answers[call.definition]
	s.mu.Unlock()
	said := answer(w, req, call)
	if said == nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(said); err != nil {
		s.mistakef("%s: encoding the answer: %v", req.URL.Path, err)
	}
}

func (s *hookService) mistakef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mistakes = append(s.mistakes, fmt.Sprintf(format, args...))
}

// answer says how the hooks of a definition answer from now on.
func (s *hookService) answer(definition string, with hookAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[definition] = with
}

// called is how often a hook was called for a parent.
func (s *hookService) called(definition, hook, parent string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[strings.Join([]string{definition, hook, parent}, "/")]
}

// hooked is a definition with a sync hook, for things with its label, and what more its handler
// says.
func (s *hookService) hooked(r *rig, name string, more map[string]any) definition {
	webhook := map[string]any{
		"sync":     s.endpoint(name, "sync"),
		"children": []any{map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}},
	}
	maps.Copy(webhook, more)
	return definition{settings: map[string]any{
		"handler": map[string]any{"webhook": webhook},
		"mode":    "concurrent",
		"watch": map[string]any{
			"apiVersion": things.GroupVersion().String(), "kind": "Thing", "namespaces": []string{r.namespace},
			"labelSelector": hookLabel + "=" + name,
		},
	}}
}

// endpoint is where a hook of a definition is.
func (s *hookService) endpoint(definition, hook string) map[string]any {
	return map[string]any{"url": s.URL + "/" + definition + "/" + hook, "timeout": "2s"}
}

// hookParent makes a parent of a definition with hooks.
func (r *rig) hookParent(t *testing.T, definition, name, text string) {
	t.Helper()
	r.create(t, things, fmt.Sprintf(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing",
		"metadata": {"name": %q, "labels": {%q: %q}}, "spec": {"text": %q}}`, name, hookLabel, definition, text))
}

// configMapFor is the child of a parent with its text, in a namespace.
func configMapFor(parent *unstructured.Unstructured, namespace, text string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": parent.GetName() + "-page", "namespace": namespace},
		"data":     map[string]any{"text": text},
	}
}

// pageOf answers as a hook that works.
func pageOf(call hookCall) map[string]any {
	parent := call.parent()
	text, _, _ := unstructured.NestedString(parent.Object, "spec", "text")
	return map[string]any{
		"children": []any{configMapFor(parent, parent.GetNamespace(), text)}, "status": map[string]any{"text": text},
	}
}

// works is pageOf as an answer.
func works(_ http.ResponseWriter, _ *http.Request, call hookCall) any { return pageOf(call) }

// page waits for the child of a parent to have a text.
func (r *rig) page(t *testing.T, parent, text string) {
	t.Helper()
	r.await(t, configMaps, fmt.Sprintf("the text %q of %s", text, parent), func(o objects) bool {
		return o.text(parent+"-page", "data", "text") == text
	})
}

// awaitAt waits until the objects of a place are as wanted.
func awaitAt(t *testing.T, at place, what string, done func(objects) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	observe(ctx, &running, at).await(t, what, nil, func(places map[place]objects) bool {
		return places[at] != nil && done(places[at])
	})
}
