package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
)

// stateTries is how often a change is made anew because somebody else has changed the ConfigMap.
const stateTries = 5

// recentChange is for how long a change of a definition may be under way when another process goes
// on with it.
const recentChange = 10 * time.Minute

// errCreating is what fails when the ConfigMap does not exist.
var errCreating = errors.New("creating it")

// Record is what a definition has owned, as the ConfigMap has it. It says where to look for
// children, and proves nothing about them.
type Record struct {
	// APIVersion and Kind are those of the parents.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Owns are the kinds that the definition owns, or has owned and may still have children of.
	Owns []OwnedRecord `json:"owns"`
	// Finalizer is the one that the parents may carry.
	Finalizer string `json:"finalizer,omitempty"`
	// Digest stands for all that the config says of the definition, and Changed is when it became
	// so.
	Digest  string    `json:"digest,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
}

// OwnedRecord is one kind of children.
type OwnedRecord struct {
	// APIVersion and Kind name the kind.
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Namespaces are those in which children may be; none stands for all.
	Namespaces []string `json:"namespaces,omitempty"`
}

// RecordOf is the record of a definition as it is now. namespaces are those that it watches.
func RecordOf(apiVersion, kind string, owns []handlers.OwnedKind, namespaces []string, finalizer string) Record {
	record := Record{APIVersion: apiVersion, Kind: kind, Finalizer: finalizer, Owns: []OwnedRecord{}}
	for _, owned := range owns {
		of := OwnedRecord{APIVersion: owned.APIVersion, Kind: owned.Kind}
		if !owned.AnyNamespace {
			of.Namespaces = namespaces
		}
		record.Owns = append(record.Owns, of)
	}
	return record
}

// GroupKind is the kind, whatever the version.
func (o OwnedRecord) GroupKind() schema.GroupKind {
	return schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).GroupKind()
}

// sameKind reports whether both are of one kind, whatever the version.
func (o OwnedRecord) sameKind(other OwnedRecord) bool {
	return o.GroupKind() == other.GroupKind()
}

// State is the ConfigMap that has the records of all definitions. It is safe for concurrent use.
type State struct {
	client          corev1client.ConfigMapInterface
	namespace, name string

	mu   sync.Mutex        // one change at a time, so that definitions do not hinder each other
	last map[string]Record // as this process has written or found them, by definition
}

// NewState returns the State in the ConfigMap of that name, which need not exist.
func NewState(client corev1client.ConfigMapInterface, namespace, name string) *State {
	return &State{client: client, namespace: namespace, name: name, last: map[string]Record{}}
}

// Activate records what a definition owns, before it makes anything. It returns the kinds that the
// definition has owned before and does not own any more, and when it has become what it is, if that
// was just now or shortly before an earlier process ended.
func (s *State) Activate(ctx context.Context, id string, record Record) (former []OwnedRecord, changed time.Time, err error) {
	err = s.change(ctx, id, func(before Record, known bool) Record {
		former = nil
		for _, owned := range before.Owns {
			if known && !slices.ContainsFunc(record.Owns, owned.sameKind) {
				former = append(former, owned)
			}
		}
		next := record
		next.Owns = slices.Concat(record.Owns, former)
		if changed = before.Changed; !known || before.Digest != record.Digest || changed.IsZero() {
			changed = time.Now().UTC().Truncate(time.Second)
		}
		next.Changed = changed
		return next
	})
	if time.Since(changed) > recentChange {
		changed = time.Time{}
	}
	return former, changed, err
}

// Release removes a kind from what a definition has owned, when nothing of it is left.
func (s *State) Release(ctx context.Context, id string, kind OwnedRecord) error {
	return s.change(ctx, id, func(before Record, _ bool) Record {
		before.Owns = slices.DeleteFunc(slices.Clone(before.Owns), kind.sameKind)
		return before
	})
}

// change changes the record of one definition by compare-and-swap.
func (s *State) change(ctx context.Context, id string, edit func(before Record, known bool) Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for range stateTries {
		if err = s.try(ctx, id, edit); !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			break
		}
	}
	return s.explain(err)
}

func (s *State) try(ctx context.Context, id string, edit func(Record, bool) Record) error {
	found, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	absent := apierrors.IsNotFound(err)
	if err != nil && !absent {
		return err
	}
	var before Record
	text, known := found.Data[id]
	if known && json.Unmarshal([]byte(text), &before) != nil {
		known = false
	}
	if !known { // It is new, or was damaged or removed by hand: what is known replaces it.
		before, known = s.last[id]
	}
	next := edit(before, known)
	encoded, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encoding the record of %s: %w", id, err)
	}
	if text != string(encoded) {
		err = s.write(ctx, found, absent, id, string(encoded))
	}
	if err == nil {
		s.last[id] = next
	}
	return err
}

// write writes the record of a definition into the ConfigMap that was found, or is absent.
func (s *State) write(ctx context.Context, found *corev1.ConfigMap, absent bool, id, record string) error {
	if absent {
		_, err := s.client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: s.name}, Data: map[string]string{id: record},
		}, metav1.CreateOptions{FieldManager: FieldManager})
		if err != nil {
			err = fmt.Errorf("%w: %w", errCreating, err)
		}
		return err
	}
	if found.Data == nil {
		found.Data = map[string]string{}
	}
	found.Data[id] = record
	_, err := s.client.Update(ctx, found, metav1.UpdateOptions{FieldManager: FieldManager})
	return err
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
