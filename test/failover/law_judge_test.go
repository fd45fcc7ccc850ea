package failover_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/failover/marker"
)

// historyBuilder makes histories for the tests of the judge: one write per call, a second apart.
type historyBuilder struct{ writes []write }

func (b *historyBuilder) add(w write) *historyBuilder {
	w.rv = uint64(len(b.writes) + 1)
	w.received = time.Unix(0, 0).Add(time.Duration(len(b.writes)) * time.Second)
	w.answered = w.received
	b.writes = append(b.writes, w)
	return b
}

// lease is a write of the lease by a replica, or by none.
func (b *historyBuilder) lease(by, holder string) *historyBuilder {
	seconds := int32(3)
	at := metav1.NewMicroTime(time.Unix(int64(len(b.writes)), 0))
	return b.add(write{by: by, lease: &coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at}})
}

func (b *historyBuilder) mark(identity string, pid int) *historyBuilder {
	return b.add(write{by: place(identity), marker: &marker.Stamp{Identity: identity, PID: pid, Write: int64(len(b.writes))}})
}

// unconfirmed is a write that was begun at a second, and stored without an answer.
func (b *historyBuilder) unconfirmed(identity string, pid int, sent int64) *historyBuilder {
	b.mark(identity, pid)
	last := &b.writes[len(b.writes)-1]
	last.unconfirmed, last.marker.Sent = true, time.Unix(sent, 0)
	return b
}

func (b *historyBuilder) pass(seconds int) *historyBuilder {
	for range seconds {
		b.add(write{by: "nobody", marker: &marker.Stamp{}}) // the zero identity is entitled when no replica is
	}
	return b
}

// annotated is an edit by hand that leaves the record alone.
func (b *historyBuilder) annotated() *historyBuilder {
	return b.add(write{lease: b.writes[len(b.writes)-1].lease})
}

func (b *historyBuilder) deleted() *historyBuilder { return b.add(write{deleted: true}) }

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		history *historyBuilder
		stood   []cluster.Standstill
		want    []string // parts of the violations
	}{
		"one leader":       {history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).mark("a_1", 1)},
		"release and take": {history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).lease("a", "").lease("b", "b_1").mark("b_1", 2)},
		"work without a lease": {
			history: new(historyBuilder).mark("a_1", 1),
			want:    []string{`was stored while "" was entitled`},
		},
		"work after the takeover": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").lease("b", "b_1").mark("b_1", 2).mark("a_1", 1),
			want:    []string{`of a_1 (process 1), begun at Jan  1 00:00:00.000000, was stored while "b_1" was entitled`},
		},
		"work between release and takeover": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").mark("a_1", 1),
			want:    []string{`was stored while "" was entitled`},
		},
		"taken too early": {
			history: new(historyBuilder).lease("a", "a_1").lease("b", "b_1"),
			want:    []string{`b_1 took the lease of "a_1" 2s before it expired`},
		},
		"taken after its expiry": {
			history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).mark("a_1", 1).lease("b", "b_1"),
		},
		"renewals count": {
			history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).lease("a", "a_1").mark("a_1", 1).lease("b", "b_1"),
			want:    []string{`b_1 took the lease of "a_1" 1s before`},
		},
		"released by another": {
			history: new(historyBuilder).lease("a", "a_1").lease("b", ""),
			want:    []string{`b has released the lease of "a_1"`},
		},
		"stolen by hand":               {history: new(historyBuilder).lease("a", "a_1").lease("", "thief").mark("a_1", 1)},
		"taken from the thief":         {history: new(historyBuilder).lease("", "thief").lease("a", "a_1"), want: []string{`took the lease of "thief"`}},
		"taken from the expired thief": {history: new(historyBuilder).lease("", "thief").pass(2).lease("a", "a_1").mark("a_1", 1)},
		"emptied by hand and taken at once": {
			history: new(historyBuilder).lease("a", "a_1").lease("", "").lease("b", "b_1").mark("a_1", 1),
			want:    []string{`b_1 took the lease of "a_1" 1s before`, `was stored while "b_1" was entitled`},
		},
		"annotated by hand and taken after its expiry": {
			history: new(historyBuilder).lease("a", "a_1").annotated().mark("a_1", 1).lease("b", "b_1"),
		},
		"emptied by hand and taken later": {history: new(historyBuilder).lease("a", "a_1").lease("", "").mark("a_1", 1).mark("a_1", 1).lease("b", "b_1")},
		"given back by hand and taken at once": {
			history: new(historyBuilder).lease("a", "a_1").lease("", "thief").lease("", "a_1").lease("b", "b_1"),
			want:    []string{`b_1 took the lease of "a_1" 2s before`},
		},
		"deleted and taken at once": {
			history: new(historyBuilder).lease("a", "a_1").deleted().lease("b", "b_1"),
			want:    []string{`b_1 took the lease of "a_1" 2s before`},
		},
		"deleted and taken later": {history: new(historyBuilder).lease("a", "a_1").deleted().mark("a_1", 1).mark("a_1", 1).lease("b", "b_1")},
		"deleted and made for no one": {
			history: new(historyBuilder).lease("a", "a_1").deleted().lease("b", "b_1_vacant").mark("a_1", 1).mark("a_1", 1).lease("c", "c_1").mark("c_1", 2),
		},
		"taken while it is not held": {
			history: new(historyBuilder).lease("a", "a_1").deleted().lease("b", "b_1_vacant").lease("c", "c_1"),
			want:    []string{`c_1 took the lease of "b_1_vacant" 2s before it expired`},
		},
		"made for no one though it is there": {
			history: new(historyBuilder).lease("a", "a_1").lease("b", "b_1_vacant"),
			want:    []string{`b_1_vacant took the lease of "a_1" 2s before it expired`},
		},
		"received before a standstill": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").lease("b", "b_1").unconfirmed("a_1", 1, 1),
			stood:   []cluster.Standstill{{Began: time.Unix(1, 0), Ended: time.Unix(2, 0)}},
		},
		"confirmed after a standstill": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").lease("b", "b_1").mark("a_1", 1),
			stood:   []cluster.Standstill{{Began: time.Unix(-1, 0), Ended: time.Unix(2, 0)}},
			want:    []string{"was stored while"},
		},
		"sent after a standstill": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").lease("b", "b_1").unconfirmed("a_1", 1, 3),
			stood:   []cluster.Standstill{{Began: time.Unix(1, 0), Ended: time.Unix(2, 0)}},
			want:    []string{"which the API server has stored without saying so"},
		},
		"sent long before a standstill": {
			history: new(historyBuilder).lease("a", "a_1").lease("a", "").lease("b", "b_1").unconfirmed("a_1", 1, 0),
			stood:   []cluster.Standstill{{Began: time.Unix(2, 0), Ended: time.Unix(3, 0)}},
			want:    []string{"which the API server has stored without saying so"},
		},
		"restarted in place": {history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).lease("a", "a_1").mark("a_1", 2)},
		"two processes": {
			history: new(historyBuilder).lease("a", "a_1").mark("a_1", 1).mark("a_1", 2).mark("a_1", 1),
			want:    []string{"process 1 of a_1 works again after process 2"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			found := violations(tc.history.writes, tc.stood)
			if len(found) != len(tc.want) {
				t.Fatalf("violations are %v, want %d", found, len(tc.want))
			}
			for i, v := range found {
				if !strings.Contains(v.what, tc.want[i]) {
					t.Errorf("violation is %q, want it to say %q", v.what, tc.want[i])
				}
			}
		})
	}
}

