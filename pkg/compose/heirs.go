package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kept says why a child of another definition is not taken over.
type Kept struct {
	// Wanted is true when the other definition wants it itself. If it is false, that is not known
	// yet.
	Wanted bool
	// Message says more for a person.
	Message string
}

// relation is what a definition has to do with a parent.
type relation struct {
	handles  bool   // it handles the parent, or may do so when it can work
	upToDate bool   // it handles objects as the file says
	parents  Source // of the revision that handles objects, where upToDate is true
	reported bool   // there is a report of it, of whatever revision
	unseen   bool   // its cache may get the parent, which is not in it, in a moment
	stale    bool   // it has not seen the parent as it is
	asks     bool   // its next pass reports more
	question
	report passReport // known is true only if it is about this state, of the revision that the file has
}

// relationTo finds out what a party has to do with a parent. m.mu is held.
func (m *Moves) relationTo(p *party, about parentRef) relation {
	r := m.active[p.Definition]
	now := relation{upToDate: r != nil && r.digest == p.Digest}
	if now.upToDate {
		now.parents = r.parents
	}
	if !mayHandle(p, r, about) && (r == nil || now.upToDate) {
		return now
	}
	if now.upToDate && r.parents.Listed() {
		isBehind := r.isBehind(p, about) // The parent may come between the two questions.
		if _, there := r.parents.GetByUID(about.UID); !there {
			now.handles, now.unseen, now.stale = isBehind, isBehind, isBehind
			return now
		}
	}
	now.handles = true
	now.report, now.reported = p.reports[about.UID]
	now.asks = now.upToDate && !now.reported
	if now.upToDate {
		now.state = r.next(p.Installation, about.UID)
	}
	if !now.upToDate || now.report.digest != p.Digest {
		now.report.known, now.report.noted = false, false
		return now
	}
	var asks bool
	now.stale, asks = isStale(now.report, now.state, about)
	if now.asks = now.asks || asks; now.stale {
		now.report.known = false
	}
	return now
}

// isBehind reports whether the cache of a party's parents is older than the parent that is asked
// about. The version of that is the newest where labels alone select it: its changes are events of
// the cache. A selector of fields may leave it out. Then nothing but bookmarks brings the cache
// forward, and the parent may change more often than they come. So the version is the one since
// when it matters.
func (r *activeRevision) isBehind(p *party, about parentRef) bool {
	version := about.version
	if p.Selection.Fields != nil {
		version = about.since
	}
	return version != "" && !r.parents.Reached(about.key, version)
}

// sinceThen returns a relation in which a report counts only if its pass began since then, and is
// about no older version of the parent.
func (r relation) sinceThen(about parentRef, since found) relation {
	if !r.report.isSettled() || r.report.began >= since.at && !isOlder(r.report.version, since.version) {
		return r
	}
	r.report.known, r.since = false, since.at
	r.asks = r.parents.Reached(about.key, since.version)
	r.stale = r.stale || !r.asks // It would report the same of the same version.
	return r
}

// mayHave reports whether a parent may be one that is handled, by what is known without a cache.
func (s Selection) mayHave(about parentRef) bool {
	return s.Kind.GroupKind() == about.Kind.GroupKind() &&
		(len(s.Namespaces) == 0 || slices.Contains(s.Namespaces, about.Namespace)) &&
		(s.Labels == nil || about.labels == nil || s.Labels.Matches(about.labels))
}

// mayHandle reports whether a parent may be one that a party handles. Its labels may have changed
// since they were seen: what the cache of the party has, where that is as new, beats them. r is the
// revision that handles objects; nil for none.
func mayHandle(p *party, r *activeRevision, about parentRef) bool {
	if p.Selection.mayHave(about) {
		return true
	}
	about.labels = nil
	if r == nil || r.digest != p.Digest || !p.Selection.mayHave(about) || about.version == "" || !r.parents.Reached(about.key, about.version) {
		return false
	}
	_, there := r.parents.GetByUID(about.UID)
	return there
}

