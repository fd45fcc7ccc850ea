package failover_test

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// edit is a change of the lease by hand.
type edit struct {
	name string
	// patch is a merge patch of the lease; empty means that it is deleted.
	patch string
	// thief holds the lease after it; empty for no one or its holder.
	thief string
	// keeps says that the term goes on.
	keeps bool
	// refused says that the API server does not take the patch.
	refused bool
	// forever says that the lease stays as it is until it is repaired.
	forever bool
	// misleads says that a process that has just been started cannot know that another may be at
	// work: it finds no lease, or itself in it. Everything else is safe at any time, whichever
	// replica hears of it when.
	misleads bool
	// yardstick says that client-go is measured, too.
	yardstick bool
	// usual says that it stands for others of its kind where not all are tried.
	usual bool
}

// edits are what people and broken tools do to leases. The lease is that of a leader with 3/2/1.
var edits = []edit{
	{name: "stolen", patch: `{"spec":{"holderIdentity":"thief","leaseDurationSeconds":3}}`, thief: "thief", yardstick: true, usual: true},
	{name: "deleted", misleads: true, usual: true},
	{name: "holder emptied", patch: `{"spec":{"holderIdentity":""}}`},
	{name: "holder removed", usual: true, patch: `{"spec":{"holderIdentity":null}}`},
	{name: "spec emptied", usual: true, patch: `{"spec":{"holderIdentity":null,"leaseDurationSeconds":null,"acquireTime":null,"renewTime":null,"leaseTransitions":null}}`},
	{name: "shortened", usual: true, patch: `{"spec":{"leaseDurationSeconds":1}}`},
	{name: "shortened and renewed", patch: `{"spec":{"leaseDurationSeconds":1,"renewTime":"NOW"}}`},
	{name: "emptied and shortened", patch: `{"spec":{"holderIdentity":null,"leaseDurationSeconds":1}}`},
	{name: "duration removed", patch: `{"spec":{"leaseDurationSeconds":null}}`},
	{name: "prolonged", usual: true, patch: `{"spec":{"leaseDurationSeconds":3600}}`, keeps: true},
	{name: "times removed", usual: true, patch: `{"spec":{"acquireTime":null,"renewTime":null}}`},
	{name: "renewed in the year 9999", patch: `{"spec":{"renewTime":"9999-12-31T23:59:59.999999Z"}}`},
	{name: "renewed in the year 0001", patch: `{"spec":{"renewTime":"0001-01-01T00:00:00.000000Z"}}`},
	{name: "counted to the limit", patch: `{"spec":{"leaseTransitions":2147483647}}`},
	{name: "stolen with all limits reached", thief: "thief", patch: `{"spec":{"holderIdentity":"thief","leaseTransitions":2147483647,` +
		`"leaseDurationSeconds":2,"acquireTime":"9999-12-31T23:59:59.999999Z","renewTime":"9999-12-31T23:59:59.999999Z"}}`},
	{name: "given to the standby", misleads: true, patch: `{"spec":{"holderIdentity":"STANDBY"}}`},
	{name: "stolen for 68 years", patch: `{"spec":{"holderIdentity":"thief","leaseDurationSeconds":2147483647}}`, thief: "thief", forever: true},
	{name: "annotated", patch: `{"metadata":{"annotations":{"note":"hands off"},"labels":{"team":"a"}}}`, keeps: true},
	{name: "holder a number", usual: true, patch: `{"spec":{"holderIdentity":7}}`, keeps: true, refused: true},
	{name: "duration a text", patch: `{"spec":{"leaseDurationSeconds":"soon"}}`, keeps: true, refused: true},
	{name: "duration negative", patch: `{"spec":{"leaseDurationSeconds":-3}}`, keeps: true, refused: true},
	{name: "duration beyond 32 bits", patch: `{"spec":{"leaseDurationSeconds":99999999999}}`, keeps: true, refused: true},
	{name: "renewTime a number", patch: `{"spec":{"renewTime":1700000000}}`, keeps: true, refused: true},
	{name: "transitions negative", patch: `{"spec":{"leaseTransitions":-1}}`, keeps: true, refused: true},
	{name: "spec a list", patch: `{"spec":[]}`, keeps: true, refused: true},
}

// TestLeaseEdits edits the lease of a leader by hand.
func TestLeaseEdits(t *testing.T) {
	t.Parallel()
	lost := row{
		section: "Lease stolen, edited, emptied or deleted by hand", measure: "edit to last write of the leader",
		program: kooperd.name, timing: fast.String(), kept: -1,
	}
	kept := row{section: "Lease annotated, prolonged or patched with wrong types", program: kooperd.name, timing: fast.String()}
	s := newScene(t, shared, kooperd, fast, steady, "a", "b")
	leader, standby := s.startPair(t)
	var handovers []handover
	for range times(1, 3) {
		for _, e := range edits {
			if !e.usual && !flags.conformance {
				continue
			}
			if e.keeps {
				kept.n++
				s.editInVain(t, e, leader, standby)
				kept.kept++
				continue
			}
			handovers = append(handovers, s.editAndLose(t, e, leader, standby))
			leader, standby = standby, leader
		}
	}
	s.stopAll(t)
	all := s.writes(t)
	s.verify(t, all)
	for _, x := range handovers {
		s.stepDown(t, all, x, &lost)
	}
	table.add(lost)
	table.add(kept)
}

