package compose

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// AllowPruneAnnotation on a parent is the word on which its children may be deleted although the
// brake holds. Its value is the time that the parent's condition names.
const AllowPruneAnnotation = "kooperd.dev/allow-prune"

const (
	// brakeMinutes is over how many minutes deletions are counted.
	brakeMinutes = 10
	// brakeFloor is how many children may go in that time in any case, and brakeShare the part of
	// all children, one in so many.
	brakeFloor = 10
	brakeShare = 5
	// totalAge is for how long the number of all children is believed.
	totalAge = 5 * time.Second
	// heldInterval is how often a parent whose deletions are held is looked at again.
	heldInterval = time.Minute
	// freeTime is for how long after a change of the definition the first pass of each parent is
	// not counted, and for how long a word on a parent counts after a restart.
	freeTime = time.Hour
)

// ofRevisions is the kind of ControllerRevisions. They are notes on how a parent was before, and
// old ones go after every rollout: many at once where many parents are edited. Nothing that runs is
// lost with one, so the brake counts none, neither of what goes nor of what there is.
var ofRevisions = schema.GroupKind{Group: "apps", Kind: "ControllerRevision"}

// Brake holds the deletion of children of one definition when too many of them would be gone in a
// short time, and neither their parents were deleted nor the definition changed. It is safe for
// concurrent use.
type Brake struct {
	mu      sync.Mutex
	minutes [brakeMinutes]brakeMinute          // a ring
	total   int                                // children there were, with those that went
	counted time.Time                          // when that was so
	changed time.Time                          // when the definition became what it is
	since   time.Time                          // when the hold began; zero while there is none
	message string                             // says why
	held    map[types.UID]int                  // how many children each parent would lose
	wanted  int                                // the sum of held: there may be many parents
	unsure  map[types.UID]time.Time            // those of held that are not known to lose it, see doubt
	swept   map[types.UID]struct{}             // parents for which the change was carried out; nil later
	waiting map[types.UID]map[ChildID]struct{} // children for which it waits, see defers
	notify  func()                             // called when a hold begins or ends; nil for none
}

// brakeMinute is how many children were deleted in one minute.
type brakeMinute struct {
	number  int64
	deleted int
}

// recent is how many children were deleted lately. b.mu is held.
func (b *Brake) recent(now time.Time) (n int) {
	for _, minute := range b.minutes {
		if now.Unix()/60-minute.number < brakeMinutes {
			n += minute.deleted
		}
	}
	return n
}

// add counts deletions. b.mu is held.
func (b *Brake) add(n int, now time.Time) {
	number := now.Unix() / 60
	minute := &b.minutes[number%brakeMinutes]
	if minute.number != number {
		*minute = brakeMinute{number: number}
	}
	minute.deleted = max(minute.deleted+n, 0)
}

// take asks for the deletion of n children of a parent. It returns why that is held, or counts
// them. total counts all children of the definition.
func (b *Brake) take(parent types.UID, n int, now time.Time, total func() int) (held string) {
	b.mu.Lock()
	ended := dropDoubts(b, now)
	wanted := b.recent(now) + n + b.wanted - b.held[parent]
	stale := now.Sub(b.counted) >= totalAge
	b.mu.Unlock()
	all := 0
	if stale && wanted > brakeFloor {
		all = total() // It reads caches, and has locks of its own.
	}
	held, changed := b.decide(parent, n, now, all)
	for _, notify := range []func(){ended, changed} {
		if notify != nil {
			notify()
		}
	}
	return held
}

// decide is take with the number of children that there are; 0 where that need not be known anew.
func (b *Brake) decide(parent types.UID, n int, now time.Time, all int) (held string, notify func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recent := b.recent(now)
	if all > 0 {
		b.total, b.counted = all+recent, now
	}
	wanted := recent + n + b.wanted - b.held[parent]
	if wanted <= brakeFloor || wanted*brakeShare <= b.total {
		b.add(n, now)
		return "", b.end()
	}
	if b.since.IsZero() {
		b.since, b.held, notify = now.Truncate(time.Second), map[types.UID]int{}, b.notify
		b.message = fmt.Sprintf("%d of the %d children of the definition would be gone within %d minutes, so none is deleted. "+
			"If they are to go, annotate the parent with %s=%s, or change the definition",
			wanted, b.total, brakeMinutes, AllowPruneAnnotation, b.since.UTC().Format(time.RFC3339))
	}
	b.hold(parent, n)
	return b.message, notify
}

// hold notes how many children a parent would lose; 0 for none any more. b.mu is held.
func (b *Brake) hold(parent types.UID, n int) {
	delete(b.unsure, parent)
	b.wanted += n - b.held[parent]
	if b.held[parent] = n; n == 0 {
		delete(b.held, parent)
	}
}

// end ends a hold, if there is one, and returns what to call then; nil for nothing. b.mu is held.
func (b *Brake) end() (notify func()) {
	if b.since.IsZero() {
		return nil
	}
	b.since, b.message, b.held, b.wanted, b.unsure = time.Time{}, "", nil, 0, nil
	return b.notify
}

// giveBack is called for deletions that were counted and have failed.
func (b *Brake) giveBack(n int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(-n, now)
}

