package main

import (
	"context"
	"fmt"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about templates. Times of all parents are from the moment when the first one
// is created.
const (
	measureAllChildren = "all children right"
	measureAllStatus   = "all children and status fields right"
	measureAllReady    = "all parents Ready"
	measureQuietCPU    = "CPU, until quiet"
	measureLastRequest = "restarted to last request"
	measureRestartCPU  = "restarted, CPU until quiet"
	measureRestartAll  = "restarted, API requests until quiet"
	measureRestartSent = "restarted, writes and dry runs among them"
	measureSize        = "size of the program's file"
	measureChanged     = "definition changed to all children right"
	measureChangedEach = "definition changed, requests for each parent"
)

// templateFixture is the cluster of the rows about templates.
var templateFixture = childFixture

// templateRows are the rows about templates for so many parents.
func templateRows(parents int) []row {
	defaults := row{
		name: "apply-default", title: fmt.Sprintf("%d parents of templates, settings as they come, once", parents), reps: 1,
		measured: []program{shipped, kro}, measures: convergeMeasures(false),
		order: func() order.Order { return templateOrder(order.Parts, 0) },
		run:   ofTemplates(parents, (*composing).measureTemplates),
	}
	life := row{
		name: "apply", title: fmt.Sprintf("%d parents of templates, 16 workers", parents),
		measured: templated, measures: append(convergeMeasures(true), lifeMeasures()...),
		order: func() order.Order { return templateOrder(order.Parts, 16) },
		run:   ofTemplates(parents, (*composing).measureLife),
	}
	start := row{
		name: "apply-few", title: fmt.Sprintf("%d parents of templates, 16 workers", leastParents),
		measured: []program{shipped, kro},
		measures: []measure{
			{name: measureQuietCPU, unit: seconds}, {name: measurePeak, unit: megabytes}, {name: measureAnonymous, unit: megabytes},
			{name: measureLastRequest, unit: seconds}, {name: measureRestartAll}, {name: measureSize, unit: megabytes},
		},
		order: func() order.Order { return templateOrder(order.Parts, 16) },
		run:   ofTemplates(leastParents, (*composing).measureFew),
	}
	few := min(parents, singleChanges)
	answer := row{
		name: "apply-awaited", title: fmt.Sprintf("a value that a child of one of %d parents waits for", few),
		measured: []program{shipped, kro},
		measures: []measure{
			{name: measureAnswered, unit: milliseconds, targets: []target{{of: kro, factor: 0.5}}},
			{name: measureAnsweredMax, unit: milliseconds},
			{name: measureAnsweredStatus, unit: milliseconds, targets: []target{{of: kro, factor: 0.5}}},
		},
		order: func() order.Order { return templateOrder(order.Answer, 16) },
		run:   ofTemplates(few, (*composing).measureAnswers),
	}
	chain := row{
		name: "apply-chain", title: fmt.Sprintf("%d new parents of 5 children, each with the UID of the one before", few),
		measured: []program{shipped, kro},
		measures: []measure{
			{name: measureChained, unit: milliseconds}, {name: measureChainedSlow, unit: milliseconds},
			{name: measureEach, targets: []target{{factor: 6.2}}},
		},
		order: func() order.Order { return templateOrder(order.Chain, 16) },
		run:   ofTemplates(few, (*composing).measureChains),
	}
	leader := row{
		name: "apply-failover", title: fmt.Sprintf("SIGTERM of the leader of 2 replicas, beside %d parents of templates", parents),
		measured: []program{shipped, kro},
		measures: []measure{
			{name: measureLeading, unit: milliseconds},
			{name: measureFailover, unit: milliseconds, targets: []target{{of: shipped, measure: measureLeading, factor: 3}}},
		},
		order: leaderOrder,
		run:   ofTemplates(parents, (*composing).measureTemplateFailover),
	}
	rows := []row{start, life, defaults, answer, chain, leader}
	for i := range rows {
		rows[i].fixture, rows[i].columns = templateFixture, templated
	}
	return rows
}

// templateOrder is what a program does in a row about templates.
func templateOrder(graph order.Graph, workers int) order.Order {
	o := childOrder()
	o.Graph, o.Workers = graph, workers
	return o
}

// leaderOrder is that of programs which need a lease.
func leaderOrder() order.Order {
	o := templateOrder(order.Parts, 16)
	o.LeaseNamespace = namespace
	return o
}

// ofTemplates is the run of a row about templates for so many parents. Kro has parents of a kind
// that it has made.
func ofTemplates(
	parents int, measure func(c *composing, ctx context.Context, p program, o order.Order, parents int, numbers map[string]float64) error,
) func(context.Context, *scene, program, order.Order) (readings, error) {
	return func(ctx context.Context, s *scene, p program, o order.Order) (readings, error) {
		o.Repair = true
		if p == kro {
			o.Kinds = []order.Kind{graphKind}
			if err := s.installKro(ctx, o); err != nil {
				return nil, err
			}
		}
		return ofChildren(parents, measure)(ctx, s, p, o)
	}
}

// convergeMeasures are those about the first time that everything is made.
func convergeMeasures(best bool) []measure {
	all := []measure{
		{name: measureAllChildren, unit: seconds}, {name: measureAllStatus, unit: seconds}, {name: measureAllReady, unit: seconds},
		{name: measureQuietCPU, unit: seconds}, {name: measurePeak, unit: megabytes}, {name: measureAnonymous, unit: megabytes},
		{name: measureEach}, {name: measureEachChildren}, {name: measureEachStatus}, {name: measureEachReads},
	}
	if best {
		all[1].targets = []target{{of: informer, factor: 1.3}, {of: kro, factor: 0.45}}
		all[3].targets = []target{{of: kro, factor: 0.4}}
		all[4].targets = []target{{of: kro, factor: 0.9}}
		all[6].targets = []target{{factor: 4.2}}
	}
	return all
}

// lifeMeasures are those about what comes after that.
func lifeMeasures() []measure {
	half := []target{{of: kro, factor: 0.5}}
	return []measure{
		{name: measureMended, unit: milliseconds, targets: half}, {name: measureMendedMax, unit: milliseconds},
		{name: measureRestored, unit: milliseconds, targets: half}, {name: measureRestoredMax, unit: milliseconds},
		{name: measureChanged, unit: seconds, targets: []target{{of: kro, factor: 0.4}}},
		{name: measureChangedEach, targets: []target{{factor: 3.2}, {of: kro, factor: 0.4}}},
		{name: measureLastRequest, unit: seconds}, {name: measureRestartCPU, unit: seconds},
		{name: measureRestartAll}, {name: measureRestartSent, targets: []target{{factor: 0}}},
	}
}
