package compose

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Rollout lets the parents of one definition have what is desired a few at a time. Each pass of a
// parent asks before it changes something, and says at its end how the parent is. Whoever is held
// is called when it may go on. It has to know how every parent is before a first one is changed, so
// it waits for a pass of each; these write nothing where the answer is that the parent is held.
// Nothing of it is stored: after a restart, the marks of the children say which parents have what
// is desired. The revisions of a definition share it. It is safe for concurrent use.
type Rollout struct {
	mu      sync.Mutex
	now     func() time.Time
	term    rolloutTerm
	all     rolledParents
	looking *rolloutLook // while somebody looks for all parents, without mu; else nil
	timer   *time.Timer  // at the next moment when one more is overdue; nil for none
	told    rolloutProgress
	notify  func() // called when it is another one than told; nil for none
}

// rolloutProgress is how far a rollout is. Each pass asks for it, so it names no parents: there may
// be thousands. As each change is one of these numbers, other names come with another progress.
type rolloutProgress struct {
	RolloutCounts
	current, held int
	seen          bool   // something is known of every parent
	why           string // one that is ready is held; empty while it is not
}

// rolloutTerm is a revision that handles parents.
type rolloutTerm struct {
	limits  *config.Rollout // nil: nobody is held
	digest  string          // of the revision
	metrics *telemetry.Rollout
	exists  func() []kube.Key // the parents that take part, when all are in the cache
	call    func(kube.Key)    // asks for a pass
}

// rolloutLook is a look at all parents that there are.
type rolloutLook struct {
	gone map[kube.Key]struct{} // those that went meanwhile, or are left alone since
}

// rolloutQuestion is what a pass asks for a parent that has not what is desired.
type rolloutQuestion struct {
	key        kube.Key
	uid        types.UID
	digest     string // of the revision that asks
	desired    string // hash of what is desired
	generation int64
	ready      bool             // the parent is ready as it is
	isNew      func() bool      // it has no children, and had none
	wished     func() bool      // its status is about an earlier specification of its own
	since      func() time.Time // when it was first not ready
}

// rolloutWord is what a pass says of its parent at its end.
type rolloutWord struct {
	key        kube.Key
	uid        types.UID
	digest     string // of the revision that says it
	desired    string // hash of what is desired
	generation int64
	apart      bool             // it is left alone, or is no parent any more
	held       bool             // it was told so
	current    bool             // it has what is desired
	ready      bool             // it is ready
	since      func() time.Time // when it was first not ready
}

// begin notes that a revision handles parents from now on. Which of them have what is desired has
// to be said anew. Those that are on their way are taken not to be ready until they say so.
func (r *Rollout) begin(term rolloutTerm) {
	r.mu.Lock()
	defer r.unlock()
	if r.term = term; term.limits == nil {
		r.all, r.looking = rolledParents{}, nil
		term.metrics.Remove()
		return
	}
	r.all.unseen, r.looking = nil, nil
	for _, e := range r.all.byUID {
		r.all.change(e, func() {
			e.ready = e.ready && !e.moving
			e.current, e.moving, e.settling, e.called, e.seen = false, false, false, false, false
		})
	}
	r.all.unsaid = len(r.all.byUID)
}

// isOn reports whether there are bounds.
func (r *Rollout) isOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.term.limits != nil
}

// look finds out which parents there are, once for each revision. That may take long where there
// are many, with a condition, so nobody else waits for it: until it is known, all are held.
func (r *Rollout) look(digest string) {
	r.mu.Lock()
	if r.term.limits == nil || r.term.digest != digest || r.all.unseen != nil || r.looking != nil {
		r.mu.Unlock()
		return
	}
	look, exists := &rolloutLook{gone: map[kube.Key]struct{}{}}, r.term.exists
	r.looking = look
	r.mu.Unlock()
	keys := exists()
	r.mu.Lock()
	defer r.unlock()
	if r.looking == look {
		r.looking = nil
		r.all.look(keys, look.gone)
	}
}

// holds reports whether a parent that has not what is desired is held. Else it is on its way.
func (r *Rollout) holds(q rolloutQuestion) bool {
	r.look(q.digest)
	r.mu.Lock()
	defer r.unlock()
	if r.term.limits == nil {
		return false
	}
	if q.digest != r.term.digest {
		return true // The revision that handles it from now on decides.
	}
	e, known := r.all.byUID[q.uid]
	r.all.see(q.key, e)
	if known && e.desired != "" && e.desired == q.desired {
		return false // What is desired is the same: another party has changed something.
	}
	if !known {
		e = r.all.add(q.uid, q.key, q.generation)
	}
	if q.generation != e.generation {
		e.wished, e.generation = true, q.generation
	}
	r.all.change(e, func() {
		if e.current = false; !e.moving && !e.settling {
			e.ready = q.ready
		}
		if !e.ready && e.since.IsZero() {
			e.since = q.since()
		}
	})
	free := e.moving || e.settling || e.wished || e.desired == "" && q.isNew() || q.wished()
	if !free && (!r.all.allSeen() || r.counts().Held(*r.term.limits, e.ready) != "") {
		r.all.hold(e)
		return true
	}
	r.all.change(e, func() { e.moving, e.settling, e.desired = true, false, "" })
	return false
}

