package marker

import (
	"context"
	_ "embed" // for schema.cue
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

//go:embed schema.cue
var schema string

// Config is the config of one handler. schema.cue describes its fields.
type Config struct {
	// Interval is the time between two calls for one object.
	Interval handlers.Duration `json:"interval,omitempty"`
	// WriteTimeout is how long one write may take.
	WriteTimeout handlers.Duration `json:"writeTimeout,omitempty"`
	// Takes is how long a call waits between its two writes; 0 means that there is one.
	Takes handlers.Duration `json:"takes,omitempty"`
	// IgnoresContextFor is for how long a call goes on writing without looking at its context.
	IgnoresContextFor handlers.Duration `json:"ignoresContextFor,omitempty"`
}

// Plugin returns the plugin "marker" for a process whose holderIdentity is identity.
func Plugin(identity string) handlers.Plugin[Config] {
	return handlers.Plugin[Config]{
		Name:    "marker",
		Summary: "Write who handles an object into a marker, for the failover tests",
		Schema:  schema,
		Defaults: func() Config {
			return Config{
				Interval:     handlers.Duration(20 * time.Millisecond),
				WriteTimeout: handlers.Duration(500 * time.Millisecond),
			}
		},
		New: func(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
			client, err := kubernetes.NewForConfig(env.Clients.REST)
			if err != nil {
				return nil, fmt.Errorf("making the client of the markers: %w", err)
			}
			return &handler{config: c, logger: env.Logger, writer: NewWriter(client, identity, time.Duration(c.WriteTimeout))}, nil
		},
	}
}

// handler is the handler of one definition.
type handler struct {
	config Config
	logger logr.Logger
	writer *Writer
	first  sync.Once
	over   atomic.Bool // the end of a term was noticed: the next call belongs to another
}

// Handle writes the marker of one object. That a write does not succeed is no error of the call:
// the engine would call less and less often, and the tests would see less and less of what gets
// through.
func (h *handler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	h.first.Do(func() { h.logger.Info("handler called for the first time") })
	if h.over.CompareAndSwap(true, false) {
		h.writer.NextTerm()
	}
	if h.config.IgnoresContextFor > 0 {
		h.insist(context.WithoutCancel(ctx), req.Object)
		return handlers.Result{}, ctx.Err()
	}
	h.write(ctx, req.Object)
	if h.config.Takes > 0 {
		wait(ctx, time.Duration(h.config.Takes))
		h.write(ctx, req.Object)
	}
	if err := ctx.Err(); err != nil {
		h.notice(context.Cause(ctx))
		return handlers.Result{}, err
	}
	return handlers.Result{RequeueAfter: time.Duration(h.config.Interval)}, nil
}

// insist writes for as long as the config says, whatever happens to the term.
func (h *handler) insist(ctx context.Context, object handlers.Object) {
	for start := time.Now(); time.Since(start) < time.Duration(h.config.IgnoresContextFor); {
		h.write(ctx, object)
		wait(ctx, time.Duration(h.config.Interval))
	}
}

func (h *handler) write(ctx context.Context, object handlers.Object) {
	if err := h.writer.Write(ctx, object.Namespace(), object.Name()); err != nil {
		h.notice(err)
		h.logger.V(1).Info("marker not written", "reason", err.Error())
	}
}

// notice finds out from an error whether the term has ended.
func (h *handler) notice(err error) {
	if errors.Is(err, kube.ErrNotLeading) || errors.Is(err, election.ErrLost) {
		h.over.Store(true)
	}
}

// wait waits for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
