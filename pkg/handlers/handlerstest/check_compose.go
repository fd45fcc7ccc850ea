package handlerstest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// sameAnswers is how often a composer is asked the same. The order of a Go map with two entries
// then stays unseen in one of 512 runs.
const sameAnswers = 10

// composerCheck is the part of a check that is about composers with one config.
type composerCheck struct {
	*check
	bound handlers.Bound
	// whole are the requests that a composer gets, by name, with nothing left out of the objects.
	whole map[string]handlers.ComposeRequest
	// requests are the same as the engine makes them: what is owned or read with MetadataOnly has
	// its metadata alone.
	requests map[string]handlers.ComposeRequest
}

func newComposerCheck(t *testing.T, c *check, bound handlers.Bound) *composerCheck {
	t.Helper()
	of := &composerCheck{check: c, bound: bound, whole: wholeRequests(t, c, bound), requests: map[string]handlers.ComposeRequest{}}
	for name, req := range of.whole {
		of.requests[name] = metadataRequest(t, bound, req)
	}
	return of
}

func wholeRequests(t *testing.T, c *check, bound handlers.Bound) map[string]handlers.ComposeRequest {
	t.Helper()
	requests := map[string]handlers.ComposeRequest{}
	add := func(name string, req handlers.ComposeRequest) {
		deleting := req.Object.Metadata().DeletionTimestamp != nil
		if deleting && !bound.Finalizes() {
			return // The engine does not ask about such a parent.
		}
		req.Finalizing = deleting
		req = cloneRequest(req)
		for _, related := range bound.Reads() {
			if _, ok := req.Related[related.Name]; !ok {
				req.Related[related.Name] = nil
			}
		}
		requests[name] = req
	}
	for name, req := range c.requests() {
		add(name, handlers.ComposeRequest{Object: req.Object, Cause: req.Cause, Attempt: req.Attempt})
	}
	for i, o := range c.opts.Objects {
		add(fmt.Sprintf("Objects[%d], being deleted", i), handlers.ComposeRequest{Object: deletingObject(t, o), Cause: handlers.CauseChange})
	}
	for i, req := range c.opts.Requests {
		add(fmt.Sprintf("Requests[%d]", i), req)
	}
	return requests
}

// deletingObject is the object while it waits for its finalizers.
func deletingObject(t *testing.T, o handlers.Object) handlers.Object {
	t.Helper()
	var u unstructured.Unstructured
	if err := o.Into(&u); err != nil {
		t.Fatal(err)
	}
	now := metav1.Unix(1_700_000_000, 0)
	u.SetDeletionTimestamp(&now)
	u.SetFinalizers(append(u.GetFinalizers(), finalizerName))
	return Object(t, &u)
}

// metadataRequest leaves out what the plugin says it does not read.
func metadataRequest(t *testing.T, bound handlers.Bound, req handlers.ComposeRequest) handlers.ComposeRequest {
	t.Helper()
	if bound.MetadataOnly() {
		req.Object = metadataOf(t, req.Object)
	}
	req = cloneRequest(req)
	for i, child := range req.Children {
		if owned, ok := ownedKind(bound, child.Object.GroupVersionKind()); ok && owned.MetadataOnly {
			req.Children[i].Object = metadataOf(t, child.Object)
		}
	}
	for name, objects := range req.Related {
		for i, o := range objects {
			if readsMetadata(bound, name, o.GroupVersionKind()) {
				objects[i] = metadataOf(t, o)
			}
		}
	}
	return req
}

// metadataOf is the object with its metadata alone.
func metadataOf(t *testing.T, o handlers.Object) handlers.Object {
	t.Helper()
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: *o.Metadata()}
	metadata.SetGroupVersionKind(o.GroupVersionKind())
	return Object(t, metadata)
}

func ownedKind(bound handlers.Bound, kind schema.GroupVersionKind) (handlers.OwnedKind, bool) {
	for _, owned := range bound.Owns() {
		if owned.GroupVersionKind() == kind {
			return owned, true
		}
	}
	return handlers.OwnedKind{}, false
}

