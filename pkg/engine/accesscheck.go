package engine

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/config"
)

const (
	// rightsInterval is how often rights that were granted are checked again while calls fail,
	// which may be because one was taken away.
	rightsInterval = time.Minute
	// maxMissing is how many missing rules and namespaces a status names.
	maxMissing = 3
)

// rightsBackoff is the delay between two checks while rights are missing or not known.
var rightsBackoff = wait.Backoff{
	Duration: 2 * time.Second, Factor: 2, Cap: time.Minute, Steps: math.MaxInt32,
}

// accessCheck asks whether the rights that a handler needs are granted, and whether the namespaces
// exist that its definition watches. What is missing becomes the definition's state. The right to
// watch is not asked for: the watch itself says when it is refused.
type accessCheck struct {
	needed  bool // whether there is anything to ask for
	missing func(context.Context) ([]access.Finding, error)
	failing func() bool // whether calls of the handler fail
	changed func()      // called when describe or granted may differ
	logger  logr.Logger

	mu      sync.Mutex
	asked   bool // at least once
	lacking string
}

// needsRights reports whether there is anything to ask for.
func needsRights(def config.Definition) bool {
	return len(def.Handler.Rules()) > 0 || def.Handler.Composes() || def.Finalizer != "" || len(def.Watch.Namespaces) > 0
}

// run asks until ctx ends.
func (a *accessCheck) run(ctx context.Context) {
	if !a.needed {
		a.record(nil, nil)
		return
	}
	backoff := rightsBackoff.DelayFunc()
	var delay time.Duration
	allGranted := false
	// The error is that of ctx.
	_ = wait.DelayFunc(func() time.Duration { return delay }).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if delay = rightsInterval; allGranted && !a.failing() {
			return false, nil
		}
		missing, err := a.missing(ctx)
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the check ends with ctx
		}
		if allGranted = err == nil && len(missing) == 0; allGranted {
			backoff = rightsBackoff.DelayFunc()
		} else {
			delay = backoff()
		}
		if err != nil {
			a.logger.V(1).Info("the rights of the handler are not known", "err", err.Error(), "retryAfter", delay)
		}
		a.record(missing, err)
		return false, nil
	})
}

// record keeps an answer; an error is none, and leaves what was known.
func (a *accessCheck) record(missing []access.Finding, err error) {
	a.mu.Lock()
	a.asked = true
	if err == nil {
		a.lacking = describeMissing(missing)
	}
	a.mu.Unlock()
	a.changed()
}

// granted reports whether the API server was asked and did not say that a right is missing.
func (a *accessCheck) granted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked && a.lacking == ""
}

// describe says which rights are missing, or nothing.
func (a *accessCheck) describe() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lacking
}

func describeMissing(missing []access.Finding) string {
	var texts []string
	for i, finding := range missing {
		if i == maxMissing {
			texts = append(texts, "and more; kooperd validate --live prints them all")
			break
		}
		texts = append(texts, finding.Message)
	}
	return strings.Join(texts, "; ")
}
