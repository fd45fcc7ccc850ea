package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kinds"
	"kooperd.dev/kooperd/pkg/offline"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// Trials call the composer of one definition for single objects, with the runtime that it has in
// the cluster, and change nothing. One call is made at a time.
type Trials struct {
	// Definition is the definition, which has a composer.
	Definition config.Definition
	// Installation is the mark of the installation.
	Installation string
	// Finder knows the kinds of the definition.
	Finder kinds.Finder
	// Live is for an API server whose objects are read, and which tries what would be written; nil
	// for none.
	Live *rest.Config
	// Logger carries the definition's name.
	Logger logr.Logger
	// Composer is asked in place of that of the definition. Default: none is.
	Composer handlers.Composer

	composer handlers.Composer
	stuck    atomic.Bool // the plugin's code has not returned
	planned  *plannedOf  // nil where one parent is tried
}

// Given are the objects that there are besides the parent.
type Given struct {
	// Children are objects that the definition may have made, and Related all others.
	Children, Related []*unstructured.Unstructured
	// Made are objects that the definition has made for the parent, by the names of the children.
	// Without Live, they get the marks of such.
	Made map[string]*unstructured.Unstructured
	// ParentIsLive says that the parent is as Live has it. Else nothing that would be written of it
	// is tried there.
	ParentIsLive bool
}

// Tried is what came of one trial.
type Tried struct {
	compose.Trial
	// Server has the objects before and after the trial.
	Server *offline.Server
	// Parent names the parent.
	Parent offline.Key
	// Excluded is why the definition does not handle the parent; empty if it does. The composer was
	// not asked then.
	Excluded string
	// Leaves is true when the definition does not handle the parent because of its labels, fields
	// or where. If it has handled it before, a running kooperd deletes its children: that is what
	// was tried, unless Server is nil.
	Leaves bool
	// Events are those that were recorded.
	Events []TriedEvent
	// Notes say what a reader should know of how it was tried.
	Notes []string
}

// Close closes the composer, unless a call of it goes on.
func (t *Trials) Close() error {
	if t.stuck.Load() {
		return nil
	}
	if closer, ok := t.composer.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Try makes one pass for a parent. The objects must not be used any more. The error is that it
// could not be tried at all.
func (t *Trials) Try(ctx context.Context, parent *unstructured.Unstructured, given Given) (*Tried, error) {
	why, leaves := t.excludes(ctx, parent)
	if why == "" {
		return t.pass(ctx, parent, given, compose.Try)
	}
	tried := &Tried{Parent: offline.KeyOf(parent)}
	if leaves && (t.Live == nil || given.ParentIsLive) {
		left, err := t.pass(ctx, parent, given, compose.TryLeave)
		if stuck, ok := errors.AsType[*StuckTrialError](err); ok {
			return nil, stuck
		}
		if err == nil {
			tried = left
			tried.Notes = slices.DeleteFunc(tried.Notes, func(note string) bool { return note == LeftOutNote }) // Nothing is made.
		} else {
			tried.Notes = append(tried.Notes, "what would be deleted is not known: "+err.Error())
		}
	}
	tried.Excluded, tried.Leaves = why, leaves
	return tried, nil
}

// tryPass is what is done in a pass.
type tryPass func(context.Context, *compose.Reconciler, handlers.Object) compose.Trial

// pass makes one pass with what there is.
func (t *Trials) pass(ctx context.Context, parent *unstructured.Unstructured, given Given, do tryPass) (*Tried, error) {
	if t.Live != nil {
		server := offline.NewServer(t.Finder)
		if given.ParentIsLive {
			server.Put(parent)
		} else {
			server.PutLocal(parent)
		}
		if err := t.fill(ctx, server, parent); err != nil {
			return nil, err
		}
		return t.run(ctx, trialServer{server, server.Over(t.Live)}, triedParent{key: offline.KeyOf(parent)}, do)
	}
	family := newTrialFamily(t, parent, given)
	for {
		server, err := family.server()
		if err != nil {
			return nil, err
		}
		tried, err := t.run(ctx, trialServer{server, server.Config()}, triedParent{key: offline.KeyOf(parent)}, do)
		if err != nil {
			return nil, err
		}
		if family.claim(tried.Children) {
			continue // What they are changes what is composed.
		}
		tried.Notes = append(tried.Notes, family.notes()...)
		return tried, nil
	}
}

// excludes says why the definition does not handle an object; empty if it does. leaves is true when
// an object that it has handled can come to that by a change.
func (t *Trials) excludes(ctx context.Context, parent *unstructured.Unstructured) (why string, leaves bool) {
	s := selectionOf(t.Definition)
	object, err := handlers.ObjectOf(parent.DeepCopy())
	switch {
	case err != nil:
		return err.Error(), false
	case t.Definition.Paused:
		return "the definition is paused", false
	case len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, parent.GetNamespace()):
		return fmt.Sprintf("its namespace %q is not among watch.namespaces (%s)", parent.GetNamespace(), strings.Join(s.Namespaces, ", ")), false
	case s.Labels != nil && !s.Labels.Matches(labels.Set(parent.GetLabels())):
		return fmt.Sprintf("its labels are not those that watch.labelSelector selects (%s)", s.Labels), true
	case s.Fields != nil && !offline.MatchesFields(s.Fields, parent):
		return fmt.Sprintf("its fields are not those that watch.fieldSelector selects (%s)", s.Fields), true
	case s.Excludes(ctx, object):
		return fmt.Sprintf("the definition's where is not true for it (%s)", s.Where.Text()), true
	}
	return "", false
}

