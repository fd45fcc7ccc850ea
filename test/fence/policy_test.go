package fence_test

import (
	"fmt"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stage is a fenced account with all clients that might write.
type stage struct {
	fenced

	first, second candidate
	unbound       client // the account, with a token of no pod
	other         client // another account, in a pod
	admin         client
}

func setStage(t *testing.T) stage {
	t.Helper()
	shared.Apply(t, widgetDefinition)
	f := install(t, rights)
	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\n", existing, f.namespace))
	return stage{
		fenced: f, first: f.candidate(t, "first"), second: f.candidate(t, "second"),
		unbound: newClient(t, shared.ServiceAccount(t, f.namespace, account)),
		other:   newClient(t, shared.PodServiceAccount(t, f.namespace, "other", "third", rights)),
		admin:   newClient(t, shared.AdminConfig()),
	}
}

// must runs operations that must succeed.
func (s stage) must(t *testing.T, who string, c client, operations map[string]operation) {
	t.Helper()
	for what, do := range operations {
		if err := do(t.Context(), s.namespace, c); err != nil {
			t.Errorf("%s by %s: %v", what, who, err)
		}
	}
}

// mustNot runs operations that the fence must refuse with a message that ends in want.
func (s stage) mustNot(t *testing.T, c client, want string) {
	t.Helper()
	for what, do := range writes {
		t.Run(what, func(t *testing.T) { s.refusal(t, do(t.Context(), s.namespace, c), want) })
	}
}

// untouched checks that no other client notices the fence.
func (s stage) untouched(t *testing.T) {
	t.Helper()
	for who, c := range map[string]client{"another account": s.other, "the administrator": s.admin} {
		s.must(t, who, c, writes)
		s.must(t, who, c, free)
	}
}

// TestOnlyTheHolderWrites has one stage for all its parts, because it takes the API server seconds
// to set.
func TestOnlyTheHolderWrites(t *testing.T) {
	s := setStage(t)

	t.Run("held", func(t *testing.T) {
		s.setHolder(t, s.first.identity)
		s.awaitHolder(t, s.first.identity)
		s.must(t, "the holder", s.first.client, writes)
		s.must(t, "the holder", s.first.client, free)
		s.mustNot(t, s.second.client, s.heldBy(s.first.identity)+by(s.second.identity))
		s.must(t, "the other candidate", s.second.client, free)
		s.untouched(t)
	})
	t.Run("token of no pod", func(t *testing.T) {
		s.mustNot(t, s.unbound, s.heldBy(s.first.identity)+tokenOfNoPod)
		s.must(t, "a token of no pod", s.unbound, free)
	})
	t.Run("taken over", func(t *testing.T) {
		s.setHolder(t, s.second.identity)
		s.awaitHolder(t, s.second.identity)
		s.must(t, "the holder", s.second.client, writes)
		s.mustNot(t, s.first.client, s.heldBy(s.second.identity)+by(s.first.identity))
	})
	t.Run("pod of the same name", func(t *testing.T) {
		earlier := s.first.pod + "_00000000-0000-0000-0000-000000000000"
		s.setHolder(t, earlier)
		s.awaitHolder(t, earlier)
		s.mustNot(t, s.first.client, s.heldBy(earlier)+by(s.first.identity))
	})
	t.Run("released", func(t *testing.T) {
		s.setHolder(t, "")
		s.awaitHolder(t, "")
		for _, c := range []candidate{s.first, s.second} {
			s.mustNot(t, c.client, s.heldBy("")+by(c.identity))
			s.must(t, "a candidate", c.client, free)
		}
		s.untouched(t)
	})
	t.Run("edited", func(t *testing.T) {
		shared.Kubectl(t, "patch", "lease", leaseName, "-n", s.namespace, "--type=merge", "-p", `{"spec":null}`)
		s.awaitHolder(t, "")
		s.mustNot(t, s.first.client, s.heldBy("")+by(s.first.identity))
		s.untouched(t)
	})
	t.Run("lifted", s.testLifted)
	t.Run("deleted", s.testDeleted)
}

// testLifted takes the fence out of force and puts it back, as its description says. Meanwhile the
// lease changes hands.
func (s stage) testLifted(t *testing.T) {
	s.setHolder(t, s.first.identity)
	s.awaitHolder(t, s.first.identity)
	s.setActions(t, "Audit")
	s.awaitOpen(t)
	s.must(t, "a candidate without the lease", s.second.client, writes)
	s.setHolder(t, s.second.identity)
	s.setActions(t, "Deny")
	s.awaitHolder(t, s.second.identity)
	s.must(t, "the holder", s.second.client, writes)
}

func (s stage) setActions(t *testing.T, action string) {
	t.Helper()
	shared.Kubectl(t, "patch", "validatingadmissionpolicybinding", s.policy, "--type=merge", "-p", `{"spec":{"validationActions":["`+action+`"]}}`)
}

// testDeleted shows the price of a fence that harms no other client: while there is no Lease there
// is no fence either. It is in force again with the next Lease, which any candidate can create.
func (s stage) testDeleted(t *testing.T) {
	leases := shared.Client().CoordinationV1().Leases(s.namespace)
	if err := leases.Delete(t.Context(), leaseName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.awaitOpen(t)
	s.must(t, "another account", s.other, writes)
	s.must(t, "the administrator", s.admin, writes)

	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: leaseSpec(s.second.identity)}
	if _, err := s.second.typed.CoordinationV1().Leases(s.namespace).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating the lease as a candidate: %v", err)
	}
	s.awaitHolder(t, s.second.identity)
	s.mustNot(t, s.first.client, s.heldBy(s.second.identity)+by(s.first.identity))
	s.must(t, "the holder", s.second.client, writes)
}
