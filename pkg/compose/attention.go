package compose

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// AttentionKind is why somebody should look at something.
type AttentionKind int

// The kinds.
const (
	// AttentionNotReady is for a parent that is not ready, with what blocks it.
	AttentionNotReady AttentionKind = iota
	// AttentionFight is for a child that another party sets back again and again.
	AttentionFight
	// AttentionHeld is for what is left as it is for now: the parent is paused, or waits for its
	// turn in a rollout, or the brake holds the deletion of a child, or a finalizer keeps a child
	// that was deleted.
	AttentionHeld
	// AttentionRefused is for an object that kooperd may not touch.
	AttentionRefused

	attentionKinds int = iota
)

// The bounds of what is kept of what was found. All of it is counted.
const (
	// maxAttention is how much of one parent is kept.
	maxAttention = 16
	// maxAttentionParents is of how many parents something of one kind is kept.
	maxAttentionParents = 250
	// maxAttentionReason is how many bytes of a reason are kept.
	maxAttentionReason = 256
)

// onlyCounted is said in place of what is not kept.
const onlyCounted = "there are too many to keep what was found here; the conditions in its status say more"

// Attention is something about a parent, as the last pass has found it that has looked at that.
type Attention struct {
	Kind AttentionKind
	// Parent names the parent.
	Parent kube.Key
	// Child is the object that it is about, as KIND/NAMESPACE/NAME; empty for the parent itself.
	Child string
	// ByBrake is true of a child whose deletion the brake holds.
	ByBrake bool
	// Reason says more, in one line without secrets.
	Reason string
	// Since is when a pass has found it first.
	Since time.Time
}

// AttentionLog is what the last passes of one definition's parents have found. The revisions of the
// definition share it. It is safe for concurrent use.
type AttentionLog struct {
	mu      sync.RWMutex
	parents map[types.UID]parentAttention // of which there is something to be said
	shown   map[types.UID][]Attention     // what is kept of those of which anything is
	totals  attentionTotals
	kept    attentionTotals // parents of which something of a kind is kept
}

type attentionTotals [attentionKinds]int32

// parentAttention is what is to be said of one parent. It does not change.
type parentAttention struct {
	all    []Attention // what is kept
	totals attentionTotals
	itself attentionTotals // those of them that are about the parent, and not about other objects
	braked int32           // children whose deletion the brake holds
	key    kube.Key
	since  time.Time // when there was something first
}

// keeps reports whether something of a kind is kept.
func (p parentAttention) keeps(kind AttentionKind) bool {
	return slices.ContainsFunc(p.all, func(a Attention) bool { return a.Kind == kind })
}

// began returns since when there is something.
func (p parentAttention) began(a Attention, now time.Time) time.Time {
	same := func(old Attention) bool { return old.Kind == a.Kind && old.Child == a.Child }
	if at := slices.IndexFunc(p.all, same); at >= 0 {
		return p.all[at].Since
	}
	if p.totals[a.Kind] > 0 && !p.keeps(a.Kind) { // It was counted alone.
		return p.since
	}
	return now
}

// Each calls visit with everything that is kept, in no order. No pass waits for it. visit must
// neither change nor keep what it gets.
func (l *AttentionLog) Each(visit func(*Attention)) {
	l.mu.RLock()
	shown := slices.Collect(maps.Values(l.shown)) // What is kept of a parent does not change.
	l.mu.RUnlock()
	for _, all := range shown {
		for i := range all {
			visit(&all[i])
		}
	}
}

// Totals returns how much of each kind there is.
func (l *AttentionLog) Totals() map[AttentionKind]int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	totals := map[AttentionKind]int{}
	for kind, n := range l.totals {
		totals[AttentionKind(kind)] = int(n)
	}
	return totals
}

// Of returns what is to be said of one parent. Of a kind that is counted alone, that is all that is
// said. The caller must not change it.
func (l *AttentionLog) Of(parent types.UID) []Attention {
	l.mu.RLock()
	defer l.mu.RUnlock()
	is := l.parents[parent]
	all := slices.Clip(is.all)
	for kind := range AttentionKind(attentionKinds) {
		if is.totals[kind] > 0 && !is.keeps(kind) {
			all = append(all, Attention{Kind: kind, Parent: is.key, Reason: onlyCounted, Since: is.since})
		}
	}
	return all
}

// set replaces what is to be said of a parent. What was there before goes on since then.
func (l *AttentionLog) set(parent types.UID, all []Attention, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.parents[parent]
	l.replace(parent, before, l.next(before, all, now))
}

// setItself replaces what is to be said of the parent itself. What was found of other objects goes
// on: it was not looked at anew.
func (l *AttentionLog) setItself(parent types.UID, all []Attention, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.parents[parent]
	next := l.next(before, all, now)
	for kind := range AttentionKind(attentionKinds) {
		next.totals[kind] += before.totals[kind] - before.itself[kind]
	}
	next.braked += before.braked
	for _, a := range before.all {
		if a.Child != "" && len(next.all) < maxAttention {
			next.all = append(next.all, a)
		}
	}
	l.replace(parent, before, next)
}

// release drops what the brake has held of a parent: it does not any more.
func (l *AttentionLog) release(parent types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.parents[parent]
	if before.braked == 0 {
		return
	}
	next := before
	next.totals[AttentionHeld], next.braked = before.totals[AttentionHeld]-before.braked, 0
	next.all = slices.DeleteFunc(slices.Clone(before.all), func(a Attention) bool { return a.ByBrake })
	l.replace(parent, before, next)
}

