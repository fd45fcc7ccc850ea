package handlerstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// answer is what a composer says to one request.
type answer struct {
	related     []handlers.Related
	composition handlers.Composition
	err         error
	damage      string // what it has changed of its request
}

// ask asks a composer as the engine does. What it does to the request is not seen by other calls.
func ask(ctx context.Context, composer handlers.Composer, req handlers.ComposeRequest) answer {
	req = cloneRequest(req)
	before := textOfRequest(req)
	a := askFor(ctx, composer, req)
	a.damage = cmp.Diff(before, textOfRequest(req))
	return a
}

func askFor(ctx context.Context, composer handlers.Composer, req handlers.ComposeRequest) (a answer) {
	if relater, ok := composer.(handlers.Relater); ok {
		if a.related, a.err = relater.Relate(ctx, req.Object); a.err != nil {
			return a
		}
	}
	a.composition, a.err = composer.Compose(ctx, req)
	return a
}

func cloneRequest(req handlers.ComposeRequest) handlers.ComposeRequest {
	req.Children = slices.Clone(req.Children)
	related := make(map[string][]handlers.Object, len(req.Related))
	for name, objects := range req.Related {
		related[name] = slices.Clone(objects)
	}
	req.Related = related
	return req
}

// known reports whether the children are known, all or some of them.
func (a answer) known() bool {
	_, pending := errors.AsType[handlers.Pending](a.err)
	return a.err == nil || pending
}

// text is the answer in a form that can be compared and read.
func (a answer) text() string {
	type child struct {
		Name   string
		Object any
		After  []string `json:",omitempty"`
		Kept   []string `json:",omitempty"`
	}
	shown := struct {
		Error        string             `json:",omitempty"`
		Related      []handlers.Related `json:",omitempty"`
		Children     []child
		Patches      []handlers.Patch   `json:",omitempty"`
		Labels       map[string]*string `json:",omitempty"`
		Annotations  map[string]*string `json:",omitempty"`
		Status       any                `json:",omitempty"`
		Pending      []handlers.Pending `json:",omitempty"`
		RequeueAfter time.Duration      `json:",omitempty"`
		Finalized    bool               `json:",omitempty"`
	}{
		Related: a.related, Patches: a.composition.Patches, Status: a.composition.Status, Pending: a.composition.Pending,
		RequeueAfter: a.composition.RequeueAfter, Finalized: a.composition.Finalized,
		Labels: a.composition.Labels, Annotations: a.composition.Annotations,
	}
	if a.err != nil {
		shown.Error = a.err.Error()
	}
	for _, c := range a.composition.Children {
		p := c.Policy
		shown.Children = append(shown.Children, child{
			Name: c.Name, Object: c.Object, After: c.After,
			Kept: []string{
				string(p.Drift), string(p.Conflicts), fmt.Sprint(p.Prune), fmt.Sprint(p.Ready != nil),
				string(p.Update), fmt.Sprint(p.AllowDataLoss), fmt.Sprint(p.Ignore), fmt.Sprint(c.Generate != nil), string(p.WhenGone),
				fmt.Sprint(p.KeepEqual),
			},
		})
	}
	return textOf(shown)
}

// textOfRequest is what a composer could damage of its request. Objects give away copies alone.
func textOfRequest(req handlers.ComposeRequest) string {
	show := func(name string, o handlers.Object) []string {
		return []string{name, o.GroupVersionKind().String(), o.Namespace(), o.Name(), string(o.UID()), o.ResourceVersion()}
	}
	children := make([][]string, 0, len(req.Children))
	for _, child := range req.Children {
		children = append(children, show(child.Name, child.Object))
	}
	related := map[string][][]string{}
	for name, objects := range req.Related {
		related[name] = [][]string{}
		for _, o := range objects {
			related[name] = append(related[name], show("", o))
		}
	}
	return textOf(map[string]any{"children": children, "related": related})
}

func textOf(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error() // A mistake of its own, see mistakes.
	}
	return string(text)
}