// kept says of children of donors why an heir does not take them. made has the ids of the
// definitions that have made them.
func (m *Moves) kept(heir string, about parentRef, made map[ChildID]string) map[ChildID]Kept {
	all := map[ChildID]Kept{}
	var calls []func()
	m.mu.Lock()
	p := m.parties[heir]
	for id, maker := range made {
		donor := m.donorOf(p, maker)
		if donor == nil { // The change of the file that says so is under way.
			all[id] = Kept{Message: fmt.Sprintf("it waits until definition %s goes on", maker)}
			continue
		}
		now := m.relationTo(donor, about)
		switch wants := now.report.wants[id]; {
		case !now.handles, now.report.known && !wants:
			continue
		case now.report.known:
			all[id] = Kept{Wanted: true, Message: fmt.Sprintf("definition %s wants it, too", donor.Definition)}
		default:
			all[id] = Kept{Message: fmt.Sprintf("it waits until definition %s, which has made it, %s", donor.Definition, says(now))}
		}
		calls = append(calls, m.wait(p, donor, about, now)...)
	}
	m.mu.Unlock()
	callAll(calls)
	return all
}

// says is what a definition has to do before others can go on.
func says(now relation) string {
	switch {
	case !now.upToDate:
		return "works as the file says"
	case now.unseen:
		return "has seen the parent"
	case now.reported:
		return "knows all that it wants of the parent"
	default:
		return "has handled the parent"
	}
}

// donorOf returns the donor of a party that has, or has had, an id; nil for none. m.mu is held.
func (m *Moves) donorOf(p *party, id string) *party {
	if p == nil {
		return nil
	}
	for _, name := range p.Donors {
		if donor := m.parties[name]; donor != nil && donor.has(id) {
			return donor
		}
	}
	return nil
}

// donorsOf are the ids that the donors of a definition have or have had.
func (m *Moves) donorsOf(heir string) (ids []string) {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parties[heir]
	if p == nil {
		return nil
	}
	for _, name := range p.Donors {
		ids = append(ids, name)
		if donor := m.parties[name]; donor != nil {
			ids = append(ids, donor.Formerly...)
		}
	}
	return ids
}

// doneBy returns what the donors of a definition have noted of children that have finished. waits
// says why that is not known; empty if it is.
func (m *Moves) doneBy(heir string, about parentRef) (done map[string]string, waits string) {
	var calls []func()
	m.mu.Lock()
	p := m.parties[heir]
	done = map[string]string{}
	for i := 0; p != nil && i < len(p.Donors); i++ {
		donor := m.parties[p.Donors[i]]
		if donor == nil {
			continue
		}
		now := m.relationTo(donor, about)
		maps.Copy(done, now.report.done)
		if now.handles && !now.report.noted {
			waits = fmt.Sprintf("it waits until definition %s, which may have run it, %s", donor.Definition, says(now))
			calls = append(calls, m.wait(p, donor, about, now)...)
		}
	}
	m.mu.Unlock()
	callAll(calls)
	return done, waits
}

// heirClaim is why an object of a donor is not deleted.
type heirClaim struct {
	why     string
	settled bool // the heir has reported that it takes it over; if not, it may do so
}

// claimed says of objects of a donor why they are not deleted: an heir takes them over, or may do
// so.
func (m *Moves) claimed(donor string, about parentRef, objects []ChildID) map[ChildID]string {
	all := map[ChildID]string{}
	for id, claim := range heirClaims(m, donor, about, objects) {
		all[id] = claim.why
	}
	return all
}

