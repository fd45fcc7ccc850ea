package compose

import (
	"fmt"
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
	// turn in a rollout, or the brake holds the deletion of a child.
	AttentionHeld
	// AttentionRefused is for an object that kooperd may not touch.
	AttentionRefused

	attentionKinds int = iota
)

// maxAttention is how much of one parent is kept. All of it is counted.
const maxAttention = 16

// Attention is something about a parent, as its last pass has found it.
type Attention struct {
	Kind AttentionKind
	// Parent names the parent.
	Parent kube.Key
	// Child is the object that it is about, as KIND/NAMESPACE/NAME; empty for the parent itself.
	Child string
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
	totals  [attentionKinds]int
}

// parentAttention is what is to be said of one parent. It does not change.
type parentAttention struct {
	all    []Attention
	totals [attentionKinds]int
}

// Each calls visit with everything that is kept, in no order, and returns how much of each kind
// there is. visit must be quick: passes wait for it.
func (l *AttentionLog) Each(visit func(Attention)) (totals map[AttentionKind]int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, parent := range l.parents {
		for _, a := range parent.all {
			visit(a)
		}
	}
	totals = map[AttentionKind]int{}
	for kind, n := range l.totals {
		totals[AttentionKind(kind)] = n
	}
	return totals
}

// Of returns what is to be said of one parent. The caller must not change it.
func (l *AttentionLog) Of(parent types.UID) []Attention {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.parents[parent].all
}

// set replaces what is to be said of a parent. What was there before goes on since then.
func (l *AttentionLog) set(parent types.UID, all []Attention, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.parents[parent]
	if len(all) == 0 && len(before.all) == 0 {
		return
	}
	next := parentAttention{all: all[:min(len(all), maxAttention)]}
	for _, a := range all {
		next.totals[a.Kind]++
	}
	for i := range next.all {
		a := &next.all[i]
		a.Since = now
		same := func(old Attention) bool { return old.Kind == a.Kind && old.Child == a.Child }
		if at := slices.IndexFunc(before.all, same); at >= 0 {
			a.Since = before.all[at].Since
		}
	}
	l.replace(parent, before, next)
}

// replace puts one in the place of the other, which is what is there. l.mu is held.
func (l *AttentionLog) replace(parent types.UID, before, next parentAttention) {
	for kind := range l.totals {
		l.totals[kind] += next.totals[kind] - before.totals[kind]
	}
	if len(next.all) == 0 {
		if delete(l.parents, parent); len(l.parents) == 0 {
			l.parents = nil // A map never shrinks.
		}
		return
	}
	if l.parents == nil {
		l.parents = map[types.UID]parentAttention{}
	}
	l.parents[parent] = next
}

func (l *AttentionLog) forget(parent types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replace(parent, l.parents[parent], parentAttention{})
}

func (l *AttentionLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parents, l.totals = nil, [attentionKinds]int{}
}

// attending is a pass that has something to say.
type attending struct{ *pass }

// say replaces what is to be said of the parent, if the pass has found out how it is.
func (p attending) say() {
	if p.lost || p.rollout.came != passDone && p.rollout.came != passApart {
		return
	}
	p.Memory.Attention.set(p.parent.UID, p.found(), p.now())
}

// found is what is to be said.
func (p attending) found() (all []Attention) {
	add := func(kind AttentionKind, about ChildID, reason string) {
		a := Attention{Kind: kind, Parent: p.key, Reason: shorten(p.secrets.clean(reason))}
		if about.Name != "" {
			a.Child = about.path()
		}
		all = append(all, a)
	}
	conditions := p.said
	switch {
	case p.paused:
		add(AttentionHeld, ChildID{}, pausedMessage)
		return all
	case p.rollout.came == passDone && p.rollout.held:
		add(AttentionHeld, ChildID{}, "it keeps what it has until its turn in the rollout comes")
	case p.rollout.came == passDone:
		conditions = p.conditions()
	}
	for _, c := range conditions {
		if c.kind == conditionReady && !c.status {
			add(AttentionNotReady, ChildID{}, c.reason+": "+c.message)
		}
	}
	if p.rollout.came == passApart || p.rollout.held {
		return all
	}
	for _, f := range p.fights {
		add(AttentionFight, f.id, f.message)
	}
	for _, op := range p.ops {
		switch {
		case op.Reason == ReasonPruneHeld:
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

// path is the object as reports name it: "ConfigMap/team-a/web".
func (id ChildID) path() string {
	if id.Namespace == "" {
		return id.Kind.Kind + "/" + id.Name
	}
	return fmt.Sprintf("%s/%s/%s", id.Kind.Kind, id.Namespace, id.Name)
}
