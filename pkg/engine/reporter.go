package engine

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/queue"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// Reporter says what an engine is doing. It asks nobody, and holds no lock of the engine for longer
// than it takes to look: what it returns is the caller's own. It is safe for concurrent use.
type Reporter struct{ engine *Engine }

// NewReporter returns the Reporter of an engine.
func NewReporter(e *Engine) Reporter { return Reporter{e} }

// sorted returns the controllers by name.
func (r Reporter) sorted() []*controller {
	all := r.engine.all()
	slices.SortFunc(all, func(a, b *controller) int { return strings.Compare(a.name, b.name) })
	return all
}

// History says how much is remembered of single objects.
func (r Reporter) History() statusz.History { return r.engine.shared.history.Stats() }

// Definitions returns the definitions, with those that are ending, by name, and the objects of all
// of them. The lists of objects have so many items at most.
func (r Reporter) Definitions(items statusz.Items) ([]statusz.Definition, statusz.Objects) {
	all := r.sorted()
	definitions, objects := make([]statusz.Definition, len(all)), newObjectRows(items.Whole)
	for i, c := range all {
		definitions[i] = reported{c}.report(items.Of(c.name, len(all)), objects)
		if c.name == items.Definition {
			definitions[i].Config = reported{c}.config()
		}
	}
	return definitions, objects.result()
}

// Sources returns what is watched, by kind, namespace and selector, with the definitions that read
// it.
func (r Reporter) Sources() []statusz.Source {
	readers := map[kube.SourceID][]string{}
	for _, c := range r.sorted() {
		for _, id := range (reported{c}).sourceIDs() {
			if names := readers[id]; len(names) == 0 || names[len(names)-1] != c.name {
				readers[id] = append(names, c.name)
			}
		}
	}
	infos := r.engine.shared.api.sources()
	sources := make([]statusz.Source, len(infos))
	for i, info := range infos {
		sources[i] = info.Source
		if sources[i].Definitions = readers[info.ID]; sources[i].Definitions == nil {
			sources[i].Definitions = []string{} // The last one has just let go of it.
		}
	}
	slices.SortFunc(sources, func(a, b statusz.Source) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.APIVersion, b.APIVersion), strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Selector, b.Selector), strings.Compare(a.Content, b.Content))
	})
	return sources
}

// Search returns the objects in the caches whose KIND/NAMESPACE/NAME contains a text, without
// regard to case, in the order of these: at most limit of them, and whether there are more.
func (r Reporter) Search(text string, limit int) (found []statusz.ObjectRef, more bool) {
	lower := []byte(strings.ToLower(text))
	var room []byte
	for _, info := range r.engine.shared.api.sources() {
		kind := strings.ToLower(info.Kind)
		for key := range info.Keys {
			room = append(append(room[:0], kind...), '/')
			if key.Namespace != "" {
				room = append(append(room, key.Namespace...), '/')
			}
			if room = append(room, key.Name...); !containsFold(room, lower) {
				continue
			}
			ref := statusz.ObjectRef{APIVersion: info.APIVersion, Kind: info.Kind, Namespace: key.Namespace, Name: key.Name}
			at, known := slices.BinarySearchFunc(found, ref, compareRefs)
			if known || at > limit {
				continue
			}
			found = slices.Insert(found, at, ref)
			found = found[:min(len(found), limit+1)] // One more than asked for says that there are more.
		}
	}
	if len(found) > limit {
		return found[:limit], true
	}
	return found, false
}

// containsFold reports whether a name, which it changes, contains a text in lower case.
func containsFold(name, text []byte) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			name[i] = c + 'a' - 'A'
		}
	}
	return bytes.Contains(name, text)
}

func compareRefs(a, b statusz.ObjectRef) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name),
		strings.Compare(a.APIVersion, b.APIVersion))
}

// reported is a definition that somebody asks about.
type reported struct{ *controller }

// report says what a definition is doing, with so many items in its lists of objects, and adds to
// those of all definitions.
func (c reported) report(items int, all *objectRows) statusz.Definition {
	def, current := c.working()
	d := statusz.Definition{
		Name: c.name, Plugin: def.Handler.Plugin(), APIVersion: def.Watch.Kind.GroupVersion().String(), Kind: def.Watch.Kind.Kind,
		EveryReplica: def.EveryReplica, Status: c.state.board.Get(c.name),
	}
	if d.State == "" { // It has gone a moment ago, or is about to begin.
		d.State = status.Syncing
	}
	var throttled int
	d.Calls, throttled = c.state.past.window.read()
	d.Calls.Busy = c.state.calls.number()
	if dispatcher := c.dispatcher.Load(); dispatcher != nil {
		d.Calls.Workers = workersOf(dispatcher.revision.def)
		stats := queue.StatsOf(dispatcher.queue)
		d.Queue = statusz.Queue{
			Waiting: stats.Ready, Oldest: statusz.Seconds(stats.Oldest.Seconds()), Later: stats.Delayed,
			Throttled: describeThrottled(dispatcher.revision, throttled, d.Calls.Window),
		}
	}
	objects := newObjectRows(items)
	if current != nil {
		c.addFailing(listPair{&objects.failing, &all.failing}, current)
		if current.composing != nil {
			memory := current.objects.memory
			d.Children, d.Rollout = compose.ChildrenByState(memory), memory.Rollout.Describe()
			c.addAttention(objects, all, current)
		}
	}
	d.Objects = objects.result()
	return d
}

