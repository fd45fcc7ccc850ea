package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Object returns what is known of one object: in the definitions that watch its kind, and as a
// child. An empty APIVersion means any, capitals of the kind do not matter, and it may be the
// resource. It returns false if no definition watches the kind and it is nobody's child. Version,
// Time and Leading are left to the caller.
func (r Reporter) Object(ctx context.Context, object statusz.ObjectRef) (*statusz.ObjectReport, bool) {
	report := &statusz.ObjectReport{Object: object, Definitions: []statusz.ObjectIn{}}
	for _, c := range r.sorted() {
		current, _ := c.rollout.revisions()
		if current == nil || !current.watches.opened.Load() {
			continue
		}
		if kind := current.def.Watch.Kind; isOfKind(object, kind) {
			report.Object.APIVersion, report.Object.Kind = kind.GroupVersion().String(), kind.Kind
			report.Definitions = append(report.Definitions, reported{c}.reportObject(ctx, current, keyOf(object)))
		}
		if current.composing != nil {
			report.ChildOf = append(report.ChildOf, reported{c}.parentsOf(current, object)...)
		}
	}
	addKinds(r.sorted(), report)
	return report, len(report.Definitions)+len(report.ChildOf) > 0
}

func keyOf(object statusz.ObjectRef) kube.Key {
	return kube.Key{Namespace: object.Namespace, Name: object.Name}
}

// isOfKind reports whether an object may be of a kind. It may be named by its resource, as in what
// was written.
func isOfKind(object statusz.ObjectRef, kind schema.GroupVersionKind) bool {
	if object.APIVersion != "" && object.APIVersion != kind.GroupVersion().String() {
		return false
	}
	resource, _ := meta.UnsafeGuessKindToResource(kind)
	return strings.EqualFold(object.Kind, kind.Kind) || strings.EqualFold(object.Kind, resource.Resource)
}

// reportObject says what the definition knows of an object of its kind.
func (c reported) reportObject(ctx context.Context, r *revision, key kube.Key) statusz.ObjectIn {
	in := statusz.ObjectIn{Definition: c.name, Handlings: c.state.past.log.Handlings(key), Waiting: c.waitsFor(r, key)}
	obj, cached := r.watches.primary().Get(key.Namespace, key.Name)
	if in.Cached = cached; cached {
		in.Matches = isWanted(ctx, r, obj)
	}
	if f, failing := r.objects.failures.of(key); failing {
		in.Failures, in.Error, in.GivenUp = f.attempts, f.message, f.abandoned()
	}
	if cached && r.composing != nil {
		for _, a := range r.objects.memory.Attention.Of(obj.UID()) {
			in.Blocked = append(in.Blocked, c.attentionRow(r, a))
		}
	}
	return in
}

// isWanted reports whether the definition handles an object of its cache, as far as its condition
// is about what the object is.
func isWanted(ctx context.Context, r *revision, obj handlers.Object) bool {
	if r.def.Filter == nil {
		return true
	}
	return !compose.Selection{Where: compose.NewWhere(r.def.Filter)}.Excludes(ctx, obj)
}

// waitsFor says what an object waits for at this moment.
func (c reported) waitsFor(r *revision, key kube.Key) string {
	d := c.dispatcher.Load()
	if d == nil || d.revision != r {
		return "this replica: it does not work on the definition"
	}
	if d.held.has(key) {
		_, reason := r.watches.status()
		return fmt.Sprintf("a kind that is not served: %v", reason)
	}
	if since, ok := c.state.calls.begun(key); ok {
		return "the end of the call that has begun " + duration.HumanDuration(time.Since(since)) + " ago"
	}
	state := queue.StateOf(d.queue, key)
	in := "in " + duration.HumanDuration(state.Delay)
	switch {
	case state.Ready && state.Waited > 0:
		return fmt.Sprintf("a worker, for %s now", duration.HumanDuration(state.Waited))
	case state.Ready, state.Processing:
		return "a worker"
	case state.Delay > 0 && state.Priority == queue.Retry:
		failed := fmt.Sprintf("%d failed calls", state.Attempt)
		if state.Attempt == 1 {
			failed = "a failed call"
		}
		return fmt.Sprintf("its retry %s, after %s", in, failed)
	case state.Delay > 0:
		return "its next call " + in
	default:
		return "nothing"
	}
}

// has reports whether an object waits.
func (h *heldKeys) has(key kube.Key) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, waits := h.keys[key]
	return waits
}

// parentsOf returns the parents of the definition whose child an object is, by its own word.
func (c reported) parentsOf(r *revision, object statusz.ObjectRef) (parents []statusz.ObjectRow) {
	owned := len(ownedKinds(r.def))
	for i := range owned {
		w := &r.watches.watches[1+i]
		if !isOfKind(object, w.watch.Kind) {
			continue
		}
		child, ok := w.source.Get(object.Namespace, object.Name)
		if !ok {
			continue
		}
		made, ok := compose.ParentOf(c.installation, child.Metadata())
		if !ok || !slices.Contains(r.def.IDs(), made.Definition) {
			continue
		}
		row := statusz.ObjectRow{Definition: c.name, Object: refOf(r.def, made.Parent), Child: w.watch.Kind.Kind + "/" + nameOf(object)}
		for _, a := range r.objects.memory.Attention.Of(made.ParentUID) {
			if a.Child == row.Child || a.Child == "" && row.Reason == "" {
				row.Reason, row.Since = a.Reason, a.Since
			}
		}
		parents = append(parents, row)
	}
	return parents
}

func nameOf(object statusz.ObjectRef) string {
	if object.Namespace == "" {
		return object.Name
	}
	return object.Namespace + "/" + object.Name
}
