package daemon

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/cases"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/offline"
)

// outcomeOf is what came of a case, in the form in which it is compared. Values of Secrets are in
// it.
func outcomeOf(result tryResult, tried *engine.Tried) (cases.Outcome, error) {
	b := outcomeBuilder{
		shown:    shownObjects{view: tryView{secrets: true}, server: tried.Server},
		children: map[string]any{}, patches: map[string]any{}, refused: map[string]any{}, waiting: map[string]any{},
		failure: result.Failure,
	}
	for _, c := range tried.Children {
		b.child(c)
	}
	for _, p := range tried.Patches {
		b.patch(p)
	}
	got := cases.Outcome{}
	got.Set(cases.Excluded, result.Excluded)
	if result.Paused {
		got.Set(cases.Excluded, "it is paused")
	}
	got.Set(cases.Error, result.Error)
	if result.Failure != "" && !b.isRefusal(result.Failure) {
		got.Set(cases.Error, cmp.Or(result.Error, result.Failure))
	}
	problems := textsOf(result.Problems)
	if !result.Settled && result.Error == "" && result.Excluded == "" && !result.Paused {
		problems = append(problems, fmt.Sprintf("what the definition makes still changes after %d rounds", result.Rounds))
	}
	got.Set(cases.ProblemTexts, problems)
	got.Set(cases.Refused, b.refused)
	got.Set(cases.Waiting, b.waiting)
	got.Set(cases.Deleted, b.deleted)
	got.Set(cases.Children, b.children)
	got.Set(cases.Patches, b.patches)
	pending := map[string]any{}
	for _, p := range result.Pending {
		pending[cmp.Or(p.Name, "children")] = handlers.Pending{On: p.On, Why: p.Why}.Error()
	}
	got.Set(cases.Pending, pending)
	if result.Excluded == "" {
		b.parent(got, result)
	}
	for name, value := range got {
		normal, err := cases.Normal(value)
		if err != nil {
			return nil, fmt.Errorf("reading what came: %s: %w", name, err)
		}
		got[name] = normal
	}
	return got, nil
}

// isRefusal reports whether a failure is one of the refusals.
func (b *outcomeBuilder) isRefusal(failure string) bool {
	for _, why := range b.refused {
		if text, _ := why.(string); strings.Contains(failure, text) {
			return true
		}
	}
	return false
}

func textsOf(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

// outcomeBuilder gathers what comes of single objects.
type outcomeBuilder struct {
	shown    shownObjects
	children map[string]any
	patches  map[string]any
	refused  map[string]any
	waiting  map[string]any
	deleted  []any
	failure  string // of single children or patches
}

// child adds a child.
func (b *outcomeBuilder) child(c compose.TriedChild) {
	key := offline.Key{GroupKind: c.ID.Kind, Namespace: c.ID.Namespace, Name: c.ID.Name}
	if c.Desired == nil {
		if c.Action == compose.Delete {
			b.deleted = append(b.deleted, c.ID.String())
		}
		return
	}
	before, now := b.shown.server.Before(key), b.shown.server.Now(key)
	object := b.shown.clean(&unstructured.Unstructured{Object: c.Desired})
	switch {
	case before == nil && now != nil: // All of it was made.
		made := b.shown.clean(now)
		if c.Generated {
			made = withoutGenerated(made, object)
		}
		object = made
	case before != nil && c.Generated:
		object = onlyNamed(before)
	}
	b.children[c.Name] = object
	switch c.Action {
	case compose.Refuse:
		b.refused[c.Name] = c.Message
	case compose.Wait:
		b.waiting[c.Name] = c.Message
	}
}

// onlyNamed is an object with nothing but what names it.
func onlyNamed(o *unstructured.Unstructured) map[string]any {
	named := &unstructured.Unstructured{Object: map[string]any{}}
	named.SetGroupVersionKind(o.GroupVersionKind())
	named.SetNamespace(o.GetNamespace())
	named.SetName(o.GetName())
	return named.Object
}

// patch adds what is contributed to an object.
func (b *outcomeBuilder) patch(p compose.TriedPatch) {
	name := "patch " + p.Name
	switch {
	case p.Desired == nil && p.Action == compose.Withdraw:
		b.deleted = append(b.deleted, "patch of "+p.ID.String())
	case p.Desired == nil:
	case p.Action == compose.Refuse, p.Message != "" && strings.Contains(b.failure, p.Message):
		b.refused[name] = p.Message
	case p.Action == compose.Wait:
		b.waiting[name] = p.Message
	}
	if p.Desired != nil {
		b.patches[p.Name] = b.shown.clean(&unstructured.Unstructured{Object: p.Desired})
	}
}

// parent adds what is written of the parent.
func (b *outcomeBuilder) parent(got cases.Outcome, result tryResult) {
	got.Set(cases.Metadata, result.Metadata)
	status := result.Status
	delete(status, "observedGeneration")
	got.Set(cases.Status, status)
	got.Set(cases.StatusPending, textsOf(result.StatusWaits))
	conditions := map[string]any{}
	for _, c := range result.Conditions {
		condition := map[string]any{"status": c.Status, "reason": c.Reason}
		if c.Message != "" {
			condition["message"] = c.Message
		}
		conditions[c.Type] = condition
	}
	got.Set(cases.Conditions, conditions)
	got.Set(cases.RequeueAfter, result.RequeueAfter)
}
