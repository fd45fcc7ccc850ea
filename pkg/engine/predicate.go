package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	xrate "golang.org/x/time/rate"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/expression"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// conditionLogInterval is the least time between two log lines about a condition that fails.
const conditionLogInterval = time.Minute

// errSecretValues stands for the failure of a condition on a Secret: CEL puts values into its
// errors.
var errSecretValues = errors.New("the condition fails; why is not shown of Secrets")

// changePredicate decides by the filter of a definition.
type changePredicate struct {
	ignored *kube.Ignored         // nil: nothing is ignored
	where   *expression.Condition // nil: every change is wanted
	reads   kube.FieldMask        // what where reads

	finalizers []string // where does not decide on objects that are to be finalized

	secret  bool // what a failure says may contain what must not be seen
	metrics *telemetry.Controller
	logger  logr.Logger
	logging xrate.Sometimes // of failures

	changed func() // called when describe returns something else

	mu       sync.Mutex
	failures int    // since the last evaluation that did not fail
	last     string // the last of them
}

// newChangePredicate returns nil for a definition without a filter. finalizers are those that its
// objects may have, empty for none.
func newChangePredicate(
	def config.Definition, finalizers []string, metrics *telemetry.Controller, logger logr.Logger, changed func(),
) *changePredicate {
	if def.Filter == nil {
		return nil
	}
	p := &changePredicate{
		where: def.Filter.Where(), finalizers: finalizers, metrics: metrics, logger: logger, changed: changed,
		secret:  def.Watch.Kind.Group == "" && def.Watch.Kind.Kind == "Secret",
		logging: xrate.Sometimes{Interval: conditionLogInterval},
	}
	if fields := def.Filter.Ignored(); fields != nil {
		p.ignored = kube.Ignore(fields)
	}
	if fields := def.Filter.Reads(); fields != nil {
		p.reads = kube.NewFieldMask(fields)
	}
	return p
}

func (p *changePredicate) matchesCalls() bool { return p.where != nil }

func (p *changePredicate) selects() bool { return p.where != nil && !p.where.IsAboutChanges() }

// excludes reports whether an object, as it is, is no concern of the definition. It decides on no
// call, so it counts nothing.
func (p *changePredicate) excludes(ctx context.Context, obj handlers.Object) bool {
	if p == nil || !p.selects() || p.finalizes(obj) {
		return false
	}
	holds, err := p.evaluate(ctx, obj, nil)
	return err == nil && !holds
}

// finalizes reports whether an object is to be finalized.
func (p *changePredicate) finalizes(obj handlers.Object) bool {
	return slices.ContainsFunc(p.finalizers, func(name string) bool { finalize, _ := finalizable(name, obj); return finalize })
}

func (p *changePredicate) matchesChange(ctx context.Context, e kube.Event) bool {
	if p.ignored != nil && e.OnlyIn(p.ignored) {
		p.metrics.Ignored.Inc()
		return false
	}
	return p.matches(ctx, e.Key, e.Now(), e.Old())
}

// matches evaluates the condition. A failure is not an answer: the handler is called, so that
// nothing is lost, and the failure is counted and logged. Without a call, an object that has the
// finalizer would never go.
func (p *changePredicate) matches(ctx context.Context, key kube.Key, now, old handlers.Object) bool {
	if p.where == nil || p.finalizes(now) {
		return true
	}
	holds, err := p.evaluate(ctx, now, old)
	switch {
	case ctx.Err() != nil: // The work is over; what is decided now is not handled any more.
		return false
	case err != nil:
		p.failed(key, err)
		return true
	case !holds:
		p.metrics.Unwanted.Inc()
	}
	p.worked()
	return holds
}

func (p *changePredicate) evaluate(ctx context.Context, now, old handlers.Object) (bool, error) {
	object, err := kube.Fields(now, p.reads)
	if err != nil {
		return false, err
	}
	var oldObject map[string]any
	if old != nil {
		if oldObject, err = kube.Fields(old, p.reads); err != nil {
			return false, err
		}
	}
	return p.where.Holds(ctx, object, oldObject)
}

func (p *changePredicate) failed(key kube.Key, err error) {
	if p.secret {
		err = errSecretValues
	}
	object := telemetry.ObjectName(key.Namespace, key.Name)
	p.metrics.TriggerErrors.Inc()
	p.logging.Do(func() {
		p.logger.Error(err, "deciding on a change failed, the handler is called", telemetry.KeyObject, object)
	})
	p.mu.Lock()
	p.failures++
	p.last = object + ": " + err.Error()
	found := p.failures == persistent
	p.mu.Unlock()
	if found {
		p.changed()
	}
}

// worked notes an evaluation that has not failed.
func (p *changePredicate) worked() {
	p.mu.Lock()
	ended := p.failures >= persistent
	p.failures = 0
	p.mu.Unlock()
	if ended {
		p.changed()
	}
}

// describe says that the condition fails for every object, with one for an example, or nothing. The
// handler is called then for every change, which is more than the definition asks for.
func (p *changePredicate) describe() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures < persistent {
		return ""
	}
	return "every evaluation of where fails, so all changes call the handler; " + p.last
}