// TestMerge checks that what only one of the two sources knows is in the history, in its place.
func TestMerge(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	stamp := func(n int64) *marker.Stamp { return &marker.Stamp{Identity: "a_1", PID: 1, Write: n} }
	events := []event{
		{rv: 30, seen: at(31), marker: stamp(3)}, // the streams of a history are not in order
		{rv: 10, seen: at(11), marker: stamp(1)},
		{rv: 50, seen: at(51), marker: stamp(5)},
	}
	requests := []*request{
		{received: at(9), answered: at(10), by: "a", accepted: true, marker: stamp(1)},
		{received: at(29), answered: at(30), by: "a", marker: stamp(3)},                 // answered with an error, and stored
		{received: at(39), answered: at(40), by: "a", accepted: true, marker: stamp(4)}, // in a gap of the watch
		{received: at(44), answered: at(45), by: "a", marker: stamp(6)},                 // refused
	}
	all := merge(events, requests)
	var order []int64
	for _, w := range all {
		order = append(order, w.marker.Write)
	}
	if want := []int64{1, 3, 4, 5}; !slices.Equal(order, want) {
		t.Fatalf("the order of writes is %v, want %v", order, want)
	}
	if all[0].unconfirmed || !all[1].unconfirmed || all[2].unconfirmed {
		t.Errorf("unconfirmed are %v %v %v, want only the second", all[0].unconfirmed, all[1].unconfirmed, all[2].unconfirmed)
	}
	if !all[0].received.Equal(at(9)) || !all[3].received.Equal(at(51)) {
		t.Errorf("times are %v and %v, want those of the audit log, else of the watch", all[0].received, all[3].received)
	}
	o := overlapOf([]write{
		{rv: 1, marker: stamp(1), received: at(1)},
		{rv: 2, marker: &marker.Stamp{Identity: "b_1"}, received: at(2)},
		{rv: 3, marker: stamp(2), received: at(4)},
	}, "a_1", "b_1")
	if o.writes != 1 || o.duration != 2*time.Second {
		t.Errorf("the overlap is %+v, want one write and 2s", o)
	}
}

// An edit can write a time of zero. The API server stores it, and drops it with the next write of
// whatever field, which therefore is no change of the record.
func TestZeroTimesAreNone(t *testing.T) {
	holder := "a_1"
	zero := &coordinationv1.LeaseSpec{
		HolderIdentity: &holder, RenewTime: &metav1.MicroTime{}, AcquireTime: &metav1.MicroTime{},
	}
	if got, want := leaseKeyOf(zero), leaseKeyOf(&coordinationv1.LeaseSpec{HolderIdentity: &holder}); got != want {
		t.Errorf("the key with times of zero is %+v, want that without: %+v", got, want)
	}
}
