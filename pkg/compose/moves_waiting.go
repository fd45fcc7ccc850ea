package compose

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/kube"
)

// awaiting is a parent of which another party has to report more.
type awaiting struct {
	key    kube.Key
	stale  bool      // the other party has not seen it as it is, and cannot be asked before it has
	since  uint64    // a report of a pass that began then is waited for, also an equal one; 0 for none
	behind time.Time // since when stale is true
}

// question is what a party is asked about a parent.
type question struct {
	state *state // of the parent, as it handles it next
	since uint64 // what it wants then is asked; 0 for whenever
}

func (q question) equal(other question) bool {
	return q.since == other.since && q.state.equal(other.state)
}

func newParty() *party {
	return &party{
		reports: map[types.UID]passReport{}, waiting: map[types.UID]awaiting{}, asked: map[types.UID]question{},
		unwanted: map[types.UID]map[ChildID]found{},
	}
}

// forget drops what is known of a parent.
func (p *party) forget(parent types.UID) {
	delete(p.reports, parent)
	delete(p.waiting, parent)
	delete(p.asked, parent)
	delete(p.unwanted, parent)
}

// lookAnew is called at the beginning of a pass, which finds out anew what the parent waits for.
func lookAnew(m *Moves, id string, parent types.UID) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parties[id]
	if p == nil {
		return
	}
	if a, waits := p.waiting[parent]; waits {
		p.waiting[parent] = awaiting{key: a.key, behind: a.behind} // A report since then calls it nevertheless.
	}
}

// momentOf is the time of what is found out from now on.
func momentOf(m *Moves) uint64 {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clock
}

// unwantedSince returns when a party was first found not to want these children of a parent, which
// there are. m.mu is held.
func unwantedSince(m *Moves, p *party, about parentRef, objects []ChildID) map[ChildID]found {
	if p == nil || about.state == nil {
		return nil
	}
	before, now := p.unwanted[about.UID], map[ChildID]found{}
	if about.composed == "" { // What is left behind is not wanted since a change of the file.
		for _, id := range objects {
			now[id] = found{version: about.since}
		}
		return now
	}
	for _, id := range objects {
		if first, known := before[id]; known {
			now[id] = first
		} else if !about.pending {
			now[id] = found{at: m.clock + 1, version: about.composed}
		}
	}
	m.clock = max(m.clock, lastOf(now).at)
	if p.unwanted[about.UID] = now; len(now) == 0 {
		delete(p.unwanted, about.UID)
	}
	return now
}

// lastOf returns what was found last.
func lastOf(all map[ChildID]found) (last found) {
	for _, one := range all {
		if one.at >= last.at {
			last = one
		}
	}
	return last
}

// wait notes that a definition waits for the report of another one about a parent, and returns what
// to call for that. The other one may have no reason for a pass of its own when its last report is
// about another state, or when there is none. It is asked once: a pass that fails is tried again in
// any case. m.mu is held.
func (m *Moves) wait(p, other *party, about parentRef, now relation) []func() {
	before := p.waiting[about.UID]
	p.waiting[about.UID] = awaiting{
		key: about.key, stale: before.stale || now.stale && !now.asks, since: max(before.since, now.since), behind: before.behind,
	}
	asked, there := other.asked[about.UID]
	if !now.asks || there && asked.equal(now.question) {
		return nil
	}
	calls := m.asking(other.Definition, about.key)
	if len(calls) > 0 {
		other.asked[about.UID] = now.question
	}
	return calls
}

// asking returns what asks for a pass, if there may be one. m.mu is held.
func (m *Moves) asking(id string, key kube.Key) []func() {
	r := m.active[id]
	if r == nil {
		return nil
	}
	return []func(){func() { r.call(key) }}
}