// working is the definition that works, with its revision: a change of it may wait. Before there is
// one, it is the definition that is wanted.
func (c reported) working() (config.Definition, *revision) {
	if current, _ := c.rollout.revisions(); current != nil {
		return current.def, current
	}
	return c.rollout.definition(), nil
}

// config is the definition that works as people may read it.
func (c reported) config() string {
	def, _ := c.working()
	text, err := config.ShownDefinition(def)
	if err != nil {
		c.logger.Error(err, "showing the config of the definition")
	}
	return string(text)
}

// describeThrottled says what holds workers back at this moment, and whether the API server has
// lately; empty if nothing does.
func describeThrottled(r *revision, putOff int, window statusz.Seconds) string {
	var all []string
	if r.limits.rateWaits.waits() {
		all = append(all, fmt.Sprintf("workers wait for the rate of the definition, %g per second", r.def.Rate.PerSecond))
	}
	if r.limits.slotWaits.waits() {
		all = append(all, "workers wait for other definitions: the config bounds the calls of all of them (maxConcurrent)")
	}
	if putOff > 0 {
		all = append(all, fmt.Sprintf("the API server has answered %d writes with 429 (too many requests) in the last %s",
			putOff, time.Duration(float64(window)*float64(time.Second)).Round(time.Second)))
	}
	return strings.Join(all, "; ")
}

// refOf names an object that a definition handles.
func refOf(def config.Definition, key kube.Key) statusz.ObjectRef {
	return statusz.ObjectRef{
		APIVersion: def.Watch.Kind.GroupVersion().String(), Kind: def.Watch.Kind.Kind, Namespace: key.Namespace, Name: key.Name,
	}
}

// addFailing adds the objects whose last call has failed.
func (c reported) addFailing(to listPair, r *revision) {
	failing, _ := r.objects.failures.counts()
	to.count(failing)
	if failing == 0 {
		return
	}
	given := r.objects.failures.given()
	to.mine.list.GivenUp += given
	to.all.list.GivenUp += given
	for _, f := range r.objects.failures.oldest(to.most(), to.takes) {
		row := statusz.ObjectRow{Definition: c.name, Object: refOf(r.def, f.key), Reason: f.message, Since: f.since}
		if f.abandoned() {
			row.GivenUp, row.Since = true, f.failure.stopped
		}
		to.insert(row)
	}
}

// addAttention adds what is to be said of parents.
func (c reported) addAttention(mine, all *objectRows, r *revision) {
	lists := map[compose.AttentionKind]listPair{
		compose.AttentionNotReady: {&mine.notReady, &all.notReady}, compose.AttentionFight: {&mine.fights, &all.fights},
		compose.AttentionHeld: {&mine.held, &all.held}, compose.AttentionRefused: {&mine.refused, &all.refused},
	}
	log := r.objects.memory.Attention
	total := 0
	for kind, n := range log.Totals() {
		lists[kind].count(n)
		total += n
	}
	if total == 0 || lists[compose.AttentionHeld].most() == 0 { // All lists have as many.
		return
	}
	row := statusz.ObjectRow{Definition: c.name, Object: refOf(r.def, kube.Key{})}
	log.Each(func(a *compose.Attention) {
		if to := lists[a.Kind]; to.takes(false, a.Since) {
			row.Object.Namespace, row.Object.Name, row.Child, row.Reason, row.Since = a.Parent.Namespace, a.Parent.Name, a.Child, a.Reason, a.Since
			to.insert(row)
		}
	})
}

func (c reported) attentionRow(r *revision, a compose.Attention) statusz.ObjectRow {
	return statusz.ObjectRow{Definition: c.name, Object: refOf(r.def, a.Parent), Child: a.Child, Reason: a.Reason, Since: a.Since}
}

// sourceIDs returns what the definition reads at this moment.
func (c reported) sourceIDs() (ids []kube.SourceID) {
	current, next := c.rollout.revisions()
	for _, r := range []*revision{current, next} {
		if r == nil || !r.watches.opened.Load() {
			continue
		}
		for i := range r.watches.watches {
			ids = append(ids, r.watches.watches[i].source.SourceIDs()...)
		}
	}
	return ids
}
