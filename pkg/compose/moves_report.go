package compose

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

const (
	// staleInterval is after how long a parent is looked at again that another definition has not
	// seen as it is. Mostly, what that says of it comes first. When it does not, each look comes
	// when the wait has taken twice as long, up to lastStaleInterval: a cache that has none of the
	// objects which change is brought forward by bookmarks alone, which come each minute.
	staleInterval     = time.Second
	lastStaleInterval = 15 * time.Second
)

// passReport is what a definition reports of a parent at the end of a pass.
type passReport struct {
	digest string // of the revision
	state  *state // of the parent, as its composer has seen it
	began  uint64 // when the composer was asked, as Moves count
	// version is the resourceVersion of the parent, as its composer has seen it.
	version string
	known   bool // wants is complete; false: there may be more
	// failing is true when some of what it wants could not be applied.
	failing bool
	noted   bool // done is all that has finished
	wants   map[ChildID]bool
	// outcomes are what would be noted of its children that finish, if they had.
	outcomes []string
	// done is what is noted of those of its children that have finished, by name.
	done map[string]string
}

func (r passReport) equal(other passReport) bool {
	return r.digest == other.digest && r.state.equal(other.state) && r.known == other.known && r.failing == other.failing && r.noted == other.noted &&
		maps.Equal(r.wants, other.wants) && slices.Equal(r.outcomes, other.outcomes) && maps.Equal(r.done, other.done)
}

// isSettled reports whether it is known what becomes of what the definition does not have yet.
func (r passReport) isSettled() bool { return r.known && !r.failing }

// state is what of a parent a composer may go by, without what kooperd itself writes. The reports
// of two definitions can be compared only where they are about the same state.
type state struct {
	generation int64
	version    string // where there are no generations, the resourceVersion
	metadata   [sha256.Size]byte
}

func stateOf(installation string, meta *metav1.ObjectMeta) *state {
	s := &state{generation: meta.Generation}
	if s.generation == 0 {
		s.version = meta.ResourceVersion
	}
	hash := sha256.New()
	add := func(texts map[string]string, but string) {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			if but == "" || !strings.HasPrefix(name, but) {
				hash.Write(fmt.Appendf(nil, "%q:%q,", name, texts[name]))
			}
		}
	}
	add(meta.Labels, "")
	hash.Write([]byte{'\n'})
	add(meta.Annotations, DoneAnnotation(installation, ""))
	hash.Sum(s.metadata[:0])
	return s
}

// equal reports whether two states are the same. One that is not known is equal to none but itself.
func (s *state) equal(other *state) bool {
	if s == nil || other == nil {
		return s == other
	}
	return *s == *other
}

// next is the state of a parent that is handled next; nil if it is not known.
func (r *activeRevision) next(installation string, parent types.UID) *state {
	now, there := r.parents.GetByUID(parent)
	if !there {
		return nil
	}
	return stateOf(installation, now.Metadata())
}

// isStale reports whether a report is about another state of the parent than that which is asked
// about, or that which is handled next. If the next pass reports more, asks is true.
func isStale(last passReport, next *state, about parentRef) (stale, asks bool) {
	if last.state == nil {
		return false, false
	}
	asks = next != nil && !next.equal(last.state)
	return asks || about.state != nil && !about.state.equal(last.state), asks
}

// awaitsSameState returns after how long to look at a parent again because another definition has
// not seen it as it is; 0 for never. The cache of one of them may be behind, and its event may call
// nobody.
func awaitsSameState(m *Moves, id string, parent types.UID, now time.Time) time.Duration {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.parties[id]
	if p == nil {
		return 0
	}
	a, waits := p.waiting[parent]
	switch {
	case !waits:
		return 0
	case !a.stale:
		a.behind = time.Time{}
	case a.behind.IsZero():
		a.behind = now
	}
	p.waiting[parent] = a
	if !a.stale {
		return 0
	}
	return min(max(now.Sub(a.behind), staleInterval), lastStaleInterval)
}

// isOlder reports whether one version of an object is certainly older than another.
func isOlder(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}