// say notes how a parent is after a pass.
func (r *Rollout) say(w rolloutWord) {
	r.mu.Lock()
	defer r.unlock()
	if r.term.limits == nil || w.digest != r.term.digest {
		return
	}
	e, known := r.all.byUID[w.uid]
	r.all.see(w.key, e)
	if w.apart {
		r.leave(w.key, w.uid)
		return
	}
	if w.held {
		return // The question has told all.
	}
	if !known {
		e = r.all.add(w.uid, w.key, w.generation)
	}
	r.all.release(e) // One that fails is called by its retry.
	r.all.change(e, func() {
		if e.ready = w.ready; !e.ready && e.since.IsZero() {
			e.since = w.since()
		}
		if w.current {
			e.settling = !e.ready && (e.moving || e.settling)
			e.current, e.moving, e.wished, e.desired = true, false, false, w.desired
		} else if w.generation != e.generation {
			e.wished = true // The status may say by now that the change was seen.
		}
		e.generation = w.generation
	})
}

// forget drops a parent that is gone; uid may be empty.
func (r *Rollout) forget(key kube.Key, uid types.UID) {
	r.mu.Lock()
	defer r.unlock()
	r.leave(key, uid)
}

// leave drops a parent that is gone, or takes no part. r.mu is held.
func (r *Rollout) leave(key kube.Key, uid types.UID) {
	delete(r.all.unseen, key)
	if r.looking != nil {
		r.looking.gone[key] = struct{}{}
	}
	r.all.remove(uid)
}

// clear forgets everything, when this replica stops handling parents.
func (r *Rollout) clear() {
	r.mu.Lock()
	defer r.unlock()
	if r.term.limits != nil {
		r.term.metrics.Set(0, 0, 0)
	}
	r.all, r.term, r.looking = rolledParents{}, rolloutTerm{}, nil
}

// unlock tells what has changed, calls those that may go on, and unlocks r.mu.
func (r *Rollout) unlock() {
	var calls []kube.Key
	if r.term.limits != nil {
		held := r.all.held()
		r.term.metrics.Set(r.all.current, len(r.all.byUID)-r.all.current-held, held)
		calls = r.wake()
	}
	var notify func()
	if now := r.progress(); now != r.told {
		r.told, notify = now, r.notify
	}
	call := r.term.call
	r.setTimer()
	r.mu.Unlock()
	for _, key := range calls {
		call(key)
	}
	if notify != nil {
		notify()
	}
}

// setTimer sees to it that it is told when a rollout is paused because time has passed. r.mu is
// held.
func (r *Rollout) setTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.term.limits == nil || r.term.limits.PauseWhen == nil || r.all.held() == 0 {
		return
	}
	if _, next := r.all.overdue(r.now(), r.term.limits.PauseWhen.LongerThan); next > 0 {
		r.timer = time.AfterFunc(next, func() {
			r.mu.Lock()
			r.unlock()
		})
	}
}

// HasUpdated reports whether a parent has what is desired, as far as a pass has said so since the
// revision handles parents. Without bounds, nobody waits for that.
func (r *Rollout) HasUpdated(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.all.byUID[uid]
	return r.term.limits == nil || e != nil && e.current
}

// counts are what is known. r.mu is held.
func (r *Rollout) counts() RolloutCounts {
	c := RolloutCounts{Parents: r.all.number(), Unavailable: len(r.all.down), Moved: r.all.moved}
	if pause := r.term.limits.PauseWhen; pause != nil {
		c.Overdue, _ = r.all.overdue(r.now(), pause.LongerThan)
	}
	return c
}

// wake chooses who may go on: first those that are not ready as they are. r.mu is held.
func (r *Rollout) wake() (keys []kube.Key) {
	if !r.all.allSeen() || r.all.held() == 0 {
		return nil
	}
	counts := r.counts()
	for _, queue := range r.all.queue {
		for _, e := range queue {
			if counts.Held(*r.term.limits, e.ready) != "" {
				break
			}
			if counts = counts.moves(e.ready); !e.called {
				e.called, keys = true, append(keys, e.key)
			}
		}
	}
	return keys
}

// progress is how far the rollout is; zero while nobody is held. r.mu is held.
func (r *Rollout) progress() rolloutProgress {
	held := r.all.held()
	if r.term.limits == nil || held == 0 {
		return rolloutProgress{}
	}
	c := r.counts()
	return rolloutProgress{RolloutCounts: c, current: r.all.current, held: held, seen: r.all.allSeen(), why: c.Held(*r.term.limits, true)}
}

// Describe says how far a rollout is; empty while no parent is held.
func (r *Rollout) Describe() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress()
	if p.held == 0 {
		return ""
	}
	text := fmt.Sprintf("rollout: of %d parents, %d are updated and ready, %d are held", p.Parents, p.current, p.held)
	switch {
	case !p.seen:
		text += "; all have to be looked at before one is changed"
	case p.why != "":
		text += "; " + p.why + ": " + r.all.nameDown()
	}
	return text
}

// OnChanged makes changed be called when Describe may return something else. It is called before
// the first pass.
func (r *Rollout) OnChanged(changed func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify = changed
}
