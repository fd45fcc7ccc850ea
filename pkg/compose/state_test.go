package compose

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/handlers"
)

// scopeOf is the scope of the definition that owns these kinds of the core.
func scopeOf(kinds ...string) Scope {
	var owns []handlers.OwnedKind
	for _, kind := range kinds {
		owns = append(owns, handlers.OwnedKind{APIVersion: "v1", Kind: kind})
	}
	return Scope{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Owns: OwnedRecords(owns, nil)}
}

// TestStateRemembersARecordThatIsGone changes the ConfigMap by hand between two changes of a
// definition.
func TestStateRemembersARecordThatIsGone(t *testing.T) {
	damage := map[string]func(client corev1client.ConfigMapInterface) error{
		"nothing happens": func(corev1client.ConfigMapInterface) error { return nil },
		"the ConfigMap is deleted": func(client corev1client.ConfigMapInterface) error {
			return client.Delete(t.Context(), "records", metav1.DeleteOptions{})
		},
		"the record is damaged": func(client corev1client.ConfigMapInterface) error {
			records, err := client.Get(t.Context(), "records", metav1.GetOptions{})
			if err != nil {
				return err
			}
			records.Data["websites"] = "{"
			_, err = client.Update(t.Context(), records, metav1.UpdateOptions{})
			return err
		},
	}
	for name, change := range damage {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
			state := NewState(client, "kooper-system", "records")
			activate := func(scope Scope, want ...OwnedRecord) {
				t.Helper()
				state.Begin()
				found, err := state.Activate(t.Context(), "websites", scope)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, found.Former); diff != "" {
					t.Errorf("owned before (-want +got):\n%s", diff)
				}
			}
			secret, claim := OwnedRecord{APIVersion: "v1", Kind: "Secret"}, OwnedRecord{APIVersion: "v1", Kind: "PersistentVolumeClaim"}
			activate(scopeOf("ConfigMap", "Secret", "PersistentVolumeClaim"))
			if err := change(client); err != nil {
				t.Fatal(err)
			}
			activate(scopeOf("ConfigMap"), secret, claim)
			if err := change(client); err != nil {
				t.Fatal(err)
			}
			if err := state.Release(t.Context(), "websites", secret); err != nil {
				t.Fatal(err)
			}
			// Another process has what is written alone.
			state = NewState(client, "kooper-system", "records")
			activate(scopeOf(), OwnedRecord{APIVersion: "v1", Kind: "ConfigMap"}, claim)
		})
	}
}

// TestFormerKinds has definitions that own less than before, by kind or by namespace.
func TestFormerKinds(t *testing.T) {
	owned := func(anywhere bool, namespaces ...string) OwnedRecord {
		return OwnedRecord{APIVersion: "v1", Kind: "Secret", AnyNamespace: anywhere, Namespaces: namespaces}
	}
	in := func(namespaces []string, owns ...OwnedRecord) Scope {
		return Scope{APIVersion: "demo.kooperd.dev/v1", Kind: "Website", Namespaces: namespaces, Owns: owns}
	}
	except := func(o OwnedRecord, namespaces ...string) OwnedRecord {
		o.Except = namespaces
		return o
	}
	a, ab := []string{"a"}, []string{"a", "b"}
	for name, tc := range map[string]struct {
		before, now Scope
		want        []OwnedRecord
	}{
		"nothing changes":                  {before: in(a, owned(false, "a")), now: in(a, owned(false, "a"))},
		"anywhere, and in one namespace":   {before: in(a, owned(true)), now: in(a, owned(false, "a")), want: []OwnedRecord{except(owned(true), "a")}},
		"anywhere, and in all namespaces":  {before: in(nil, owned(true)), now: in(nil, owned(false))},
		"in one namespace, and anywhere":   {before: in(a, owned(false, "a")), now: in(a, owned(true))},
		"a namespace less":                 {before: in(ab, owned(false, "a", "b")), now: in(a, owned(false, "a"))},
		"the kind":                         {before: in(ab, owned(false, "a", "b")), now: in(ab), want: []OwnedRecord{owned(false, "a", "b")}},
		"the kind, and a namespace":        {before: in(ab, owned(false, "a", "b")), now: in(a), want: []OwnedRecord{owned(false, "a")}},
		"the kind, and all namespaces":     {before: in(a, owned(false, "a")), now: in([]string{"c"})},
		"the kind, everywhere before":      {before: in(nil, owned(false)), now: in(a), want: []OwnedRecord{owned(false, "a")}},
		"the kind, anywhere before":        {before: in(a, owned(true)), now: in(a), want: []OwnedRecord{owned(true)}},
		"the kind once more in both parts": {before: in(a, owned(true), owned(true)), now: in(a), want: []OwnedRecord{owned(true)}},
	} {
		t.Run(name, func(t *testing.T) {
			next, found := Record{Scope: tc.before}.activate(tc.now)
			former := found.Former
			if diff := cmp.Diff(tc.want, former); diff != "" {
				t.Errorf("former kinds (-want +got):\n%s", diff)
			}
			for _, kind := range former {
				next = next.release(kind)
			}
			if diff := cmp.Diff(tc.now.Owns, next.Owns, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("owned after their release (-want +got):\n%s", diff)
			}
		})
	}
}

