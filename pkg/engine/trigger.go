package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
	"kooperd.dev/kooperd/pkg/trigger"
)

// complainEvery is how long the log is silent about a condition that fails, after it has told it once.
const complainEvery = time.Minute

// errSecretValues stands for the failure of a condition on a Secret: the language puts values into its errors.
var errSecretValues = errors.New("the condition fails; why is not shown of Secrets")

// triggers are what a definition says of the changes that call its handler. A nil *triggers is nothing: all of them do.
type triggers struct {
	ignored *kube.Ignored      // nil: nothing is ignored
	where   *trigger.Condition // nil: every change is wanted
	reads   kube.Parts         // what where looks at

	secret  bool // what a failure says may contain what must not be seen
	metrics *telemetry.Controller
	logger  logr.Logger

	mu         sync.Mutex
	complained time.Time // when a failure was logged last
}

// newTriggers reads a definition's ignore and where, which the config has checked. compile is asked for an expression.
func newTriggers(def config.Definition, compile func(text string) (*trigger.Condition, error)) (*triggers, error) {
	if len(def.Ignore) == 0 && def.Where == "" {
		return nil, nil //nolint:nilnil // there are none, and that is no error
	}
	t := &triggers{secret: def.Watch.Kind.Group == "" && def.Watch.Kind.Kind == "Secret"}
	if len(def.Ignore) > 0 {
		paths := make([]trigger.Path, len(def.Ignore))
		for i, text := range def.Ignore {
			var err error
			if paths[i], err = trigger.ParsePath(text); err != nil {
				return nil, fmt.Errorf("reading ignore[%d] of controller %q: %w", i, def.Name, err)
			}
		}
		var err error
		if t.ignored, err = kube.Ignore(def.Watch.Kind, paths); err != nil {
			return nil, fmt.Errorf("reading ignore of controller %q: %w", def.Name, err)
		}
	}
	if def.Where != "" {
		var err error
		if t.where, err = compile(def.Where); err != nil {
			return nil, fmt.Errorf("compiling where of controller %q: %w", def.Name, err)
		}
		t.reads = kube.Keep(def.Watch.Kind, t.where.Reads())
	}
	return t, nil
}

// compiler returns a function that compiles expressions in one language, which it makes for the first of them.
func compiler() func(text string) (*trigger.Condition, error) {
	language := sync.OnceValues(trigger.NewLanguage)
	return func(text string) (*trigger.Condition, error) {
		l, err := language()
		if err != nil {
			return nil, err
		}
		return l.Compile(text)
	}
}

// metadataOnly tells whether the metadata alone is enough to decide. For ignored fields it is not, as all others count.
func (t *triggers) metadataOnly() bool {
	if t == nil || t.where == nil {
		return t == nil
	}
	return t.ignored == nil && !slices.ContainsFunc(t.where.Reads(), func(p trigger.Path) bool {
		return len(p) == 0 || !slices.Contains([]string{"metadata", "apiVersion", "kind"}, p[0])
	})
}

// selective implements decider: only a condition refuses what is not a change.
func (t *triggers) selective() bool { return t.where != nil }

// wantsChange tells whether a change calls the handler, and counts it when it does not.
func (t *triggers) wantsChange(ctx context.Context, e kube.Event) bool {
	if t.ignored != nil && e.OnlyIn(t.ignored) {
		t.metrics.Ignored.Inc()
		return false
	}
	return t.wants(ctx, e.Key, e.Now(), e.Old())
}

// wants asks the condition. One that fails is not an answer: the handler is called, so that nothing is lost, and the failure is
// counted and told.
func (t *triggers) wants(ctx context.Context, key kube.Key, now, old handlers.Object) bool {
	if t.where == nil {
		return true
	}
	holds, err := t.evaluate(ctx, now, old)
	switch {
	case ctx.Err() != nil: // The work is over; what is decided now is not handled any more.
		return false
	case err != nil:
		t.failed(key, err)
		return true
	case !holds:
		t.metrics.Unwanted.Inc()
	}
	return holds
}

func (t *triggers) evaluate(ctx context.Context, now, old handlers.Object) (bool, error) {
	object, err := kube.Fields(now, t.reads)
	if err != nil {
		return false, err
	}
	var oldObject map[string]any
	if old != nil {
		if oldObject, err = kube.Fields(old, t.reads); err != nil {
			return false, err
		}
	}
	return t.where.Holds(ctx, object, oldObject)
}

// failed counts a failure, and logs it unless another one was just logged.
func (t *triggers) failed(key kube.Key, err error) {
	t.metrics.TriggerErrors.Inc()
	t.mu.Lock()
	tell := t.complained.IsZero() || time.Since(t.complained) >= complainEvery
	if tell {
		t.complained = time.Now()
	}
	t.mu.Unlock()
	if tell {
		if t.secret {
			err = errSecretValues
		}
		t.logger.Error(err, "deciding on a change failed, the handler is called", telemetry.KeyObject, telemetry.ObjectName(key.Namespace, key.Name))
	}
}
