package compose

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestRolloutOfMany has many parents that are not ready: what each pass says costs no walk through
// all of them, since all passes wait for it.
func TestRolloutOfMany(t *testing.T) {
	const parents = 2000
	gate := &Rollout{now: time.Now}
	told := 0
	gate.OnChanged(func() { told++ })
	gate.begin(rolloutTerm{
		limits: &config.Rollout{
			MaxUnavailable: config.Share{Number: 1}, PauseWhen: &config.PauseWhen{NotReady: config.Share{Number: parents}, LongerThan: time.Hour},
		},
		digest: "2", metrics: telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout(),
		call: func(kube.Key) {}, exists: func() []kube.Key { return nil },
	})
	no := func() bool { return false }
	ask := func(i int, ready bool) bool {
		name := fmt.Sprintf("web%05d", i)
		return gate.holds(rolloutQuestion{
			key: kube.Key{Namespace: "team-a", Name: name}, uid: types.UID(name), digest: "2", desired: "x", ready: ready, isNew: no, wished: no, since: time.Now,
		})
	}
	for i := range parents {
		if held := ask(i, false); held != (i > 0) {
			t.Fatalf("parent %d is held: %t", i, held)
		}
	}
	if told < parents-1 {
		t.Errorf("it was told %d times, want each time that one more is held", told)
	}
	told = 0
	if n := testing.AllocsPerRun(10, func() { ask(parents-1, false) }); n > 20 {
		t.Errorf("a question makes %v allocations while %d are not ready", n, parents)
	}
	if told > 0 {
		t.Errorf("it was told %d times that all is as it was", told)
	}
	ask(parents-1, true)
	if got, want := gate.Describe(), "; 1999 are not ready, of 1 that may be: team-a/web00000, team-a/web00001, team-a/web00002, …"; told != 1 || got[max(0, len(got)-len(want)):] != want {
		t.Errorf("it was told %d times, and says %q", told, got)
	}
}

// TestRolloutCountsThoseThatAreLate has parents that have what is desired, and have not been ready
// since different moments.
func TestRolloutCountsThoseThatAreLate(t *testing.T) {
	begin := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	var p rolledParents
	var all []*rolled
	for i, since := range []int{5, 1, 3, 1, 9, 3} {
		e := p.add(types.UID(fmt.Sprint(i)), kube.Key{Name: fmt.Sprint(i)}, 1)
		p.change(e, func() { e.current, e.ready, e.since = true, false, begin.Add(time.Duration(since)*time.Minute) })
		all = append(all, e)
	}
	want := func(when string, after time.Duration, number int, then time.Duration) {
		t.Helper()
		if n, next := p.overdue(begin.Add(after), time.Minute); n != number || next != then {
			t.Errorf("%s, %d are late, and the next one is in %s; want %d, and %s", when, n, next, number, then)
		}
	}
	want("at first", 0, 0, 2*time.Minute)
	want("at the end of two", 2*time.Minute, 2, 2*time.Minute)
	want("a moment before the end of two more", 4*time.Minute-1, 2, 1)
	want("at the end of all", time.Hour, 6, 0)
	p.change(all[3], func() { all[3].ready = true })
	p.change(all[2], func() { all[2].moving = true })
	p.change(all[5], func() { all[5].current = false })
	p.remove("4")
	want("when two are left", time.Hour, 2, 0)
	want("before those are late", time.Minute, 0, time.Minute)
	p.change(all[2], func() { all[2].moving = false })
	want("when one has what is desired", 4*time.Minute, 2, 2*time.Minute)
	if !slices.IsSortedFunc(p.late, func(a, b *rolled) int { return a.since.Compare(b.since) }) || len(p.late) != 3 {
		t.Errorf("%d are kept, or not in their order", len(p.late))
	}
}