// readsMetadata reports whether a composer reads only the metadata of a related object: that of the
// Related of that name, or else of one of its kind.
func readsMetadata(bound handlers.Bound, name string, kind schema.GroupVersionKind) bool {
	ofKind := false
	for _, related := range bound.Reads() {
		if related.GroupVersionKind() != kind {
			continue
		}
		if related.Name == name {
			return related.MetadataOnly
		}
		ofKind = ofKind || related.MetadataOnly
	}
	return ofKind
}

// calls returns one call of composer for each request, which looks at the answer, too.
func (c *composerCheck) calls(composer handlers.Composer) []call {
	calls := make([]call, 0, len(c.requests))
	for _, name := range slices.Sorted(maps.Keys(c.requests)) {
		calls = append(calls, call{
			doing: fmt.Sprintf("composing for %q", name),
			do: func(ctx context.Context) (mistake string, err error) {
				given := ask(ctx, composer, c.requests[name])
				return strings.Join(c.mistakes(ctx, name, given), "; "), given.err
			},
		})
	}
	return calls
}

// function checks that the composer is a function of its request.
func (c *composerCheck) function(t *testing.T) {
	names := slices.Sorted(maps.Keys(c.requests))
	first, texts, late := map[string]answer{}, map[string]string{}, map[string]bool{}
	askAgain := func(s subject, name, when string) {
		if late[name] {
			return
		}
		given, inTime := c.answer(t, s, name)
		if _, asked := first[name]; !asked {
			first[name] = given
		}
		switch text, compared := texts[name]; {
		case !inTime:
			late[name] = true // What was cut off is no answer, and there is no hurry to see another one.
		case !compared:
			texts[name] = given.text()
		default:
			c.same(t, name, when, text, given.text())
		}
	}
	c.life(t, c.bound, func(s subject) {
		for range sameAnswers {
			for _, name := range names {
				askAgain(s, name, "is asked again")
			}
		}
	})
	c.life(t, c.bound, func(s subject) {
		for _, name := range slices.Backward(names) {
			askAgain(s, name, "is asked in another process")
		}
	})
	for _, name := range names {
		if text, compared := texts[name]; compared {
			c.same(t, name, "has been asked about other objects: answers must not share what they are made of", text, first[name].text())
		}
	}
	if len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool { return first[name].known() }) {
		t.Errorf("every call fails, so there is no answer to look at: give objects of the watched kind in Options; one error is: %v", first[names[0]].err)
	}
}

func (c *composerCheck) same(t *testing.T, name, when, want, have string) {
	t.Helper()
	if t.Failed() {
		return // One difference is enough.
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("composing for %q: the same request has another answer when the composer %s (-first +second):\n%s", name, when, diff)
	}
}

// answer asks the composer once. inTime is false if its context has ended before it was done.
func (c *composerCheck) answer(t *testing.T, s subject, name string) (given answer, inTime bool) {
	t.Helper()
	composer, _ := s.(handlers.Composer)
	ctx, cancel := context.WithTimeout(t.Context(), c.opts.timeouts.answer)
	defer cancel()
	err := c.run(ctx, t, call{
		doing: fmt.Sprintf("composing for %q", name),
		do: func(ctx context.Context) (mistake string, err error) {
			given = ask(ctx, composer, c.requests[name])
			return "", nil
		},
	})
	if err != nil {
		t.FailNow() // The call has not returned, so given is not ours.
	}
	return given, ctx.Err() == nil
}

// metadataOnly checks that the composer reads no more than the metadata of what its plugin says so
// of: it must not make a difference whether the rest is there.
func (c *composerCheck) metadataOnly(t *testing.T) {
	c.life(t, c.bound, func(s subject) {
		composer, _ := s.(handlers.Composer)
		for _, name := range slices.Sorted(maps.Keys(c.whole)) {
			if reflect.DeepEqual(c.whole[name], c.requests[name]) {
				continue // Nothing is left out.
			}
			all := ask(t.Context(), composer, c.whole[name])
			if !all.known() {
				continue // Its objects cannot be read at all.
			}
			if diff := cmp.Diff(all.text(), ask(t.Context(), composer, c.requests[name]).text()); diff != "" {
				t.Errorf("composing for %q: it reads more than the metadata of what is MetadataOnly (-whole +metadata):\n%s", name, diff)
			}
		}
	})
}