// next is what is to be said of a parent after what is known of it. l.mu is held.
func (l *AttentionLog) next(before parentAttention, all []Attention, now time.Time) parentAttention {
	next := parentAttention{key: before.key, since: now}
	if before.totals != (attentionTotals{}) {
		next.since = before.since
	}
	for _, a := range all {
		next.key = a.Parent
		if next.totals[a.Kind]++; a.Child == "" {
			next.itself[a.Kind]++
		}
		if a.ByBrake {
			next.braked++
		}
		room := before.keeps(a.Kind) || l.kept[a.Kind] < maxAttentionParents
		if room && len(next.all) < maxAttention {
			a.Since = before.began(a, now)
			next.all = append(next.all, a)
		}
	}
	return next
}

// replace puts one in the place of the other, which is what is there. l.mu is held.
func (l *AttentionLog) replace(parent types.UID, before, next parentAttention) {
	for kind := range AttentionKind(attentionKinds) {
		l.totals[kind] += next.totals[kind] - before.totals[kind]
		if before.keeps(kind) {
			l.kept[kind]--
		}
		if next.keeps(kind) {
			l.kept[kind]++
		}
	}
	if next.totals == (attentionTotals{}) {
		delete(l.shown, parent)
		if delete(l.parents, parent); len(l.parents) == 0 {
			l.parents, l.shown = nil, nil // A map never shrinks.
		}
		return
	}
	if l.parents == nil {
		l.parents, l.shown = map[types.UID]parentAttention{}, map[types.UID][]Attention{}
	}
	if l.parents[parent] = next; len(next.all) > 0 {
		l.shown[parent] = next.all
	} else {
		delete(l.shown, parent)
	}
}

func (l *AttentionLog) forget(parent types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(parent, l.parents[parent], parentAttention{})
}

func (l *AttentionLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parents, l.shown, l.totals, l.kept = nil, nil, attentionTotals{}, attentionTotals{}
}

// attending is a pass that has something to say.
type attending struct{ *pass }

// say replaces what is to be said of the parent, if the pass has found out how it is, which it
// reports.
func (p attending) say() (known bool) {
	if p.lost || p.rollout.came != passDone && p.rollout.came != passApart {
		return false
	}
	conditions := p.said
	if p.rollout.came == passDone && !p.rollout.held && !p.paused {
		conditions = p.conditions()
	}
	found, now := p.found(conditions), p.now().UTC()
	if p.rollout.came == passDone && (p.rollout.held || p.err != nil && p.ops == nil) {
		p.sayReleased()
		p.Memory.Attention.setItself(p.parent.UID, found, now)
	} else {
		p.Memory.Attention.set(p.parent.UID, found, now)
	}
	p.noteLasting(conditions)
	return true
}

// sayLeft replaces what is to be said of a parent that is not selected any more, as far as that was
// looked at: nothing is, but for what is left of its children.
func (p attending) sayLeft() {
	now := p.now().UTC()
	if p.ops == nil && !p.paused {
		p.sayReleased()
		p.Memory.Attention.setItself(p.parent.UID, nil, now)
		return
	}
	p.Memory.Attention.set(p.parent.UID, p.found(nil), now)
}

// sayReleased drops what was said of what the brake holds, if it holds nothing of the parent.
func (p attending) sayReleased() {
	if !holds(p.Memory.Brake, p.parent.UID) {
		p.Memory.Attention.release(p.parent.UID)
	}
}

// found is what is to be said. Where other objects were not looked at, because the parent is held
// or its composer fails, it is that of the parent itself.
func (p attending) found(conditions []condition) (all []Attention) {
	add := func(kind AttentionKind, about ChildID, reason string) {
		a := Attention{Kind: kind, Parent: p.key, Reason: shortenTo(p.secrets.clean(reason), maxAttentionReason)}
		if about.Name != "" {
			a.Child = about.path()
		}
		all = append(all, a)
	}
	switch {
	case p.paused:
		add(AttentionHeld, ChildID{}, pausedMessage)
		return all
	case p.rollout.came == passDone && p.rollout.held:
		add(AttentionHeld, ChildID{}, "it keeps what it has until its turn in the rollout comes")
		if why := rolling(p).blocked(); why != "" {
			add(AttentionNotReady, ChildID{}, why)
		}
		return all
	}
	for _, c := range conditions {
		if c.kind == conditionReady && !c.status {
			add(AttentionNotReady, ChildID{}, c.reason+": "+c.message)
		}
	}
	if p.rollout.came == passApart {
		return all
	}
	for _, f := range p.fights {
		add(AttentionFight, f.id, f.message)
	}
	for _, op := range p.ops {
		switch {
		case op.Reason == ReasonPruneHeld:
			add(AttentionHeld, op.ID, op.Message)
			all[len(all)-1].ByBrake = true
		case isKept(op):
			add(AttentionHeld, op.ID, op.Message)
		case op.Action == Refuse && p.failed[op.ID] == nil && slices.Contains(refusals, op.Reason):
			add(AttentionRefused, op.ID, op.Message)
		}
	}
	for _, op := range p.patches.ops {
		if op.Action == Refuse {
			add(AttentionRefused, op.ID, op.text())
		}
	}
	return all
}

// isKept reports whether a finalizer keeps an object that is not desired any more.
func isKept(op Op) bool {
	return op.Desired == nil && op.Action == Wait && op.Reason == ReasonDeleting && len(op.Observed.Finalizers) > 0
}

// path is the object as reports name it: "ConfigMap/team-a/web".
func (id ChildID) path() string {
	if id.Namespace == "" {
		return id.Kind.Kind + "/" + id.Name
	}
	return fmt.Sprintf("%s/%s/%s", id.Kind.Kind, id.Namespace, id.Name)
}
