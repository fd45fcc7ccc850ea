package parts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Generated is how each generated value begins.
const Generated = "generated!"

// The errors of calls.
var (
	errPutOff      = errors.New("too many requests, as the test wants")
	errUnavailable = errors.New("nobody answers, as the test wants")
)

// composer makes the children of one revision of a definition.
type composer struct {
	config     Config
	definition string
	record     *Record
}

// Compose makes the children, and records the call.
func (c *composer) Compose(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	composition, err := c.compose(req)
	call := Call{
		Definition: c.definition, Object: req.Object.Name(), Version: req.Object.ResourceVersion(),
		Touch: req.Object.Metadata().Annotations[Touch], Cause: req.Cause, Attempt: req.Attempt, Failed: err != nil,
	}
	for _, child := range req.Children {
		call.Observed = append(call.Observed, child.Name)
	}
	return composition, errors.Join(err, c.record.add(call))
}

func (c *composer) compose(req handlers.ComposeRequest) (handlers.Composition, error) {
	if c.config.Fail != "" || slices.Contains(c.config.FailFor, req.Object.Name()) {
		return handlers.Composition{}, fmt.Errorf("as the test wants: %s", c.config.Fail)
	}
	f, err := newFiller(req)
	if err != nil {
		return handlers.Composition{}, err
	}
	if f.text == "wait" {
		if _, err := os.ReadFile(filepath.Join(c.config.Wait, req.Object.Name())); err != nil {
			return handlers.Composition{}, fmt.Errorf("waiting for the test: %w", err)
		}
	}
	if slices.Contains(c.config.Unavailable, f.text) {
		return handlers.Composition{}, handlers.Unavailable(errUnavailable)
	}
	if slices.Contains(c.config.PutOff, f.text) {
		return handlers.Composition{}, handlers.RetryAfter(errPutOff, time.Duration(c.config.PutOffFor))
	}
	var composition handlers.Composition
	for _, name := range c.config.Pending {
		composition.Pending = append(composition.Pending, handlers.Pending{Name: name, On: "the test"})
	}
	for _, part := range c.config.Children {
		if part.When != nil && !slices.Contains(part.When, f.text) {
			continue
		}
		child, err := part.child(f)
		if pending, ok := errors.AsType[handlers.Pending](err); ok {
			pending.Name = part.Name
			composition.Pending = append(composition.Pending, pending)
			continue
		}
		if err != nil {
			return handlers.Composition{}, err
		}
		composition.Children = append(composition.Children, child)
	}
	for _, part := range c.config.Patches {
		if part.When != nil && !slices.Contains(part.When, f.text) {
			continue
		}
		object, err := f.fill(part.Object)
		if err != nil {
			return handlers.Composition{}, err
		}
		composition.Patches = append(composition.Patches, handlers.Patch{Name: part.Name, Object: &unstructured.Unstructured{Object: object}})
	}
	if composition.Labels, err = f.marks(c.config.Labels, c.config.Removes); err != nil {
		return handlers.Composition{}, err
	}
	if composition.Annotations, err = f.marks(c.config.Annotations, c.config.Removes); err != nil {
		return handlers.Composition{}, err
	}
	if c.config.Status != nil {
		status, err := f.fill(c.config.Status)
		switch _, pending := errors.AsType[handlers.Pending](err); {
		case pending: // It is left alone.
		case err != nil:
			return handlers.Composition{}, err
		default:
			composition.Status = status
		}
	}
	return composition, nil
}

// child makes a child of a parent.
func (part Child) child(f filler) (handlers.Child, error) {
	object, err := f.fill(part.Object)
	if err != nil {
		return handlers.Child{}, err
	}
	child := handlers.Child{
		Name: part.Name, Object: &unstructured.Unstructured{Object: object}, After: part.After, Formerly: part.Formerly,
		Policy: handlers.ChildPolicy{
			Drift: part.Drift, Conflicts: part.Conflicts, Prune: part.Prune, Update: part.Update, AllowDataLoss: part.AllowDataLoss,
			Adopt: part.Adopt, AdoptFrom: part.AdoptFrom,
			Ignore: part.Ignore, WhenGone: part.WhenGone, KeepEqual: part.Echo,
		},
	}
	if observed, ok := f.req.Children.Get(part.Name); ok && part.Echo {
		var u unstructured.Unstructured
		if err := observed.Into(&u); err != nil {
			return handlers.Child{}, fmt.Errorf("reading child %s: %w", part.Name, err)
		}
		child.Object = &u
		if err := unstructured.SetNestedField(u.Object, f.text, "metadata", "labels", "text"); err != nil {
			return handlers.Child{}, fmt.Errorf("changing child %s: %w", part.Name, err)
		}
	}
	if path := part.Generate; path != "" {
		child.Generate = func(_ context.Context, object *unstructured.Unstructured) error {
			return unstructured.SetNestedField(object.Object, Generated+rand.Text(), strings.Split(path, ".")...)
		}
	}
	if by := part.ReadyBy; by != "" {
		child.Policy.Ready = func(o handlers.Object) (bool, string) {
			_, ok := o.Metadata().Annotations[by]
			return ok, "it has no annotation " + by
		}
	}
	return child, nil
}
