package compose

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

const (
	// leaveInterval is after how long a parent that has left is looked at, and again until its
	// children are gone: their events call nobody. Each time it takes twice as long as before, up
	// to lastLeaveInterval. The first wait lets those come together that are deleted at once.
	leaveInterval     = time.Second
	lastLeaveInterval = time.Minute
	// heirInterval is for how long nothing is asked of the API server about a parent all of whose
	// children wait for another definition. What that says of it ends the wait.
	heirInterval = 5 * time.Minute
)

// Leavers are parents that are gone, or are not selected any more. The zero Leavers is ready for
// use. It is safe for concurrent use.
type Leavers struct {
	sifting sync.Mutex // held while it is found out which are gone

	mu      sync.Mutex
	parents map[kube.Key]leaver
}

// leaver is a parent that was found to be not selected any more.
type leaver struct {
	handlers.Object
	interval time.Duration // after which it is looked at again; 0 for one that is new
	exists   bool          // a list has had it since it was noted
	awaits   awaitedHeirs
}

// awaitedHeirs are the children that nothing but another definition decides on.
type awaitedHeirs struct {
	children []ChildID
	until    time.Time // until when that is taken for granted
}

// Note adds a parent as it was known last.
func (l *Leavers) Note(parent handlers.Object) {
	key := kube.Key{Namespace: parent.Namespace(), Name: parent.Name()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parents == nil {
		l.parents = map[kube.Key]leaver{}
	}
	if before, ok := l.parents[key]; !ok || before.UID() != parent.UID() {
		l.parents[key] = leaver{Object: parent}
	}
}

// Get returns the parent of that key, or false.
func (l *Leavers) Get(key kube.Key) (handlers.Object, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	return parent.Object, ok
}

// again returns after how long to look at a parent again.
func (l *Leavers) again(key kube.Key) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	if ok {
		parent.interval = min(max(2*parent.interval, leaveInterval), lastLeaveInterval)
		l.parents[key] = parent
	}
	return max(parent.interval, leaveInterval)
}

// awaitHeirs notes that nothing is left of a parent but children that wait for other definitions.
// It reports whether that is new.
func (l *Leavers) awaitHeirs(key kube.Key, children []ChildID, now time.Time) (isNew bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	if ok {
		isNew = parent.awaits.until.IsZero()
		parent.awaits = awaitedHeirs{children: children, until: now.Add(heirInterval)}
		l.parents[key] = parent
	}
	return isNew
}

// awaitsHeirs returns the children of a parent that wait for other definitions, and for how long
// that is taken for granted; 0 if it is not.
func (l *Leavers) awaitsHeirs(key kube.Key, now time.Time) (children []ChildID, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	awaits := l.parents[key].awaits
	return awaits.children, max(awaits.until.Sub(now), 0)
}

// isLookedAt reports whether there is a parent of that key and UID that is looked at again.
func (l *Leavers) isLookedAt(key kube.Key, uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	parent, ok := l.parents[key]
	return ok && parent.UID() == uid && parent.interval > 0
}

// has reports whether there is a parent of that key and UID.
func (l *Leavers) has(key kube.Key, uid types.UID) bool {
	parent, ok := l.Get(key)
	return ok && parent.UID() == uid
}

// confirm notes that a parent exists.
func (l *Leavers) confirm(key kube.Key, uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if parent, ok := l.parents[key]; ok && parent.UID() == uid {
		parent.exists = true
		l.parents[key] = parent
	}
}

// unsifted returns the UIDs of the parents of a namespace of which is not known whether they exist.
func (l *Leavers) unsifted(namespace string) map[kube.Key]types.UID {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[kube.Key]types.UID{}
	for key, parent := range l.parents {
		if key.Namespace == namespace && !parent.exists {
			all[key] = parent.UID()
		}
	}
	return all
}

func (l *Leavers) drop(key kube.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parents, key)
}

func (l *Leavers) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.parents)
}
