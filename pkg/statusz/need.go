package statusz

import (
	"cmp"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/status"
)

// byNeed lists the states from the one that needs somebody the most.
var byNeed = []status.State{
	status.Degraded, status.PruneHeld, status.ReloadPending, status.Waiting, status.Syncing, status.Running, status.Paused,
}

// StatesByNeed returns all states, first the one that needs somebody the most.
func StatesByNeed() []status.State { return slices.Clone(byNeed) }

// need is how early a definition comes among others: a smaller number needs somebody more.
func (d *Definition) need() int {
	place := 2 * slices.Index(byNeed, d.State)
	if d.runsWell() {
		place++
	}
	return place
}

func (d *Definition) runsWell() bool {
	return d.State == status.Running && d.Calls.Failed == 0 && d.Queue.Throttled == "" && d.Objects.Total() == 0
}

// longWait is for how many seconds an object has to wait for a worker before that is worth a look.
const longWait = 1

// JustRuns reports whether there is nothing to say of a definition but that it runs: it can be left
// out where there are many.
func (d *Definition) JustRuns() bool {
	return d.runsWell() && d.Reason == "" && d.Rollout == "" && d.Queue.Oldest < longWait
}

// CompareDefinitions orders definitions for people: those that need somebody come first, then by
// name.
func CompareDefinitions(a, b *Definition) int {
	return cmp.Or(cmp.Compare(a.need(), b.need()), strings.Compare(a.Name, b.Name))
}

// CompareSources orders sources for people: those that do not work come first, then the larger
// ones.
func CompareSources(a, b *Source) int {
	return cmp.Or(cmp.Compare(slices.Index(byNeed, a.State), slices.Index(byNeed, b.State)), cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Kind, b.Kind))
}

// Total is how many objects are in all lists together.
func (o Objects) Total() int {
	return o.NotReady.Total + o.Failing.Total + o.Fights.Total + o.Held.Total + o.Refused.Total
}
