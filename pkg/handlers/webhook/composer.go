package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// newComposer makes the composer of a definition.
func newComposer(_ context.Context, env handlers.Env, c Config) (handlers.Composer, error) {
	caller, err := newCaller(env, &c, time.Now)
	if err != nil {
		return nil, err
	}
	composer, err := hook.New(hook.Options{
		Definition: env.Definition, Watched: env.Kind, Config: c.Config, Hooks: c.hooks(), Caller: caller,
	})
	if err != nil {
		return nil, err
	}
	if relater, ok := composer.(handlers.Relater); ok {
		return closingRelater{closing{composer, caller}, relater}, nil
	}
	return closing{composer, caller}, nil
}

// closing is a composer whose Close ends the connections.
type closing struct {
	handlers.Composer
	caller *caller
}

// Close ends the connections. No call may be under way.
func (c closing) Close() error {
	c.caller.transports.close()
	return nil
}

// Pause forgets which hooks have failed: whoever works next finds out anew.
func (c closing) Pause() {
	for _, client := range c.caller.clients {
		client.breaker.reset()
		client.metrics.open.end(client.name)
	}
}

// closingRelater is the same for one that relates.
type closingRelater struct {
	closing
	handlers.Relater
}

// caller is the hook.Caller of one definition.
type caller struct {
	*shared
	clients map[hook.Name]*client
}

// newCaller reads the files that the config names. It connects to nothing.
func newCaller(env handlers.Env, c *Config, now func() time.Time) (*caller, error) {
	if _, err := c.Auth.resolve(); err != nil {
		return nil, err
	}
	transports, err := newTransports(c, env.Logger, now)
	if err != nil {
		return nil, err
	}
	all := c.endpoints()
	names := slices.Sorted(maps.Keys(all))
	metrics, err := newMetrics(env.Metrics, names, now)
	if err != nil {
		return nil, err
	}
	made := &caller{
		clients: map[hook.Name]*client{},
		shared: &shared{
			auth: c.Auth, limit: c.MaxResponse, transports: transports, metrics: metrics, logger: env.Logger, now: now,
		},
	}
	if c.ETag {
		made.etags = newETags(maxETagged)
	}
	for _, name := range names {
		if made.clients[name], err = newClient(name, all[name], c.MaxConcurrent, made.shared); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// Call implements hook.Caller.
func (c *caller) Call(ctx context.Context, call hook.Call) ([]byte, error) {
	body, err := c.clients[call.Hook].call(ctx, call.Parent.UID(), call.Body)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return body, err
	}
	var whole json.RawMessage
	if wrong := json.Unmarshal(body, &whole); wrong != nil {
		return nil, c.noJSON(body, wrong)
	}
	return body, nil
}

// noJSON is the error for an answer that is no JSON. It may be a page that quotes the request, with
// its credentials, so that it is not left to the composer to quote it.
func (c *caller) noJSON(body []byte, wrong error) error {
	sent, err := c.auth.resolve()
	if err != nil {
		return fmt.Errorf("the answer is no JSON: %w", wrong)
	}
	return fmt.Errorf("the answer is no JSON: %w: %q", wrong, cutText(redact(string(body), sent.secrets)))
}