// TestStateIsReadOnceInATerm has several definitions, and several terms.
func TestStateIsReadOnceInATerm(t *testing.T) {
	client := fake.NewClientset()
	configMaps := client.CoreV1().ConfigMaps("kooper-system")
	state := NewState(configMaps, "kooper-system", "records")
	take := func() (verbs []string) {
		for _, action := range client.Actions() {
			verbs = append(verbs, action.GetVerb())
		}
		client.ClearActions()
		return verbs
	}
	names := []string{"a", "b", "c"}
	activate := func(want ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := state.Activate(t.Context(), name, scopeOf("Secret")); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, take()); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
	state.Begin()
	activate("get", "create", "update", "update")
	activate()
	state.Begin()
	activate("get")

	state = NewState(configMaps, "kooper-system", "records")
	if state.Expects("a", scopeOf("Secret")) {
		t.Error("records are expected that were never read")
	}
	if err := state.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for scope, want := range map[string]bool{"Secret": true, "ConfigMap": false} {
		if have := state.Expects("a", scopeOf(scope)); have != want {
			t.Errorf("is it expected that a owns %s? %t, want %t", scope, have, want)
		}
	}
	take()
	activate("get")

	// Changes that come while one is written wait, and are one write together.
	state.Begin()
	<-state.turn
	var changes sync.WaitGroup
	for _, name := range names {
		changes.Go(func() {
			if _, err := state.Activate(t.Context(), name, scopeOf("Secret", "ConfigMap")); err != nil {
				t.Error(err)
			}
		})
	}
	for waiting := 0; waiting < len(names); {
		state.mu.Lock()
		waiting = len(state.pending)
		state.mu.Unlock()
		runtime.Gosched()
	}
	state.turn <- struct{}{}
	changes.Wait()
	if have := take(); !slices.Equal(have, []string{"get", "update"}) {
		t.Errorf("requests %v, want one of each kind", have)
	}
}

// TestLostRecordIsNoChange has a definition without a record, which was lost or never there: nobody
// knows that it has changed, so what the brake holds is held.
func TestLostRecordIsNoChange(t *testing.T) {
	client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
	activate := func(digest string) Activation {
		t.Helper()
		scope := scopeOf("ConfigMap")
		scope.Digest = digest
		found, err := NewState(client, "kooper-system", "records").Activate(t.Context(), "websites", scope)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for range 2 {
		if at := activate("a").Changed; !at.IsZero() {
			t.Errorf("it has changed at %s", at)
		}
	}
	for range 2 {
		if activate("b").Changed.IsZero() {
			t.Error("it has changed just now, and does not say so")
		}
	}
	removed := Record{Scope: Scope{APIVersion: "v1", Kind: "ConfigMap", Digest: "a"}, Changed: time.Unix(0, 0)}.remove(time.Now())
	if next, found := removed.activate(Scope{Digest: "a"}); found.Changed.IsZero() || !next.Removed.IsZero() {
		t.Errorf("one that was removed and is there again has changed at %s", found.Changed)
	}
}

// TestActivationThatIsGivenUp is for the race detector: the change of one that has given up is
// carried out by another.
func TestActivationThatIsGivenUp(t *testing.T) {
	state := NewState(fake.NewClientset().CoreV1().ConfigMaps("kooper-system"), "kooper-system", "records")
	<-state.turn
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if found, err := state.Activate(ctx, "websites", scopeOf("ConfigMap")); err == nil {
			t.Errorf("found %+v", found)
		}
	})
	var taken []*edit
	for len(taken) == 0 {
		runtime.Gosched()
		state.mu.Lock()
		taken, state.pending = state.pending, nil
		state.mu.Unlock()
	}
	cancel()
	for range 1000 {
		taken[0].apply(Record{}, false)
	}
	running.Wait()
}

// TestRecordSaysSinceWhen has a record that was made, went on, and was lost: what is older than the
// record may be what the file has not wanted any more.
func TestRecordSaysSinceWhen(t *testing.T) {
	begun := time.Now().Add(-time.Second)
	first, found := Record{}.activate(scopeOf("ConfigMap"))
	if found.Since.Before(begun) || !found.Since.Equal(first.Since) {
		t.Fatalf("a new record is since %s", found.Since)
	}
	old := begun.Add(-time.Hour)
	for name, tc := range map[string]struct {
		before Record
		want   time.Time
	}{
		"that goes on":                 {before: Record{Scope: scopeOf("ConfigMap"), Since: old}, want: old},
		"from an earlier version":      {before: Record{Scope: scopeOf("ConfigMap")}},
		"of a definition that is back": {before: Record{Scope: scopeOf("ConfigMap"), Since: old}.remove(begun), want: old},
		"of a former id":               {before: first.merge("former", Record{Scope: scopeOf("ConfigMap"), Since: old}, true), want: old},
	} {
		if _, found := tc.before.activate(scopeOf("Secret")); !found.Since.Equal(tc.want) {
			t.Errorf("a record %s is since %s, want %s", name, found.Since, tc.want)
		}
	}
}
