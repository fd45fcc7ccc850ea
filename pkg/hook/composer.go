package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// Options of New. Definition, Watched and Caller are required.
type Options struct {
	// Definition is the name of the definition, which requests have as that of the controller.
	Definition string
	// Watched is the kind of the parents.
	Watched schema.GroupVersionKind
	// Config has passed Validate.
	Config Config
	// Hooks are those that there are besides Sync.
	Hooks Hooks
	// Caller carries the requests.
	Caller Caller
	// MaxDepth is how deep the objects and lists of an answer may be in each other. Default: 256.
	MaxDepth int
}

// New makes a composer, which is a handlers.Relater too if there is a customize hook. It does not
// call the Caller, and does not close it.
func New(o Options) (handlers.Composer, error) {
	if o.Caller == nil {
		return nil, errors.New("making the composer: it has no Caller")
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = defaultMaxDepth
	}
	controller, err := encode(describe(o.Definition, o.Watched, o.Config, o.Hooks))
	if err != nil {
		return nil, err
	}
	c := &composer{
		definition: o.Definition, config: o.Config, hooks: o.Hooks, caller: o.Caller, controller: controller, reads: Reads(o.Config),
		format: format{shape: o.Config.shape(), loose: o.Config.loose(), maxDepth: o.MaxDepth},
	}
	if o.Hooks.Customize {
		return &relater{composer: c}, nil
	}
	return c, nil
}

// composer asks the hooks of one definition.
type composer struct {
	definition string
	config     Config
	hooks      Hooks
	caller     Caller
	controller json.RawMessage
	reads      []handlers.Related
	format     format
}

// Compose implements handlers.Composer.
func (c *composer) Compose(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	return c.compose(ctx, req, c.reads)
}

// compose asks sync or finalize. asked are the selections of related objects.
func (c *composer) compose(
	ctx context.Context, req handlers.ComposeRequest, asked []handlers.Related,
) (handlers.Composition, error) {
	hook := Sync
	if req.Finalizing && c.hooks.Finalize {
		hook = Finalize
	}
	composition, err := c.ask(ctx, hook, req, asked)
	if err != nil {
		return handlers.Composition{}, fmt.Errorf("%s hook: %w", hook, err)
	}
	return composition, nil
}

// said is an answer with the children that it makes.
type said struct {
	answer
	children   []handlers.Child
	conditions handlers.Conditions // where the answer has no status
}

func (c *composer) ask(
	ctx context.Context, hook Name, req handlers.ComposeRequest, asked []handlers.Related,
) (handlers.Composition, error) {
	ask := c.call
	if c.config.rolls() {
		ask = c.rollOut
	}
	said, err := ask(ctx, hook, req, asked)
	if err != nil {
		return handlers.Composition{}, err
	}
	composition := handlers.Composition{
		Children: said.children, RequeueAfter: said.resyncAfter, Finalized: said.finalized && hook == Finalize,
		Labels: said.labels, Annotations: said.annotations,
	}
	switch { // A nil map would be a status.
	case said.status != nil:
		composition.Status = said.status
	case said.conditions != nil:
		composition.Status = said.conditions
	}
	return composition, nil
}

// call calls one hook once.
func (c *composer) call(ctx context.Context, hook Name, req handlers.ComposeRequest, asked []handlers.Related) (said, error) {
	body, err := c.request(req, asked, hook == Finalize)
	if err != nil {
		return said{}, err
	}
	text, err := c.caller.Call(ctx, Call{Hook: hook, Parent: req.Object, Cause: req.Cause, Attempt: req.Attempt, Body: body})
	if err != nil {
		return said{}, err
	}
	answered, err := c.format.answer(text)
	if err != nil {
		return said{}, err
	}
	children, err := c.desire(req.Object, answered.children)
	if err != nil {
		return said{}, err
	}
	return said{answer: answered, children: children}, nil
}

// parentInto decodes a parent, or another object.
func parentInto(parent handlers.Object, into any) error {
	text, err := parent.JSON()
	if err != nil {
		return err
	}
	return handlers.DecodeJSON(text, into)
}
