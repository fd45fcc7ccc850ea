package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"kooperd.dev/kooperd/pkg/access"
	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/engine"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/offline"
)

// missingRights are all the rules that the user lacks for a definition: what the plan has met, and
// what it would have met next.
func (c *planCommand) missingRights(ctx context.Context, d *engine.PlannedDefinition) (texts []string) {
	var missing []access.Requirement
	if reviews, err := c.cluster.AccessReviews(); err == nil && d.State != engine.PlanGone {
		needs, _ := access.OfDefinition(ctx, d.Definition, c.cluster.Kinds()) // What is known of it.
		// Without an answer, that is said which the plan has met.
		missing, _ = access.NewReviewer(reviews).Missing(ctx, c.neededFor(needs))
	}
	for _, need := range missing {
		texts = append(texts, need.Text())
	}
	if len(texts) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(texts)))
	}
	verbs := map[offline.MissingRight]bool{}
	for _, right := range d.Missing {
		verbs[right] = true
	}
	for right := range maps.Keys(verbs) {
		rule := rbacv1.PolicyRule{APIGroups: []string{right.Group}, Resources: []string{right.Resource}, Verbs: []string{right.Verb}}
		texts = append(texts, (&kube.ForbiddenError{Namespace: right.Namespace, Rule: rule}).Error())
	}
	return slices.Sorted(slices.Values(texts))
}

// neededFor are those of the rights of a running kooperd that a plan needs: it watches nothing and
// sends no status, and without dry runs it reads only.
func (c *planCommand) neededFor(needs []access.Requirement) (needed []access.Requirement) {
	for _, need := range needs {
		isPart := func(resource string) bool { return strings.Contains(resource, "/") }
		if slices.Contains(need.Rule.Resources, "events") || slices.ContainsFunc(need.Rule.Resources, isPart) || need.Optional {
			continue
		}
		need.Rule.Verbs = slices.DeleteFunc(slices.Clone(need.Rule.Verbs), func(verb string) bool {
			return verb == "watch" || c.plan.dryRun == dryRunNone && verb != "get" && verb != "list"
		})
		if len(need.Rule.Verbs) > 0 {
			needed = append(needed, need)
		}
	}
	return needed
}

// noteRemovals says when a running kooperd would not accept so many removals.
func (c *planCommand) noteRemovals(records map[string]compose.Record) {
	active, gone := 0, 0
	for id, record := range records {
		if record.Kind == "" {
			continue
		}
		active++
		has := func(def config.Definition) bool { return slices.Contains(def.IDs(), id) }
		if !slices.ContainsFunc(c.cfg.Definitions, has) && !slices.Contains(c.cfg.Removed, id) {
			gone++
		}
	}
	if gone > 0 && 2*gone > active {
		c.report.Notes = append(c.report.Notes, fmt.Sprintf("%d of the %d definitions with children are gone without a word in `removed`: "+
			"a kooperd that runs may refuse such a file, see --allow-removals", gone, active))
	}
}
