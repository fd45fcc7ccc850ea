package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/offline"
)

// Planning works out what the definitions of a config would do about every object that there is,
// with the runtime that they have in the cluster, and changes nothing. Each object is worked out by
// itself: what would become of others does not count for it.
type Planning struct {
	// Config is the config.
	Config *config.Config
	// Installation is the mark of the installation.
	Installation string
	// Finder knows the kinds.
	Finder kinds.Finder
	// Live is for the API server.
	Live *rest.Config
	// Records are those of a kooperd that has run before, by the id of the definition.
	Records map[string]compose.Record
	// Unconfirmed is true when the API server is asked for no dry runs.
	Unconfirmed bool
	// Allow returns a definition that asks a program or a service what should exist as it is to be
	// run, or an error that says why that is not allowed; nil allows none.
	Allow func(config.Definition) (config.Definition, error)
	// Only are the names of the definitions to plan; none for all.
	Only []string
	// Progress is called when something was worked out; nil for nobody. Calls may overlap.
	Progress func(Progress)
}

// Progress is how far a plan is with a definition.
type Progress struct {
	Definition string
	Done, All  int
}

// PlanState is what came of planning a definition.
type PlanState string

// The states.
const (
	// PlanDone: it was worked out.
	PlanDone PlanState = "planned"
	// PlanGone: the definition is not in the file any more.
	PlanGone PlanState = "gone"
	// PlanPaused: the definition is paused, and does nothing.
	PlanPaused PlanState = "paused"
	// PlanWaiting: the definition waits for a kind that is not served, and does nothing.
	PlanWaiting PlanState = "waiting"
	// PlanEffects: what the definition does is not known before it does it.
	PlanEffects PlanState = "effectsUnknown"
	// PlanNotRun: the definition asks a program or a service, which was not run.
	PlanNotRun PlanState = "notRun"
	// PlanForbidden: rights are missing.
	PlanForbidden PlanState = "forbidden"
	// PlanFailed: it could not be worked out.
	PlanFailed PlanState = "failed"
)

// PlannedDefinition is what a definition would do.
type PlannedDefinition struct {
	// Definition is the definition, the zero one with Name alone where it is gone.
	Definition config.Definition
	// State is what came of it, and Why says more of that.
	State PlanState
	Why   string
	// Objects is how many objects it handles, and Children how many children it has that its brake
	// counts.
	Objects, Children int
	// Rolled is how many of the objects take part in a rollout: paused ones do not.
	Rolled int
	// Foreseen is what there is to do about what the file has said before.
	Foreseen compose.Foreseen
	// Tried is what came of each object that it handles, and of those that it has handled and that
	// have left it.
	Tried []*Tried
	// Failed are objects of which nothing is known.
	Failed []FailedTrial
	// Leftovers are what it has left behind.
	Leftovers []compose.Leftover
	// Unconfirmed says of leftovers why what becomes of them could not be confirmed.
	Unconfirmed map[offline.Key]string
	// Missing are rights for lack of which something could not be confirmed.
	Missing []offline.MissingRight
	// Held is how many children the brake would keep from being deleted.
	Held int
}

// FailedTrial is an object of which could not be worked out what becomes of it.
type FailedTrial struct {
	Parent offline.Key
	Err    error
}

const (
	// triedAtOnce is how many objects are worked out at a time, and dryRunsAtOnce how many dry runs
	// are under way.
	triedAtOnce   = 8
	dryRunsAtOnce = 16
)

// planRun is one run of a Planning.
type planRun struct {
	*Planning
	lists   *planLists
	moves   *compose.Moves
	dryRuns chan struct{}
}

