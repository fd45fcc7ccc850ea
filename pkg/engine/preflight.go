package engine

import (
	"context"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/access"
)

const (
	// Delays between two looks at the rights of a handler while some are missing or cannot be asked for.
	minRightsDelay = 2 * time.Second
	maxRightsDelay = time.Minute
	// rightsInterval is how often they are looked at while calls of the handler fail, which may be because one was taken away.
	rightsInterval = time.Minute
	// mostMissing is how many missing rules and namespaces a status names.
	mostMissing = 3
)

// preflight asks until ctx ends whether the rights that the handler needs are there, and the namespaces that are
// watched, and makes what is missing the definition's status. The right to watch needs no question: the watch itself
// fails when it is refused. In a namespace that does not exist it does not.
func (c *controller) preflight(ctx context.Context) {
	if len(c.def.Handler.Rules()) == 0 && len(c.def.Watch.Namespaces) == 0 {
		return
	}
	for delay := minRightsDelay; ctx.Err() == nil; {
		missing, err := c.findMissing(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.logger.V(1).Info("the rights of the handler are not known", "err", err.Error(), "retryAfter", delay)
		} else {
			c.lacks(describeMissing(missing))
		}
		if err == nil && len(missing) == 0 {
			if !c.awaitFailing(ctx) {
				return
			}
			delay = minRightsDelay
			continue
		}
		sleep(ctx, delay)
		delay = min(2*delay, maxRightsDelay)
	}
}

// findMissing returns what keeps the handler from working, or its objects from coming. Kinds in its rules may be served
// later.
func (c *controller) findMissing(ctx context.Context) ([]access.Finding, error) {
	rights, err := c.checker.Handler(ctx, c.def)
	if err != nil {
		return nil, err
	}
	namespaces, _, err := c.checker.Namespaces(ctx, c.def.Name, c.def.Watch.Namespaces)
	return append(namespaces, rights...), err
}

// awaitFailing waits until calls fail and reports false when ctx ends first.
func (c *controller) awaitFailing(ctx context.Context) bool {
	for {
		sleep(ctx, rightsInterval)
		if ctx.Err() != nil {
			return false
		}
		if failing, exhausted := c.failures.counts(); failing+exhausted > 0 {
			return true
		}
	}
}

// lacks records which rights the handler lacks, nothing when it has them all.
func (c *controller) lacks(missing string) {
	c.mu.Lock()
	c.missing = missing
	c.mu.Unlock()
	c.refresh()
}

func describeMissing(missing []access.Finding) string {
	var texts []string
	for i, finding := range missing {
		if i == mostMissing {
			texts = append(texts, "and more; kooperd validate --live prints them all")
			break
		}
		texts = append(texts, finding.Message)
	}
	return strings.Join(texts, "; ")
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
