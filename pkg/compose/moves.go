package compose

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// Moves lets a child pass from one running definition, its donor, to another one, its heir, which
// has the id of the donor in formerly. The heir takes only what the donor does not want. The donor
// deletes only what the heir does not want. So each definition reports at the end of its pass for a
// parent which children it wants, and a definition that waits for such a report is called for the
// parent again. A report counts for one revision of a definition in one term. After a restart, a
// failover, or a change of the file, there are none. Moves is safe for concurrent use.
type Moves struct {
	mu      sync.Mutex
	parties map[string]*party          // donors and heirs, by id
	active  map[string]*activeRevision // of all definitions that handle objects, by id
	clock   uint64                     // counts the times when children were found not to be wanted any more
}

// Party is a definition as the file has it.
type Party struct {
	// Identity is which children are those of the definition. Only those of its former ids count
	// that no other definition has.
	Identity
	// Donors are the ids of definitions that go on, and whose children it may take over.
	Donors []string
	// Digest stands for all that the file says of the definition.
	Digest string
	// Selection is which parents it handles.
	Selection Selection
	// Owns are the kinds of its children.
	Owns []schema.GroupKind
}

// Membership is what a definition has to do with those that children may come from and go to.
type Membership struct {
	// Moves has all of them; nil for none.
	Moves *Moves
	// Digest stands for all that the file says of the definition.
	Digest string
}

// party is a Party and what is known of it.
type party struct {
	Party
	reports map[types.UID]passReport // by parent
	waiting map[types.UID]awaiting   // parents for which it is called when another party reports more
	asked   map[types.UID]question   // parents for which a report was asked for, and is not there yet
	// unwanted are children that there are and that it does not want, with when that was found.
	unwanted map[types.UID]map[ChildID]found
}

// activeRevision is the revision of a definition that handles objects.
type activeRevision struct {
	digest  string
	parents Source
	call    func(kube.Key) // asks for a pass
	listed  bool           // as it was when it was looked at last
	// reconciler knows the children.
	reconciler *Reconciler
}

// parentRef is a parent of which two definitions may have children, as one of them knows it.
type parentRef struct {
	Parent
	key    kube.Key
	labels labels.Set // nil where they are not known
	state  *state     // nil where it is not known
	// pending is true when not all is known that the definition wants.
	pending  bool
	version  string // the newest resourceVersion that is known; empty where none is
	composed string // the one that the composer has seen; empty where none is asked
	// since is the one from which on the definition does not want some of its children; empty where
	// that makes no difference. Of what is left behind it is the first that was seen since.
	since string
}

// found is when something was found out about a parent.
type found struct {
	at      uint64 // as Moves count
	version string // of the parent, as the composer has seen it
}

// NewMoves returns one without definitions.
func NewMoves() *Moves {
	return &Moves{parties: map[string]*party{}, active: map[string]*activeRevision{}}
}

// Set says which definitions there are from now on.
func (m *Moves) Set(all []Party) {
	gives := map[string]bool{}
	for _, p := range all {
		for _, id := range p.Donors {
			gives[id] = true
		}
	}
	next := map[string]*party{}
	m.mu.Lock()
	for _, p := range all {
		if len(p.Donors) == 0 && !gives[p.Definition] {
			continue
		}
		known := m.parties[p.Definition]
		if known == nil {
			known = newParty()
		}
		known.Party = p
		next[p.Definition] = known
	}
	calls := m.wakeAll(slices.Collect(maps.Keys(m.parties))) // Those that end to be a donor, too.
	m.parties = next
	m.mu.Unlock()
	callAll(calls)
}

// Begin notes that a revision handles objects from now on. It may be called before all caches are
// complete. call asks for a pass for a parent.
func (m *Moves) Begin(r *Reconciler, call func(kube.Key)) {
	m.mu.Lock()
	m.active[r.Definition] = &activeRevision{digest: r.Digest, parents: r.Parents, call: call, listed: r.Parents.Listed(), reconciler: r}
	if p := m.parties[r.Definition]; p != nil {
		clear(p.asked)
	}
	calls := m.wakeAll(m.related(r.Definition))
	m.mu.Unlock()
	callAll(calls)
}

// end notes that a revision does not handle objects any more.
func (m *Moves) end(id, digest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.active[id]; r == nil || r.digest != digest {
		return // Another one does.
	}
	delete(m.active, id)
	if p := m.parties[id]; p != nil {
		clear(p.reports)
		clear(p.waiting)
		clear(p.asked)
		clear(p.unwanted)
	}
}

// Look is called when the cache of a definition's parents may have become complete, or not so.
func (m *Moves) Look(id string) {
	m.mu.Lock()
	r := m.active[id]
	var calls []func()
	if r != nil && r.listed != r.parents.Listed() {
		r.listed = !r.listed
		calls = m.wakeAll(m.related(id))
	}
	m.mu.Unlock()
	callAll(calls)
}

// report takes the report of a definition about a parent, and calls the definitions that wait for
// it. A definition that does not know all that it wants still wants what it wanted before.
func (m *Moves) report(id string, parent types.UID, now passReport) {
	m.mu.Lock()
	p := m.parties[id]
	if p == nil {
		m.mu.Unlock()
		return
	}
	before, there := p.reports[parent]
	if !now.known {
		now.wants, now.outcomes = before.wants, before.outcomes
	}
	if !now.noted {
		now.done = before.done
	}
	p.reports[parent] = now
	delete(p.asked, parent)
	calls := m.wake(m.related(id), parent, func(a awaiting) bool {
		return !there || !now.equal(before) || a.since > 0 && a.since <= now.began
	})
	m.mu.Unlock()
	callAll(calls)
}

// forget drops the report of a definition about a parent that it does not handle any more.
func (m *Moves) forget(id string, parent types.UID) {
	m.mu.Lock()
	var calls []func()
	if p := m.parties[id]; p != nil {
		p.forget(parent)
		calls = m.wake(m.related(id), parent, nil) // They may have waited for the first report.
	}
	m.mu.Unlock()
	callAll(calls)
}

// isCurrent reports whether a revision of a definition is what the file says.
func isCurrent(m *Moves, id, digest string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parties[id]
	return p != nil && p.Digest == digest
}

// Concerns reports whether children may move between the definition of that id and others.
func (m *Moves) Concerns(id string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parties[id] != nil
}

// related are the ids of the donors and heirs of a definition. m.mu is held.
func (m *Moves) related(id string) (ids []string) {
	for other, p := range m.parties {
		if other != id && (slices.Contains(p.Donors, id) || m.parties[id] != nil && slices.Contains(m.parties[id].Donors, other)) {
			ids = append(ids, other)
		}
	}
	return ids
}

// wake returns what to call so that definitions look at a parent again that waits for this; nil for
// whatever it waits for. m.mu is held.
func (m *Moves) wake(ids []string, parent types.UID, isFor func(awaiting) bool) (calls []func()) {
	for _, id := range ids {
		p := m.parties[id]
		if a, waits := p.waiting[parent]; waits && (isFor == nil || isFor(a)) {
			delete(p.waiting, parent)
			calls = append(calls, m.asking(id, a.key)...)
		}
	}
	return calls
}

// wakeAll is wake for all parents. m.mu is held.
func (m *Moves) wakeAll(ids []string) (calls []func()) {
	for _, id := range ids {
		for parent := range m.parties[id].waiting {
			calls = append(calls, m.wake([]string{id}, parent, nil)...)
		}
	}
	return calls
}

// callAll calls functions. No lock is held.
func callAll(calls []func()) {
	for _, call := range calls {
		call()
	}
}
