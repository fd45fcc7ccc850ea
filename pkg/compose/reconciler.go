package compose

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/events"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

const (
	// maxRounds is how often one pass asks the composer. Each round has the answers of the one
	// before, so a chain of children needs as many rounds as it is long.
	maxRounds = 8
	// listedInterval is after how long a parent is looked at again that is postponed because a
	// cache is not complete.
	listedInterval = 500 * time.Millisecond
	// writesAtOnce is how many children of one parent are written at a time.
	writesAtOnce = 8
)

// errOwnChild is the end of a definition that would make children of its children without end.
var errOwnChild = errors.New("it is itself a child that this definition has made: " +
	"select the parents by a label that their children do not have")

// Source is a cache of one kind; a kube.View is one. It is safe for concurrent use.
type Source interface {
	kube.Cache
	// Get returns the object, or false.
	Get(namespace, name string) (handlers.Object, bool)
	// GetByUID returns the object of that UID, or false.
	GetByUID(uid types.UID) (handlers.Object, bool)
	// List returns the objects of a namespace, "" for all, that selector selects, nil for all.
	List(namespace string, selector labels.Selector) []handlers.Object
	// Listed reports whether the cache has been complete, and the kind is not gone since.
	Listed() bool
	// Status returns the state, and why it is Waiting or Degraded.
	Status() (status.State, error)
	// Keys returns the keys of all objects.
	Keys() []kube.Key
}

// ChildSource is the cache of the children of one kind, of all parents and definitions. It has only
// objects with the label of the installation, and keeps what FieldManager owns of them.
type ChildSource struct {
	handlers.OwnedKind
	Source Source
	// Namespaces are those that Source has; none stands for all but Except.
	Namespaces, Except []string
}

// covers reports whether the objects of a namespace are looked for in this cache.
func (s ChildSource) covers(namespace string) bool {
	return (len(s.Namespaces) == 0 || slices.Contains(s.Namespaces, namespace)) && !slices.Contains(s.Except, namespace)
}

// RelatedSource is the cache of related objects.
type RelatedSource struct {
	handlers.Related
	Source Source
}

// Deletion says how parents are deleted.
type Deletion struct {
	// Finalizes is true when the composer wants to be called for a parent that is being deleted.
	Finalizes bool
	// Ordered is true when the children of a parent that is deleted go in the reverse order of
	// their After, each when those that come after it are gone.
	Ordered bool
}

// ParentWrites are what is written to the parents besides finalizers and notes.
type ParentWrites struct {
	// Status says what is written to the status.
	Status config.Status
	// Marks is true when the composer may set labels and annotations.
	Marks bool
}

// Remembered is what a definition knows of its parents. It belongs to the definition, so that a
// revision goes on with what an earlier one has noted.
type Remembered struct {
	// Memory is what was written.
	Memory *Memory
	// Leavers are parents that may be handled no more. One of them for which there is a call, and
	// that is not in the cache, is left.
	Leavers *Leavers
}

// OtherSources are the caches of objects that are neither parents nor children.
type OtherSources struct {
	// Related are those of the objects that the composer reads besides.
	Related []RelatedSource
	// AllNamespaces are the Namespaces, where something is read by their labels; else nil.
	AllNamespaces Source
	// Patched are those of the kinds of objects to which it may contribute.
	Patched []PatchSource
}

// Options of New. All fields but ParentWrites, Deletion, Children and OtherSources are required.
type Options struct {
	// Identity is which children are those of the definition.
	Identity
	// Selection is which parents are handled.
	Selection
	// Membership is what the definition has to do with others.
	Membership
	// Composer says what should exist.
	Composer handlers.Composer
	// ParentWrites are what is written to the parents.
	ParentWrites
	// Deletion says how parents are deleted.
	Deletion
	// Parents is the cache of the parents.
	Parents Source
	// Children are those of the kinds that the composer owns.
	Children []ChildSource
	// OtherSources are those of objects that are no children.
	OtherSources
	// Client makes the requests, and Dynamic those that change the parents' finalizers. Both have
	// the gate in them.
	Client  *Client
	Dynamic dynamic.Interface
	// Remembered belongs to the definition.
	Remembered
	// Metrics are kept up to date.
	Metrics *telemetry.Compose
	// Events records what a person did not expect.
	Events events.EventRecorder
	// Logger carries the definition's name.
	Logger logr.Logger
}