// release notes that nothing of a parent is held any more. With the last one, the hold ends.
func (b *Brake) release(parent types.UID) {
	b.mu.Lock()
	_, held := b.held[parent]
	if held {
		b.hold(parent, 0)
	}
	var notify func()
	if held && len(b.held) == 0 {
		notify = b.end()
	}
	b.mu.Unlock()
	if notify != nil {
		notify()
	}
}

// reset forgets everything. changed is when the definition became what it is.
func (b *Brake) reset(changed time.Time) {
	b.mu.Lock()
	notify := b.end()
	b.minutes, b.total, b.counted, b.changed, b.swept = [brakeMinutes]brakeMinute{}, 0, time.Time{}, changed, nil
	b.waiting = nil
	b.mu.Unlock()
	if notify != nil {
		notify()
	}
}

// counts is how many of the planned deletions of a parent are not those of a changed definition.
func (b *Brake) counts(parent types.UID, ops []Op, now time.Time) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isFree(parent, now) {
		return 0
	}
	for _, op := range ops {
		if _, waited := b.waiting[parent][op.ID]; op.Action == Delete && !waited && op.ID.Kind != ofRevisions {
			n++
		}
	}
	return n
}

// isFree reports whether the next deletions of a parent are those of a changed definition. b.mu is
// held.
func (b *Brake) isFree(parent types.UID, now time.Time) bool {
	_, swept := b.swept[parent]
	return !swept && b.isChanging(now)
}

// forget drops a parent that is gone.
func (b *Brake) forget(parent types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, parent)
}

// defers notes for which children that are not desired any more a change of the definition waits,
// however long that takes: for another definition, or because the parent is held. waits says which.
// Those that come later are of another change.
func (b *Brake) defers(parent types.UID, ops []Op, now time.Time, waits func(Op) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	free, before := b.isFree(parent, now), b.waiting[parent]
	waiting := map[ChildID]struct{}{}
	for _, op := range ops {
		if _, noted := before[op.ID]; op.Desired == nil && (noted || free && waits(op)) {
			waiting[op.ID] = struct{}{}
		}
	}
	switch {
	case len(waiting) == 0:
		delete(b.waiting, parent)
	case b.waiting == nil:
		b.waiting = map[types.UID]map[ChildID]struct{}{parent: waiting}
	default:
		b.waiting[parent] = waiting
	}
}

// isChanging reports whether the definition has changed lately. b.mu is held.
func (b *Brake) isChanging(now time.Time) bool {
	return !b.changed.IsZero() && now.Sub(b.changed) < freeTime
}

// sweep notes that what a change of the definition does to a parent is done.
func (b *Brake) sweep(parent types.UID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.isChanging(now):
		b.swept = nil
	case b.swept == nil:
		b.swept = map[types.UID]struct{}{parent: {}}
	default:
		b.swept[parent] = struct{}{}
	}
}

// isAllowed reports whether somebody has said on the parent that its children may go: in answer to
// the hold, or, when the hold has been forgotten by a restart, a short time ago.
func (b *Brake) isAllowed(word string, now time.Time) bool {
	at, err := time.Parse(time.RFC3339, word)
	if err != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.since.IsZero() {
		return at.Equal(b.since)
	}
	age := now.Sub(at)
	return age >= 0 && age < freeTime
}

// Held says why no children are deleted although they are not desired any more; empty if they are.
func (b *Brake) Held() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.message
}

// OnHeld makes changed be called when Held may return something else. It is called before the
// first pass.
func (b *Brake) OnHeld(changed func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notify = changed
}

// DefinitionChanged says when the definition became what it is. What goes because of that is not
// counted. The zero time is long ago.
func (b *Brake) DefinitionChanged(at time.Time) {
	b.mu.Lock()
	same := b.changed.Equal(at)
	b.mu.Unlock()
	if !same {
		b.reset(at)
	}
}

// pullBrake returns why the children that are to be deleted are held; empty if they are not. It
// returns how many of them are counted.
func (c *current) pullBrake(ops []Op) (held string, counted int) {
	b, now := c.Memory.Brake, c.now()
	n := b.counts(c.parent.UID, ops, now)
	if n == 0 || c.meta.DeletionTimestamp != nil || // What goes with its parent is no concern of others.
		b.isAllowed(c.meta.Annotations[AllowPruneAnnotation], now) {
		return "", 0
	}
	if held = b.take(c.parent.UID, n, now, c.countAll); held != "" {
		return held, 0
	}
	return "", n
}

// giveBack is called when the deletions that were counted are made, with the plan as it is then:
// some may have failed.
func giveBack(c *current, counted int, ops []Op) {
	b, now := c.Memory.Brake, c.now()
	if made := b.counts(c.parent.UID, ops, now); made < counted {
		b.giveBack(counted-made, now)
	}
}

// countAll counts all children of the definition that there are, but for ControllerRevisions.
func (c *current) countAll() (n int) {
	ofDefinition := c.Identity.selector()
	for _, source := range c.children() {
		if source.GroupVersionKind().GroupKind() != ofRevisions {
			n += len(source.Source.List("", ofDefinition))
		}
	}
	return max(n-countGone(c.Memory), 0)
}

// countGone counts those of them that were deleted and may be in the caches still.
func countGone(m *Memory) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parents {
		for id, c := range p.children {
			if c.gone && id.Kind != ofRevisions {
				n++
			}
		}
	}
	return n
}