// heirClaims is claimed that also says what is settled.
func heirClaims(m *Moves, donor string, about parentRef, objects []ChildID) map[ChildID]heirClaim {
	if m == nil {
		return nil
	}
	all := map[ChildID]heirClaim{}
	var calls []func()
	m.mu.Lock()
	p := m.parties[donor]
	since := unwantedSince(m, p, about, objects)
	about.since = lastOf(since).version
	for _, heir := range m.heirsOf(p) {
		now := m.relationTo(heir, about)
		if !now.handles || !mayHandle(heir, m.active[heir.Definition], about) {
			continue
		}
		for _, id := range objects {
			if _, found := all[id]; found {
				continue
			}
			claim, now := leftTo(heir, now, about, id, since[id])
			if claim.why != "" {
				all[id] = claim
				calls = append(calls, m.wait(p, heir, about, now)...)
			}
		}
	}
	m.mu.Unlock()
	callAll(calls)
	return all
}

// leftTo says why an object of a donor is not deleted because of one heir; empty if it may be. The
// report of the heir that it does not want it counts only if it is of a time when the donor did not
// want it either: what makes one of them drop it may make the other one want it.
func leftTo(heir *party, now relation, about parentRef, id ChildID, since found) (heirClaim, relation) {
	mayTake := slices.Contains(heir.Owns, id.Kind)
	switch {
	case now.report.isSettled() && now.report.wantsIn(id):
		return heirClaim{why: fmt.Sprintf("definition %s wants children in it", heir.Definition), settled: true}, now
	case now.report.isSettled() && mayTake && now.report.wants[id]:
		return heirClaim{why: fmt.Sprintf("definition %s takes it over", heir.Definition), settled: true}, now
	}
	now = now.sinceThen(about, since)
	if now.report.isSettled() || !mayTake && id.Kind != namespaceGroupKind { // Its kinds do not say where its children are.
		return heirClaim{}, now
	}
	return heirClaim{why: fmt.Sprintf("it waits until definition %s, which may take it over, %s", heir.Definition, says(now))}, now
}

// wantsIn reports whether an object is a namespace in which there is something that is wanted.
func (r passReport) wantsIn(id ChildID) bool {
	if id.Kind != namespaceGroupKind {
		return false
	}
	for wanted := range r.wants {
		if wanted.Namespace == id.Name {
			return true
		}
	}
	return false
}

// heirsOf are the definitions that have a party as their donor, in the order of their ids. m.mu is
// held.
func (m *Moves) heirsOf(p *party) (heirs []*party) {
	if p == nil {
		return nil
	}
	for _, other := range m.parties {
		if slices.Contains(other.Donors, p.Definition) {
			heirs = append(heirs, other)
		}
	}
	slices.SortFunc(heirs, func(a, b *party) int { return strings.Compare(a.Definition, b.Definition) })
	return heirs
}

// isDonor reports whether there are definitions that may take over what one has made.
func isDonor(m *Moves, id string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.heirsOf(m.parties[id])) > 0
}

// needsNote reports whether a donor has to go on to note that a child has finished which it does
// not want any more: an heir may want it, and has not noted it. noted returns what a definition has
// noted of the parent.
func (m *Moves) needsNote(donor string, about parentRef, said string, noted func(id string) map[string]string) bool {
	if m == nil {
		return false
	}
	var calls []func()
	defer func() { callAll(calls) }()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parties[donor]
	outcome := strings.TrimPrefix(said, hasFailed)
	about.since = about.version // To keep a note for longer than it is needed does no harm.
	for _, heir := range m.heirsOf(p) {
		now := m.relationTo(heir, about)
		switch {
		case !now.handles || !mayHandle(heir, m.active[heir.Definition], about):
		case !now.report.isSettled():
			calls = append(calls, m.wait(p, heir, about, now)...)
			return true
		case slices.Contains(now.report.outcomes, outcome) && !hasNoted(noted(heir.Definition), outcome):
			return true // Its note is a change of the parent.
		}
	}
	return false
}

func hasNoted(noted map[string]string, outcome string) bool {
	for _, said := range noted {
		if strings.TrimPrefix(said, hasFailed) == outcome {
			return true
		}
	}
	return false
}
