package probe

import (
	"context"
	_ "embed" // for schema.cue
	"errors"
	"fmt"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/handlers"
)

//go:embed schema.cue
var schema string

// Label says in its value what a call does with an object: one of the roles, or nothing else than
// to be recorded.
const Label = "probe"

// The roles of objects.
const (
	Slow     = "slow"     // the call takes its time, and asks for another one
	Requeues = "requeues" // the call asks for another one
	Fails    = "fails"    // the call fails
)

// Config is the config of one handler. schema.cue describes its fields.
type Config struct {
	// Revision tells one revision of the definition from another.
	Revision string `json:"revision"`
	// Marker is the ConfigMap for the revision; empty for none.
	Marker string `json:"marker,omitempty"`
	// Takes is how long a call for a slow object takes.
	Takes handlers.Duration `json:"takes,omitempty"`
	// RequeueAfter is the delay of the next call that a call asks for.
	RequeueAfter handlers.Duration `json:"requeueAfter,omitempty"`
	// Broken is the error of New.
	Broken string `json:"broken,omitempty"`
	// NeedsSecrets makes the right to get Secrets one that is needed.
	NeedsSecrets bool `json:"needsSecrets,omitempty"`
}

// Plugin returns the plugin, whose calls go into record.
func Plugin(record *Record) handlers.Plugin[Config] {
	return handlers.Plugin[Config]{
		Name:    "probe",
		Summary: "Record each call, for the reload tests",
		Schema:  schema,
		Defaults: func() Config {
			return Config{
				Takes:        handlers.Duration(200 * time.Millisecond),
				RequeueAfter: handlers.Duration(500 * time.Millisecond),
			}
		},
		Rules: func(c Config) []rbacv1.PolicyRule {
			if !c.NeedsSecrets {
				return nil
			}
			return []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}
		},
		New: func(_ context.Context, env handlers.Env, c Config) (handlers.Handler, error) {
			if c.Broken != "" {
				return nil, errors.New(c.Broken)
			}
			client, err := kubernetes.NewForConfig(env.Clients.REST)
			if err != nil {
				return nil, fmt.Errorf("making the client of the marker: %w", err)
			}
			return &handler{config: c, definition: env.Definition, client: client, record: record}, nil
		},
	}
}

// handler is the handler of one revision of a definition.
type handler struct {
	config     Config
	definition string
	client     kubernetes.Interface
	record     *Record
}

// Handle records one call.
func (h *handler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	call := Call{
		Definition: h.definition, Revision: h.config.Revision, Object: req.Object.Name(),
		Version: req.Object.ResourceVersion(), Cause: req.Cause, Attempt: req.Attempt, Began: time.Now(),
	}
	result, err := h.handle(ctx, req.Object)
	call.Failed, call.RequeueAfter, call.Cancelled = err != nil, result.RequeueAfter, ctx.Err() != nil
	call.Ended = time.Now()
	return result, errors.Join(err, h.record.add(call))
}

func (h *handler) handle(ctx context.Context, object handlers.Object) (handlers.Result, error) {
	if h.config.Marker != "" {
		patch := fmt.Sprintf(`{"data": {%q: %q}}`, object.Name(), h.config.Revision)
		_, err := h.client.CoreV1().ConfigMaps(object.Namespace()).
			Patch(ctx, h.config.Marker, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			return handlers.Result{}, fmt.Errorf("writing the marker: %w", err)
		}
	}
	again := handlers.Result{RequeueAfter: time.Duration(h.config.RequeueAfter)}
	switch object.Metadata().Labels[Label] {
	case Slow:
		timer := time.NewTimer(time.Duration(h.config.Takes))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return handlers.Result{}, ctx.Err()
		case <-timer.C:
			return again, nil
		}
	case Requeues:
		return again, nil
	case Fails:
		return handlers.Result{}, errors.New("as the test wants")
	default:
		return handlers.Result{}, nil
	}
}
