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

// Moves lets children move between the definitions of one engine that all go on: from a donor to an
// heir, which has the donor's id in formerly. Both have to know what the other one wants of the
// same parent: the heir takes nothing that the donor wants, and the donor deletes nothing that the
// heir may take. So each says it at the end of its passes, and whoever waits for that is called
// then. What was said holds for one revision of a definition in one term: after a restart, a
// failover or a change of the file, it is said anew. It is safe for concurrent use.
type Moves struct {
	mu      sync.Mutex
	parties map[string]*party // donors and heirs, by id
	works   map[string]*work  // of all definitions that handle objects, by id
	clock   uint64            // counts the times when children were found not to be wanted any more
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

// party is a Party with what is known of it.
type party struct {
	Party
	words   map[types.UID]word     // by parent
	waiting map[types.UID]awaiting // parents that are called when another party says more of them
	asked   map[types.UID]question // parents that it was asked about, and of which it has said nothing since
	// unwanted are children that there are and that it does not want, with when that was found.
	unwanted map[types.UID]map[ChildID]found
}

// work is a revision of a definition that handles objects.
type work struct {
	digest  string
	parents Source
	call    func(kube.Key) // asks for a pass
	listed  bool           // as it was when it was looked at last
}

// subject is a parent that two definitions may have children of.
type subject struct {
	Parent
	key    kube.Key
	labels labels.Set // nil where they are not known
	state  *state     // nil where it is not known
	// pending is true when not all is known that the definition wants.
	pending  bool
	version  string // the newest that is known; empty where none is
	composed string // that which the composer has seen
	// since is the version from which on the definition does not want what it is asked about; empty
	// where that makes no difference.
	since string
}

// found is when something was found out about a parent.
type found struct {
	at      uint64 // as Moves count
	version string // of the parent, as the composer has seen it
}

// NewMoves returns one without definitions.
func NewMoves() *Moves { return &Moves{parties: map[string]*party{}, works: map[string]*work{}} }

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
	run(calls)
}

// Begin notes that a revision handles objects from now on. It may be called before all caches are
// complete. call asks for a pass for a parent.
func (m *Moves) Begin(id, digest string, parents Source, call func(kube.Key)) {
	m.mu.Lock()
	m.works[id] = &work{digest: digest, parents: parents, call: call, listed: parents.Listed()}
	if p := m.parties[id]; p != nil {
		clear(p.asked)
	}
	calls := m.wakeAll(m.related(id))
	m.mu.Unlock()
	run(calls)
}

// end notes that a revision does not handle objects any more.
func (m *Moves) end(id, digest string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.works[id]; w == nil || w.digest != digest {
		return // Another one does.
	}
	delete(m.works, id)
	if p := m.parties[id]; p != nil {
		clear(p.words)
		clear(p.waiting)
		clear(p.asked)
		clear(p.unwanted)
	}
}

// Look is called when the cache of a definition's parents may have become complete, or not so.
func (m *Moves) Look(id string) {
	m.mu.Lock()
	w := m.works[id]
	var calls []func()
	if w != nil && w.listed != w.parents.Listed() {
		w.listed = !w.listed
		calls = m.wakeAll(m.related(id))
	}
	m.mu.Unlock()
	run(calls)
}

// say notes what a definition says of a parent, and calls for it where that is waited for. One that
// cannot tell all wants what it wanted before.
func (m *Moves) say(id string, parent types.UID, said word) {
	m.mu.Lock()
	p := m.parties[id]
	if p == nil {
		m.mu.Unlock()
		return
	}
	before, there := p.words[parent]
	if !said.known {
		said.wants, said.outcomes = before.wants, before.outcomes
	}
	if !said.noted {
		said.done = before.done
	}
	p.words[parent] = said
	delete(p.asked, parent)
	calls := m.wake(m.related(id), parent, func(a awaiting) bool {
		return !there || !said.equal(before) || a.since > 0 && a.since <= said.began
	})
	m.mu.Unlock()
	run(calls)
}

// forget drops what a definition has said of a parent that it does not handle any more.
func (m *Moves) forget(id string, parent types.UID) {
	m.mu.Lock()
	var calls []func()
	if p := m.parties[id]; p != nil {
		p.forget(parent)
		calls = m.wake(m.related(id), parent, nil) // They may have waited for the first word.
	}
	m.mu.Unlock()
	run(calls)
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

// run calls functions. No lock is held.
func run(calls []func()) {
	for _, call := range calls {
		call()
	}
}