// trialServer has the objects of a trial, and says how clients reach them.
type trialServer struct {
	*offline.Server
	config *rest.Config
}

// triedParent names the parent of a pass.
type triedParent struct {
	key    offline.Key
	object handlers.Object // nil for that which the server has
}

// run makes one pass with what a server has.
func (t *Trials) run(ctx context.Context, server trialServer, parent triedParent, do tryPass) (*Tried, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Definition.Timeout)
	defer cancel()
	recorder := &trialEvents{}
	var r *compose.Reconciler
	if err := t.bounded(ctx, func() (err error) {
		r, err = t.reconciler(ctx, server, recorder)
		return err
	}); err != nil {
		return nil, err
	}
	key, object := parent.key, parent.object
	if object == nil {
		var ok bool
		if object, ok = r.Parents.Get(key.Namespace, key.Name); !ok {
			return nil, fmt.Errorf("reading %s: it is no object of kind %s", key, t.Definition.Watch.Kind.Kind)
		}
	}
	tried := &Tried{Server: server.Server, Parent: key}
	var trial compose.Trial
	err := t.bounded(ctx, func() error {
		trial = do(logr.NewContext(ctx, t.Logger), r, object)
		return nil
	})
	switch {
	case crashed(err) != nil:
		tried.Err = errTrialEnded
	case err != nil:
		return nil, err
	default:
		tried.Trial = trial
	}
	tried.Events = recorder.events
	if tried.Redact == nil {
		tried.Redact = func(text string) string { return text }
	}
	return tried, nil
}

// bounded runs code of the plugin, which may end the goroutine that it runs in, or go on when ctx
// has ended. After that, nothing that it may use can be touched any more.
func (t *Trials) bounded(ctx context.Context, code func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- runForeign(code) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace := time.NewTimer(trialGrace)
	defer grace.Stop()
	select {
	case err := <-ended:
		return err
	case <-grace.C:
		t.stuck.Store(true)
		return &StuckTrialError{After: trialGrace, Timeout: t.Definition.Timeout}
	}
}

// reconciler makes the runtime of the definition, whose caches are what a server has.
func (t *Trials) reconciler(ctx context.Context, server trialServer, recorder *trialEvents) (*compose.Reconciler, error) {
	def := t.Definition
	views := t.views(server.Server)
	parents := t.parents(server.Server)
	if t.composer == nil && t.Composer != nil {
		t.composer = t.Composer
	}
	if t.composer == nil {
		composer, err := def.Handler.NewComposer(ctx, handlers.Env{
			Definition: def.Name, Kind: def.Watch.Kind, Logger: t.Logger, Lister: parents, Metrics: prometheus.NewRegistry(),
		})
		if err != nil {
			return nil, err
		}
		t.composer = composer
	}
	client, err := compose.NewClient(server.config, t.Finder)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(server.config)
	if err != nil {
		return nil, fmt.Errorf("making the client of the parents: %w", err)
	}
	r := compose.New(compose.Options{
		Identity: identityOf(def, t.Installation), Selection: selectionOf(def), Membership: t.membership(), Composer: t.composer,
		ParentWrites: compose.ParentWrites{Status: def.Status, Marks: def.Handler.Marks()},
		Deletion:     compose.Deletion{Finalizes: def.Handler.Finalizes(), Ordered: def.Handler.Ordered()},
		Parents:      parents, Children: views.children, OtherSources: views.OtherSources,
		Client: client, Dynamic: dyn, Remembered: compose.Remembered{Memory: compose.NewMemory(), Leavers: &compose.Leavers{}},
		Metrics: telemetry.NewMetrics(prometheus.NewRegistry()).Controller(def.Name).Compose(), Events: recorder, Logger: t.Logger,
	})
	t.planned.prepare(r, server.Server)
	return r, nil
}

// trialViews are the caches of a trial.
type trialViews struct {
	children []compose.ChildSource
	compose.OtherSources
}

// views are what the definition watches besides the parents, of what a server has.
func (t *Trials) views(server *offline.Server) (views trialViews) {
	def := t.Definition
	watches := watchesOfComposer(def, t.Installation)
	view := func() *offline.View { // The runtime has maps whose keys are sources.
		w := watches[0].watch
		watches = watches[1:]
		v := &offline.View{
			Server: server, Kind: w.Kind, FieldManager: w.FieldManager, MetadataOnly: w.MetadataOnly, Namespaces: w.Namespaces, Labels: w.LabelSelector,
		}
		if w.FieldSelector != nil {
			v.Name, _ = w.FieldSelector.RequiresExactMatch("metadata.name")
		}
		return v
	}
	for _, owned := range ownedKinds(def) {
		v := view()
		views.children = append(views.children, compose.ChildSource{OwnedKind: owned, Source: v, Namespaces: v.Namespaces})
	}
	for _, related := range def.Handler.Reads() {
		views.Related = append(views.Related, compose.RelatedSource{Related: related, Source: view()})
	}
	for _, kind := range patchedKinds(def) {
		v := view()
		views.Patched = append(views.Patched, compose.PatchSource{PatchedKind: kind, Source: v, Namespaces: v.Namespaces})
	}
	if readsByNamespace(def) {
		views.AllNamespaces = view()
	}
	return views
}