// Reconciler is the handler of a composer: it brings the children and the status of one parent in
// line with what the composer says. It is safe for concurrent use for different parents.
type Reconciler struct {
	Options
	// Recorded is what passes wait for before they change anything.
	Recorded Recorded

	caughtUp caughtUp
	former   formerSources
	waiting  *waiting
	status   *statusWriter
	now      func() time.Time
}

var _ handlers.Handler = (*Reconciler)(nil)

// New returns a Reconciler. It contacts nothing.
func New(o Options) *Reconciler {
	o.Memory.fights.showBy(o.Metrics.Fights)
	if len(o.Patched) > 0 {
		o.Metrics.DeclarePatches()
	}
	return &Reconciler{
		Options: o, waiting: newWaiting(), now: time.Now,
		status: &statusWriter{kind: o.Kind, client: o.Client, logger: o.Logger, shape: &statusShape{}},
	}
}

// Close closes the composer, if it wants that.
func (r *Reconciler) Close() error {
	if closer, ok := r.Composer.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Handle implements handlers.Handler. An error that says RetryAfter is to be retried then.
func (r *Reconciler) Handle(ctx context.Context, req handlers.Request) (handlers.Result, error) {
	key := kube.Key{Namespace: req.Object.Namespace(), Name: req.Object.Name()}
	uid := req.Object.UID()
	leaving, excluded := leaves(ctx, r, key, req.Object)
	switch {
	case excluded && !leaving:
		r.Memory.Rollout.forget(key, uid)
		r.Memory.Attention.forget(uid)
		forgetLasting(r.Memory, uid)
		return handlers.Result{}, nil
	case leaving && !excluded && !r.Leavers.isLookedAt(key, uid): // It may be gone, like many others.
		return handlers.Result{RequeueAfter: r.Leavers.again(key)}, nil
	}
	if !r.listed(leaving || req.Object.Metadata().DeletionTimestamp != nil) {
		attending{newPass(r, key, req)}.noteUnknown(r.Memory.goingChildren.has(uid))
		return handlers.Result{RequeueAfter: listedInterval}, nil
	}
	begun := r.now()
	defer func() { r.Metrics.Pass(r.now().Sub(begun)) }()
	p := newPass(r, key, req)
	if isOwnChild(r, p.meta) {
		r.Memory.Rollout.forget(key, uid)
		forgetLasting(r.Memory, uid)
		return handlers.Result{}, handlers.Terminal(errOwnChild)
	}
	r.count(r.Memory.meet(key, uid).negative())
	defer func() {
		_, there := r.Parents.GetByUID(uid)
		if (!there || leaving) && !r.Leavers.has(key, uid) { // What came of the pass is not to be remembered.
			r.forget(key, uid)
		}
	}()
	if leaving {
		r.Memory.Rollout.forget(key, uid)
		r.Memory.notReady.set(uid, time.Time{})
		result, err := cleaning{pass: p}.leave(ctx)
		return result, p.secrets.cleanError(err)
	}
	r.Leavers.drop(key)
	if r.Where != nil {
		noteSelected(r.Memory, uid, r.Where)
	}
	defer rolling{p}.say()
	defer func() { p.secrets.panicAgain(recover()) }()
	known := false
	defer func() {
		if !known {
			attending{p}.noteUnknown(true)
		}
	}()
	result, err := p.run(ctx)
	known = attending{p}.say()
	if r.Where.excludes(ctx, r.Memory.newest(p.object, r.Parents)) { // By a status of ours, whose event calls for nothing.
		again(&result, listedInterval)
	}
	return result, p.secrets.cleanError(err)
}

// isOwnChild reports whether a parent is itself a child that the definition has made.
func isOwnChild(r *Reconciler, parent *metav1.ObjectMeta) bool {
	return r.Identity.has(parent.Labels[DefinitionLabel]) && parent.Labels[InstallationLabel] == r.Installation
}

// listed reports whether all caches have been complete. The engine waits for that before it calls;
// a kind may go in between. For a parent that is being deleted, one that is not served is left out.
func (r *Reconciler) listed(deleting bool) bool {
	for _, source := range r.Children {
		if !source.Source.Listed() && (!deleting || !source.absent()) {
			return false
		}
	}
	for _, source := range r.Patched {
		if !source.Source.Listed() && (!deleting || !isAbsent(source.Source)) {
			return false
		}
	}
	if deleting && !r.Finalizes {
		return r.Parents.Listed() // What is related is of no concern.
	}
	for _, source := range r.Related {
		if !source.Source.Listed() {
			return false
		}
	}
	if r.AllNamespaces != nil && !r.AllNamespaces.Listed() {
		return false
	}
	return r.Parents.Listed()
}

// Forget drops what is remembered of a parent that is gone, the latest of that key where uid is
// empty. One that was never handled has to be forgotten by its UID.
func (r *Reconciler) Forget(key kube.Key, uid types.UID) { r.forget(key, uid) }

func (r *Reconciler) forget(key kube.Key, uid types.UID) {
	r.waiting.forget(key)
	if r.Moves != nil {
		r.Moves.forget(r.Definition, uidOf(r.Memory, key, uid))
	}
	r.count(r.Memory.forget(key, uid).negative())
}

// Retain drops what is remembered of all parents but those of which exists is true: another
// revision may handle fewer.
func (r *Reconciler) Retain(exists func(kube.Key) bool) {
	r.Memory.mu.Lock()
	keys := slices.Collect(maps.Keys(r.Memory.byKey))
	r.Memory.mu.Unlock()
	for _, key := range keys {
		if !exists(key) {
			r.Forget(key, "")
		}
	}
}

// Pause is called when this replica stops handling objects: what is remembered may be wrong when
// it begins again.
func (r *Reconciler) Pause() {
	if r.Moves != nil {
		r.Moves.end(r.Definition, r.Digest)
	}
	r.caughtUp.clear()
	r.Leavers.clear()
	r.waiting.clear()
	r.count(r.Memory.clear().negative())
}

// AddFormer adds a kind that the definition has owned: what is left of it is deleted. The returned
// function removes it again.
func (r *Reconciler) AddFormer(source ChildSource) (remove func()) { return r.former.add(source) }

// Awaits reports whether an object of a kind has been made or changed that no cache has shown yet.
func (r *Reconciler) Awaits(kind schema.GroupKind) bool {
	r.Memory.mu.Lock()
	defer r.Memory.mu.Unlock()
	for _, p := range r.Memory.parents {
		for id, c := range p.children {
			if id.Kind == kind && (c.answer != nil || c.writing.n > 0) {
				return true
			}
		}
	}
	return false
}

// children are the caches of all kinds that are or were owned.
func (r *Reconciler) children() []ChildSource {
	return append(slices.Clip(r.Children), r.former.list()...)
}

// formerSources are caches of kinds that are not owned any more. They are safe for concurrent use.
type formerSources struct {
	mu  sync.Mutex
	all []ChildSource // replaced, never changed
}

func (f *formerSources) add(source ChildSource) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(slices.Clip(f.all), source)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all = slices.DeleteFunc(slices.Clone(f.all), func(other ChildSource) bool { return other.Source == source.Source })
	}
}

func (f *formerSources) list() []ChildSource {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// target is an object of a child's kind.
func (r *Reconciler) target(kind schema.GroupVersionKind, id ChildID) target {
	t := target{kind: kind, namespace: id.Namespace, name: id.Name}
	for _, source := range r.children() {
		if source.GroupVersionKind() == kind {
			t.metadataOnly = source.MetadataOnly
		}
	}
	return t
}