// Run works everything out. The error is that nothing could be.
func (p *Planning) Run(ctx context.Context) ([]*PlannedDefinition, error) {
	dyn, err := dynamic.NewForConfig(p.Live)
	if err != nil {
		return nil, fmt.Errorf("making the client of the plan: %w", err)
	}
	meta, err := metadata.NewForConfig(p.Live)
	if err != nil {
		return nil, fmt.Errorf("making the client of the plan: %w", err)
	}
	shared := *p
	shared.Finder = newPlanFinder(p.Finder)
	r := &planRun{
		Planning: &shared, moves: compose.NewMoves(), dryRuns: make(chan struct{}, dryRunsAtOnce),
		lists: &planLists{finder: shared.Finder, dynamic: dyn, meta: meta, known: map[string]planList{}},
	}
	r.moves.Set(parties(p.Config, p.Installation))
	var all []*planning
	for _, def := range p.Config.Definitions {
		if r.wants(def.Name) || def.Handler.Composes() && r.moves.Concerns(def.IDs()[0]) {
			all = append(all, r.newPlanning(def))
		}
	}
	defer func() {
		for _, d := range all {
			d.close()
		}
	}()
	for _, d := range all {
		if err := d.begin(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.passes(ctx, all); err != nil {
		return nil, err
	}
	var planned []*PlannedDefinition
	for _, d := range all {
		if !r.wants(d.Definition.Name) {
			continue
		}
		if err := d.finish(ctx); err != nil {
			return nil, err
		}
		planned = append(planned, d.found)
	}
	gone, err := r.gone(ctx)
	return append(planned, gone...), err
}

// passes works out what becomes of the objects. Definitions between which children may move say
// first what they want, as they do at run time.
func (r *planRun) passes(ctx context.Context, all []*planning) error {
	for _, d := range all {
		if d.found.State == PlanDone && r.moves.Concerns(d.Definition.IDs()[0]) {
			if _, err := d.tryAll(ctx); err != nil {
				return err
			}
		}
	}
	for _, d := range all {
		if d.found.State != PlanDone || !r.wants(d.Definition.Name) {
			continue
		}
		tried, err := d.tryAll(ctx)
		if err != nil {
			return err
		}
		d.found.Failed = nil
		for _, t := range tried {
			if t.err != nil {
				d.found.Failed = append(d.found.Failed, FailedTrial{Parent: t.parent, Err: t.err})
			} else {
				d.found.Tried = append(d.found.Tried, t.tried)
			}
		}
	}
	return nil
}

func (r *planRun) wants(name string) bool { return len(r.Only) == 0 || slices.Contains(r.Only, name) }

// gone works out what becomes of definitions that are not in the file any more.
func (r *planRun) gone(ctx context.Context) (all []*PlannedDefinition, err error) {
	var present []string
	for _, def := range r.Config.Definitions {
		if def.Handler.Composes() {
			present = append(present, def.IDs()...)
		}
	}
	if len(present) == 0 {
		return nil, nil // A kooperd without a composer does not look at the records.
	}
	for _, id := range slices.Sorted(maps.Keys(r.Records)) {
		left := r.Records[id].Abandoned()
		if slices.Contains(present, id) || len(left) == 0 || !r.wants(id) {
			continue
		}
		found := &PlannedDefinition{Definition: config.Definition{Name: id}, State: PlanGone}
		if err := r.leftovers(ctx, found, left, compose.Removal{Definition: id, MovesAs: id}); err != nil {
			return nil, err
		}
		all = append(all, found)
	}
	return all, nil
}

// leftovers works out what becomes of what a definition has left behind.
func (r *planRun) leftovers(ctx context.Context, found *PlannedDefinition, left []compose.Scope, removal compose.Removal) error {
	server := offline.NewServer(r.Finder)
	server.ConfirmBy(offline.Confirmation{Never: r.Unconfirmed, AtOnce: r.dryRuns})
	over := server.Over(r.Live)
	client, err := compose.NewClient(over, r.Finder)
	if err != nil {
		return err
	}
	if removal.Dynamic, err = dynamic.NewForConfig(over); err != nil {
		return fmt.Errorf("making the client of the plan: %w", err)
	}
	id, formerly := removal.Definition, removal.Formerly
	removal.Installation, removal.Client, removal.Moves, removal.Logger = r.Installation, client, r.moves, logr.Discard()
	removal.Tell = func(l compose.Leftover) { found.Leftovers = append(found.Leftovers, l) }
	for _, scope := range left {
		one := removal
		one.Scope, one.Definition = scope, cmp.Or(scope.ID, id)
		if one.Formerly = formerly; scope.ID != "" {
			one.Formerly = nil
		}
		if _, err := one.Run(ctx); err != nil {
			found.fail(err)
		}
	}
	found.Unconfirmed, found.Missing = offline.Unconfirmed(server), append(found.Missing, offline.MissingRights(server)...)
	return context.Cause(ctx)
}

// fail notes that something could not be worked out.
func (d *PlannedDefinition) fail(err error) {
	state := PlanFailed
	switch {
	case isOfRights(err):
		state = PlanForbidden
	case kinds.IsNotServed(err):
		state = PlanWaiting
	}
	if d.State == PlanDone || d.State == PlanGone || state == PlanFailed {
		d.State = state
	}
	if d.Why != "" {
		d.Why += "; "
	}
	d.Why += err.Error()
}