// TestLeaseEditsYardstick steals the lease of client-go. (A deleted one it makes again.)
func TestLeaseEditsYardstick(t *testing.T) {
	if !flags.full {
		t.Skip("a figure, not a demand: measured with -failover.full")
	}
	t.Parallel()
	lost := row{
		section: "Lease stolen by hand", measure: "edit to last write of the leader",
		program: yardstick.name, timing: fast.String(), kept: -1,
	}
	s := newScene(t, shared, yardstick, fast, steady, "a", "b")
	leader, standby := s.startPair(t)
	var handovers []handover
	for range times(1, 5) {
		for _, e := range edits {
			if e.yardstick {
				handovers = append(handovers, s.editAndLose(t, e, leader, standby))
				leader, standby = standby, leader
			}
		}
	}
	s.stopAll(t)
	all := s.writes(t)
	for _, x := range handovers {
		s.stepDown(t, all, x, &lost)
	}
	table.add(lost)
}

// stepDown adds to the row how long the old leader worked after the edit, and whether it did after
// the next one had begun.
func (s *scene) stepDown(t *testing.T, all []write, x handover, r *row) {
	t.Helper()
	last := lastOf(t, "marker by "+x.old, markersBy(all, x.old))
	r.times = append(r.times, max(last.received.Sub(x.at), 0))
	r.overlaps = append(r.overlaps, overlapOf(all, x.old, x.next))
	if after := last.received.Sub(x.at); s.program.ours && flags.conformance && after > s.timing.retry && !stalls.disturbed(x.at, last.received) {
		t.Errorf("%s went on working for %s after its lease was edited, want at most %s", x.old, after, s.timing.retry)
	}
}

// apply does what the edit says.
func (s *scene) apply(t *testing.T, e edit, standby string) {
	t.Helper()
	err := s.tryEdit(t, e, standby)
	if refused := apierrors.IsInvalid(err) || apierrors.IsBadRequest(err); refused != e.refused || err != nil && !refused {
		t.Fatalf("%s: editing the lease: %v, want refusal: %v", e.name, err, e.refused)
	}
}

// tryEdit does what the edit says and returns what the API server says.
func (s *scene) tryEdit(t *testing.T, e edit, standby string) error {
	t.Helper()
	leases := s.client().CoordinationV1().Leases(s.namespace)
	if e.patch == "" {
		return leases.Delete(t.Context(), leaseName, metav1.DeleteOptions{})
	}
	now := time.Now().UTC().Format(metav1.RFC3339Micro)
	patch := strings.NewReplacer("STANDBY", standby, "NOW", now).Replace(e.patch)
	_, err := leases.Patch(t.Context(), leaseName, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// editInVain edits the lease and wants the term to go on.
func (s *scene) editInVain(t *testing.T, e edit, leader, standby *replica) {
	t.Helper()
	if s.program.ours {
		// On its first look it would believe for ten minutes what a hand has written.
		standby.process.AwaitLog(t, "leader changed")
	}
	s.apply(t, e, "")
	identity, from := leader.identity(), s.history.position()
	// Two renewals after the edit, with work between them.
	for range 2 {
		s.history.await(t, from, "a renewal by "+identity+" after the lease was "+e.name, func(event event) bool {
			return event.lease != nil && leaseKeyOf(event.lease).holder == identity
		})
		from = s.history.position()
	}
	s.awaitWork(t, leader, from)
	if lease := s.lease(t); leaseKeyOf(&lease.Spec).duration != int32(s.timing.lease.Seconds()) {
		t.Errorf("%s: the lease's duration is %d, want it corrected", e.name, leaseKeyOf(&lease.Spec).duration)
	}
}

// editAndLose edits the lease and wants the standby to lead, when it may.
func (s *scene) editAndLose(t *testing.T, e edit, leader, standby *replica) handover {
	t.Helper()
	pause(t, s.someTime(0, s.timing.retry))
	if s.program.ours {
		standby.process.AwaitLog(t, "leader changed") // else it may find no lease on its first look
	}
	from := s.history.position()
	x := handover{leader.identity(), standby.identity(), time.Now()}
	s.apply(t, e, standby.identity())
	status := leader.ended(t)
	if s.program.ours && status != 3 {
		t.Errorf("%s: exit status is %d, want 3", e.name, status)
	}
	ended := leader.process.Ended()
	if took := ended.Sub(x.at); s.program.ours && flags.conformance && took > s.timing.retry && !stalls.disturbed(x.at, ended) {
		t.Errorf("%s: the process ended %s after the edit, want at most %s", e.name, took, s.timing.retry)
	}
	if e.forever {
		s.repair(t, from, x.at)
	}
	s.awaitWork(t, standby, from)
	leader.start(t)
	return x
}

// repair wants the lease to be left alone for some time, and gives it back then.
func (s *scene) repair(t *testing.T, from int, since time.Time) {
	t.Helper()
	pause(t, time.Until(since.Add(s.timing.lease+2*s.timing.retry)))
	if lease := s.lease(t); leaseKeyOf(&lease.Spec).holder != "thief" {
		t.Errorf("the lease is held by %q, want it left to the thief", leaseKeyOf(&lease.Spec).holder)
	}
	for _, e := range s.history.all()[from:] {
		if e.marker != nil && e.seen.After(since.Add(s.timing.retry)) {
			t.Errorf("%s has worked under the lease of the thief", e.marker.Identity)
		}
	}
	s.apply(t, edit{patch: `{"spec":{"holderIdentity":""}}`}, "")
}

// lease returns the lease as it is.
func (s *scene) lease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	lease, err := s.client().CoordinationV1().Leases(s.namespace).Get(t.Context(), leaseName, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading the lease: %v", err)
	}
	return lease
}
