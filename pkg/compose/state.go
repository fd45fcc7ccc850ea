package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/kube"
)

// stateTries is how often a change is made anew because somebody else has changed the ConfigMap.
const stateTries = 5

// errCreating is what fails when the ConfigMap does not exist.
var errCreating = errors.New("creating it")

// State is the ConfigMap that has the records of all definitions. It is read once in each term, for
// all of them, and changes that come together are one write. It is safe for concurrent use.
type State struct {
	client          corev1client.ConfigMapInterface
	namespace, name string

	turn chan struct{} // holds a value while nobody reads or writes

	mu      sync.Mutex
	last    map[string]Record // as this process has written or found them, by definition
	found   *corev1.ConfigMap // as it was read or written in this term; nil before
	absent  bool              // it does not exist
	pending []*edit           // the changes that wait for the turn
}

// edit is the change of one record.
type edit struct {
	id string
	// formerly are records that become part of this one.
	formerly []string
	// apply returns the record after the change. known is false for a definition without one.
	apply func(before Record, known bool) Record
	done  chan struct{}
	err   error // read it after done
}

// NewState returns the State in the ConfigMap of that name, which need not exist.
func NewState(client corev1client.ConfigMapInterface, namespace, name string) *State {
	s := &State{client: client, namespace: namespace, name: name, last: map[string]Record{}, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// ConfigMap returns where the records are.
func (s *State) ConfigMap() types.NamespacedName {
	return types.NamespacedName{Namespace: s.namespace, Name: s.name}
}

// Begin is called at the beginning of a term. Another process may have written in between, so the
// next change reads the ConfigMap again.
func (s *State) Begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = nil
}

// Learn reads the records, so that Expects may be true at the beginning of a term.
func (s *State) Learn(ctx context.Context) error {
	found, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	if err != nil {
		return s.explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range found.Data {
		if record, ok := recordIn(found, id); ok {
			s.last[id] = record
		}
	}
	return nil
}

// Expects reports whether, as far as is known, Activate has nothing to write, and finds no former
// kinds.
func (s *State) Expects(id string, scope Scope) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.last[id]
	next, found := before.activate(scope)
	for _, former := range scope.Formerly {
		if _, known := s.last[former]; known {
			return false
		}
	}
	return known && len(found.Former)+len(found.FormerPatches) == 0 && !slices.ContainsFunc(found.Left, func(s Scope) bool { return !s.Done }) && encoded(next) == encoded(before)
}

// Activate records what a definition has to do with, before it makes anything.
func (s *State) Activate(ctx context.Context, id string, scope Scope) (Activation, error) {
	var found Activation
	err := s.change(ctx, &edit{id: id, formerly: scope.Formerly, apply: func(before Record, _ bool) (next Record) {
		next, found = before.activate(scope)
		return next
	}})
	if err != nil {
		return Activation{}, err // If ctx has ended, another one may be about to change what was found.
	}
	return found, nil
}

// Remove records that a definition is gone, and returns what there is to do about it.
func (s *State) Remove(ctx context.Context, id string) (left []Scope, err error) {
	err = s.change(ctx, &edit{id: id, apply: func(before Record, _ bool) Record {
		next := before.remove(time.Now())
		left = next.Left
		return next
	}})
	return left, err
}

// Finish records that all has been done about what a definition had to do with, and how many
// children stay.
func (s *State) Finish(ctx context.Context, id string, scope Scope, stay int) error {
	return s.change(ctx, &edit{id: id, apply: func(before Record, _ bool) Record { return before.finish(scope, stay) }})
}

// All returns the records as they were read in this term.
func (s *State) All(ctx context.Context) (map[string]Record, error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	found, err := s.read(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	all := map[string]Record{}
	for id := range found.Data {
		if record, ok := recordIn(found, id); ok {
			all[id] = record
		}
	}
	return all, nil
}

// Release removes a kind from what a definition has owned, when nothing of it is left.
func (s *State) Release(ctx context.Context, id string, kind OwnedRecord) error {
	return s.change(ctx, &edit{id: id, apply: func(before Record, _ bool) Record { return before.release(kind) }})
}

// ReleasePatches removes a kind to whose objects the parents of a definition have contributed, when
// nothing of that is left.
func (s *State) ReleasePatches(ctx context.Context, id string, kind OwnedRecord) error {
	return s.change(ctx, &edit{id: id, apply: func(before Record, _ bool) Record { return before.releasePatches(kind) }})
}

// change changes the record of one definition by compare-and-swap.
func (s *State) change(ctx context.Context, e *edit) error {
	e.done = make(chan struct{})
	s.mu.Lock()
	s.pending = append(s.pending, e)
	s.mu.Unlock()
	select {
	case <-e.done: // Another one has taken it along.
		return e.err
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		s.withdraw(e)
		return context.Cause(ctx)
	}
	s.mu.Lock()
	edits := s.pending
	s.pending = nil
	s.mu.Unlock()
	err := s.explain(s.write(ctx, edits))
	for _, other := range edits {
		other.err = err
		close(other.done)
	}
	<-e.done
	return e.err
}

// withdraw takes a change back that nobody has made yet.
func (s *State) withdraw(e *edit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.pending {
		if other == e {
			s.pending = append(s.pending[:i:i], s.pending[i+1:]...)
			return
		}
	}
}

// write makes changes by one write, and by none if there is nothing to change. It has the turn.
func (s *State) write(ctx context.Context, edits []*edit) error {
	if len(edits) == 0 {
		return nil
	}
	var err error
	for range stateTries {
		err = s.try(ctx, edits)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return err
		}
		s.Begin() // It is another one by now.
	}
	return err
}

func (s *State) try(ctx context.Context, edits []*edit) error {
	found, err := s.read(ctx)
	if err != nil {
		return err
	}
	next := found.DeepCopy()
	if next.Data == nil {
		next.Data = map[string]string{}
	}
	records := map[string]Record{}
	var merged []string
	for _, e := range edits {
		before, known := records[e.id]
		if !known {
			before, known = s.recorded(found, e.id)
		}
		for _, id := range e.formerly {
			if former, ok := s.recorded(found, id); ok {
				before, known = before.merge(id, former, known), true
				merged = append(merged, id)
			}
			delete(next.Data, id)
		}
		records[e.id] = e.apply(before, known)
		if next.Data[e.id] = encoded(records[e.id]); records[e.id].isEmpty() {
			delete(next.Data, e.id)
		}
	}
	if !maps.Equal(found.Data, next.Data) {
		if next, err = s.put(ctx, next); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found, s.absent = next, false
	for id, record := range records {
		if s.last[id] = record; record.isEmpty() {
			delete(s.last, id)
		}
	}
	for _, id := range merged {
		delete(s.last, id)
	}
	return nil
}

// read returns the ConfigMap as it was found in this term.
func (s *State) read(ctx context.Context) (*corev1.ConfigMap, error) {
	s.mu.Lock()
	found := s.found
	s.mu.Unlock()
	if found != nil {
		return found, nil
	}
	found, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return nil, err
	}
	if absent {
		found = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.name}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found, s.absent = found, absent
	return found, nil
}

// recorded is the record of a definition. One that was damaged or removed by hand is replaced by
// what is known.
func (s *State) recorded(found *corev1.ConfigMap, id string) (Record, bool) {
	if record, ok := recordIn(found, id); ok {
		return record, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record, known := s.last[id]
	return record, known
}

func recordIn(found *corev1.ConfigMap, id string) (record Record, ok bool) {
	text, ok := found.Data[id]
	if !ok || json.Unmarshal([]byte(text), &record) != nil {
		return Record{}, false
	}
	return record, true
}

func encoded(record Record) string {
	text, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("compose: encoding a record: %v", err)) // It has texts alone.
	}
	return string(text)
}

// put writes the ConfigMap.
func (s *State) put(ctx context.Context, next *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	s.mu.Lock()
	absent := s.absent
	s.mu.Unlock()
	if !absent {
		return s.client.Update(ctx, next, metav1.UpdateOptions{FieldManager: FieldManager})
	}
	made, err := s.client.Create(ctx, next, metav1.CreateOptions{FieldManager: FieldManager})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCreating, err)
	}
	return made, nil
}

// explain adds what a person needs to know.
func (s *State) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		err = &kube.ForbiddenError{Namespace: s.namespace, Rule: s.rule(err), Err: err}
	}
	return fmt.Errorf("recording what the definition owns in ConfigMap %s/%s: %w", s.namespace, s.name, err)
}

// rule is the right whose lack a refusal is about. The right to create has no name: the authorizer
// does not know it.
func (s *State) rule(refusal error) rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"create"}}
	if !errors.Is(refusal, errCreating) {
		rule.ResourceNames, rule.Verbs = []string{s.name}, []string{"get", "update"}
	}
	return rule
}
