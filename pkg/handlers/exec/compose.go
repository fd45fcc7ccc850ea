package exec

import (
	"context"
	"fmt"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// defaultMaxAnswer is how many bytes a hook may answer.
const defaultMaxAnswer = 4 << 20

// programHooks are programs as hooks.
type programHooks struct {
	runner
	programs map[hook.Name]program
}

var _ hook.Caller = (*programHooks)(nil)

// commands are the commands of the hooks that a config has.
func commands(c Config) map[hook.Name][]string {
	all := map[hook.Name][]string{hook.Sync: c.Command}
	if c.Finalize != nil {
		all[hook.Finalize] = c.Finalize.Command
	}
	if c.Customize != nil {
		all[hook.Customize] = c.Customize.Command
	}
	return all
}

// hooksOf are the hooks besides sync.
func hooksOf(c Config) hook.Hooks {
	return hook.Hooks{Finalize: c.Finalize != nil, Customize: c.Customize != nil}
}

func newComposer(_ context.Context, env handlers.Env, c Config) (handlers.Composer, error) {
	r, err := newRunner(env, c)
	if err != nil {
		return nil, err
	}
	hooks := &programHooks{runner: r, programs: map[hook.Name]program{}}
	for name, command := range commands(c) {
		if hooks.programs[name], err = lookUp(command); err != nil {
			return nil, err
		}
	}
	return hook.New(hook.Options{
		Definition: env.Definition, Watched: env.Kind, Config: c.Config, Hooks: hooksOf(c), Caller: hooks,
	})
}

// Call implements hook.Caller: the request is the standard input of a program, and its standard
// output is the answer.
func (h *programHooks) Call(ctx context.Context, c hook.Call) ([]byte, error) {
	program := h.programs[c.Hook]
	said := &answer{room: h.config.MaxAnswer}
	if said.room == 0 {
		said.room = defaultMaxAnswer
	}
	err := h.execute(ctx, call{
		program: program, hook: c.Hook, input: c.Body, answer: said,
		Request: handlers.Request{Object: c.Parent, Cause: c.Cause, Attempt: c.Attempt},
	})
	switch {
	case err != nil:
		return nil, err
	case said.dropped > 0:
		return nil, fmt.Errorf("running %s: the answer has %d bytes, at most %d are read",
			program.path, int64(len(said.text))+said.dropped, len(said.text))
	}
	return said.text, nil
}

// answer takes what a program answers. What is too much is counted, so that the program does not
// wait. It is not safe for concurrent use.
type answer struct {
	text    []byte
	room    int // for so many bytes more
	dropped int64
}

// Write takes the next piece. It never fails.
func (a *answer) Write(p []byte) (int, error) {
	kept := p[:min(a.room, len(p))]
	a.text = append(a.text, kept...)
	a.room -= len(kept)
	a.dropped += int64(len(p) - len(kept))
	return len(p), nil
}
