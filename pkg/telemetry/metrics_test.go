package telemetry

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kooperd.dev/kooperd/pkg/status"
)

// everything makes metrics of which each has a sample.
func everything() (*Metrics, *prometheus.Registry) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.Controller("pods")
	m.Source(SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "payments", Selector: "app=web"}).SetState(status.Syncing)
	status.NewBoard(m).Set("pods", status.Syncing, "")
	m.SetConfig("abc")
	m.SetBuild("v1.2.3", "go1.26")
	m.ObserveLeadership("kooperd", func() bool { return false }, func() time.Duration { return 0 })
	m.ObserveLeaseWanted(func() bool { return false })
	m.ObserveLeaseWatch(func() time.Duration { return 0 })
	m.ObserveLog(func() uint64 { return 0 })
	m.Controller("pods").ObserveRunning(func() (sum, longest time.Duration) { return 0, 0 })
	m.Controller("pods").ObserveDeletions(func() (objects int, longest time.Duration) { return 0, 0 })
	m.Controller("pods").ObserveParents(func() (notReady, childDeletion time.Duration) { return 0, 0 })
	return m, registry
}

func TestMetricNamesAreClean(t *testing.T) {
	_, registry := everything()
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatalf("linting: %v", err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestKooperMetricsKeepTheirNames(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := NewMetrics(registry).Controller("pods")
	c.Queued(false)
	c.Queued(true)
	c.Queued(true)
	c.Waited(20 * time.Millisecond)
	c.Processed(time.Second, true)
	c.Processed(time.Second, false)
	c.Processed(time.Second, false)
	c.QueueLength(7)
	want := map[string]float64{
		`kooper_controller_queued_events_total{controller="pods",requeue="false"}`:             1,
		`kooper_controller_queued_events_total{controller="pods",requeue="true"}`:              2,
		`kooper_controller_event_in_queue_duration_seconds{controller="pods"}`:                 1,
		`kooper_controller_processed_event_duration_seconds{controller="pods",success="true"}`: 1,
		// A failed attempt is a failure, whether it is retried or not.
		`kooper_controller_processed_event_duration_seconds{controller="pods",success="false"}`: 2,
		`kooper_controller_event_queue_length{controller="pods"}`:                               7,
	}
	got := only(series(t, registry), "kooper_")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Kooper's metrics (-want +got):\n%s", diff)
	}
}

func TestWorkqueueMetricsFollowKoopers(t *testing.T) {
	registry := prometheus.NewRegistry()
	c := NewMetrics(registry).Controller("pods")
	c.Queued(false)
	c.Queued(true)
	c.Waited(time.Millisecond)
	c.Processed(time.Second, false)
	c.QueueLength(3)
	c.QueueLength(2)
	want := map[string]float64{
		`workqueue_adds_total{name="pods"}`:             2,
		`workqueue_retries_total{name="pods"}`:          1,
		`workqueue_depth{name="pods"}`:                  2,
		`workqueue_queue_duration_seconds{name="pods"}`: 1,
		`workqueue_work_duration_seconds{name="pods"}`:  1,
	}
	got := only(series(t, registry), "workqueue_")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workqueue metrics (-want +got):\n%s", diff)
	}
}

func TestDurationsAreSeconds(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.Controller("pods").Processed(1500*time.Millisecond, true)
	m.ObserveRenewal(250*time.Millisecond, nil)
	sums := gathered(t, registry, func(_ uint64, sum float64) float64 { return sum })
	maps.DeleteFunc(sums, func(_ string, v float64) bool { return v == 0 })
	want := map[string]float64{
		`kooper_controller_processed_event_duration_seconds{controller="pods",success="true"}`: 1.5,
		`workqueue_work_duration_seconds{name="pods"}`:                                         1.5,
		`kooperd_lease_request_duration_seconds{result="success"}`:                             0.25,
	}
	if diff := cmp.Diff(want, sums); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
}

// A series that appears with its first event makes rate() miss that event.
func TestEverySeriesIsThereFromTheStart(t *testing.T) {
	m, registry := everything()
	before := names(series(t, registry))

	c := m.Controller("pods")
	c.Queued(true)
	c.Queued(false)
	c.Waited(time.Second)
	c.Processed(time.Second, true)
	c.Processed(time.Second, false)
	c.QueueLength(1)
	c.SetDegraded(CauseRights, CauseFailing)
	c.SetPending(true)
	for _, counter := range []prometheus.Counter{c.Retries, c.Panics, c.Terminal, c.Timeouts, c.Passing} {
		counter.Inc()
	}
	for _, gauge := range []prometheus.Gauge{c.Busy, c.Workers, c.Exhausted, c.Failing} {
		gauge.Inc()
	}
	for _, reason := range dropReasons {
		c.EventDropped(reason)
	}
	c.EventDropped("no such reason")
	s := m.Source(SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "payments", Selector: "app=web"})
	s.Restarts.Inc()
	s.Lists.Inc()
	s.Cached.Set(3)
	for _, state := range status.States() {
		status.NewBoard(m).Set("pods", state, "")
		if state.OfSource() {
			s.SetState(state)
		}
	}
	for _, to := range []string{"standby", "leading", "draining", "released", "lost"} {
		m.CountTransition(to)
	}
	m.ObserveRenewal(time.Second, nil)
	m.ObserveRenewal(time.Second, errors.New("conflict"))
	m.CountRefused()

	if diff := cmp.Diff(before, names(series(t, registry))); diff != "" {
		t.Errorf("series that came later (+):\n%s", diff)
	}
}

func TestElectionMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	alone := prometheus.NewRegistry()
	NewMetrics(alone).ObserveLeadership("", func() bool { return true }, nil)
	if got := series(t, alone); got["kooperd_leader"] != 1 || len(only(got, "leader_election_master_status")) != 0 {
		t.Errorf("without a lease: %v", got)
	}
	leading := true
	m.ObserveLeadership("kooperd", func() bool { return leading }, func() time.Duration { return 3 * time.Second })
	m.ObserveLeaseWanted(func() bool { return true })
	m.ObserveLeaseWatch(func() time.Duration { return 5 * time.Second })
	if got := series(t, registry); got["kooperd_leader"] != 1 || got["kooperd_lease_remaining_seconds"] != 3 {
		t.Errorf("while leading: %v", got)
	}
	leading = false
	m.CountTransition("leading")
	m.CountTransition("lost")
	m.ObserveRenewal(time.Second, errors.New("conflict"))
	m.CountRefused()
	m.CountRefused()
	got := series(t, registry)
	for name, want := range map[string]float64{
		`kooperd_leader`:                                           0,
		`kooperd_lease_wanted`:                                     1,
		`kooperd_lease_unwatched_seconds_total`:                    5,
		`leader_election_master_status{name="kooperd"}`:            0,
		`kooperd_leader_transitions_total{to="leading"}`:           1,
		`kooperd_leader_transitions_total{to="lost"}`:              1,
		`kooperd_leader_transitions_total{to="released"}`:          0,
		`kooperd_lease_request_duration_seconds{result="error"}`:   1,
		`kooperd_lease_request_duration_seconds{result="success"}`: 0,
		`kooperd_gate_refused_requests_total`:                      2,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s = %v (there: %t), want %v", name, have, ok, want)
		}
	}
}

// observed makes a definition's metrics of which each has a sample.
func observed(m *Metrics, name string) *Controller {
	c := m.Controller(name)
	c.ObserveRunning(func() (sum, longest time.Duration) { return 3 * time.Second, 2 * time.Second })
	c.ObserveDeletions(func() (objects int, longest time.Duration) { return 2, time.Hour })
	for _, limit := range []string{LimitRate, LimitMaxConcurrent} {
		c.ObserveThrottled(limit, func() time.Duration { return time.Minute })
	}
	m.SetState(name, status.Running)
	c.Queued(true)
	return c
}

func TestRemovedDefinitionHasNoSeries(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	without := names(series(t, registry))
	pods := observed(m, "pods")
	with := names(series(t, registry))
	observed(m, "other").Remove()
	if diff := cmp.Diff(with, names(series(t, registry))); diff != "" {
		t.Errorf("after another definition has gone (-want +got):\n%s", diff)
	}

	pods.Remove()
	if diff := cmp.Diff(without, names(series(t, registry))); diff != "" {
		t.Errorf("after the definition has gone (-want +got):\n%s", diff)
	}
	pods.Queued(false) // a late call
	pods.Busy.Inc()
	if diff := cmp.Diff(without, names(series(t, registry))); diff != "" {
		t.Errorf("after a late call (-want +got):\n%s", diff)
	}

	again := observed(m, "pods")
	pods.Remove()
	got := series(t, registry)
	if diff := cmp.Diff(with, names(got)); diff != "" {
		t.Errorf("after it has come back (-want +got):\n%s", diff)
	}
	if got[`workqueue_adds_total{name="pods"}`] != 1 {
		t.Errorf("the counters of the definition go on: %v", only(got, "workqueue_adds_total"))
	}
	if m.Controller("pods") != again {
		t.Error("a definition that is there has other metrics when asked again")
	}
}

// TestFightsGo removes a definition while other parties change its children.
func TestFightsGo(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.Controller("kept").Compose().Fights("kubectl", 1)
	with := names(series(t, registry))
	m.Controller("gone").Compose().Fights("kubectl", 2)
	m.Controller("gone").Remove()
	if diff := cmp.Diff(with, names(series(t, registry))); diff != "" {
		t.Errorf("after the definition has gone (-want +got):\n%s", diff)
	}
}

func TestObservedAtEveryScrape(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	c := observed(m, "pods")
	m.Controller("idle")
	want := map[string]float64{
		`workqueue_unfinished_work_seconds{name="pods"}`:                                      3,
		`workqueue_longest_running_processor_seconds{name="pods"}`:                            2,
		`kooperd_controller_deleting_objects{controller="pods"}`:                              2,
		`kooperd_controller_longest_deletion_seconds{controller="pods"}`:                      3600,
		`kooperd_controller_throttled_seconds_total{controller="pods",limit="rate"}`:          60,
		`kooperd_controller_throttled_seconds_total{controller="pods",limit="maxConcurrent"}`: 60,
	}
	check := func() {
		t.Helper()
		got := series(t, registry)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s = %v, want %v", name, got[name], value)
			}
		}
		if n := len(only(got, "workqueue_unfinished")); n != 1 {
			t.Errorf("%d definitions have calls under way, want 1", n)
		}
	}
	check()
	c.ObserveRunning(func() (sum, longest time.Duration) { return time.Second, time.Second })
	want[`workqueue_unfinished_work_seconds{name="pods"}`], want[`workqueue_longest_running_processor_seconds{name="pods"}`] = 1, 1
	check()
}

// TestParentsObserved has a definition with a composer, which it has no more in the end.
func TestParentsObserved(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	of := func() map[string]float64 { return only(series(t, registry), "kooperd_compose_longest_") }
	c := m.Controller("sites")
	m.Controller("pods").ObserveDeletions(func() (objects int, longest time.Duration) { return 0, 0 })
	if got := of(); len(got) > 0 {
		t.Errorf("without a composer there is %v", got)
	}
	for range 2 {
		c.ObserveParents(func() (notReady, childDeletion time.Duration) { return time.Hour, time.Minute })
		want := map[string]float64{
			`kooperd_compose_longest_not_ready_seconds{controller="sites"}`:      3600,
			`kooperd_compose_longest_child_deletion_seconds{controller="sites"}`: 60,
		}
		if diff := cmp.Diff(want, of()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		c.ObserveParents(nil)
		if got := of(); len(got) > 0 {
			t.Errorf("without a composer any more there is %v", got)
		}
	}
	c.ObserveParents(func() (notReady, childDeletion time.Duration) { return time.Hour, time.Minute })
	c.Remove()
	if got := of(); len(got) > 0 {
		t.Errorf("after the end of the definition there is %v", got)
	}
}

// TestSeriesOfADefinition keeps their number, which a large installation pays for at each scrape.
func TestSeriesOfADefinition(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	count := func() (n int) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				if h := metric.GetHistogram(); h != nil {
					n += len(h.GetBucket()) + 3 // +Inf, sum and count
				} else {
					n++
				}
			}
		}
		return n
	}
	before := count()
	observed(m, "pods")
	if n := count() - before; n != 97 {
		t.Errorf("a definition has %d series, want 97", n)
	}
}

func TestConfigInfoHasOneHash(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	m.SetConfig("old")
	m.SetConfig("new")
	got := series(t, registry)
	if _, there := got[`kooperd_config_info{hash="old"}`]; there || got[`kooperd_config_info{hash="new"}`] != 1 {
		t.Errorf("after another config: %v", got)
	}
}

func TestSourceMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	const labels = `api_version="v1",content="whole",kind="Pod",namespace="payments",selector="app=web"`
	s := m.Source(SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "payments", Selector: "app=web"})
	other := m.Source(SourceLabels{Kind: "Pod", APIVersion: "v1", Namespace: "search", Selector: ""})
	other.SetState(status.Waiting)
	s.SetState(status.Syncing)
	s.SetState(status.Running)
	s.Cached.Set(5)
	got := series(t, registry)
	for name, want := range map[string]float64{
		`kooperd_source_state{` + labels + `,state="Waiting"}`:  0,
		`kooperd_source_state{` + labels + `,state="Syncing"}`:  0,
		`kooperd_source_state{` + labels + `,state="Running"}`:  1,
		`kooperd_source_state{` + labels + `,state="Degraded"}`: 0,
		`kooperd_source_cached_objects{` + labels + `}`:         5,
		`kooperd_source_lists_total{` + labels + `}`:            0,
		`kooperd_source_watch_restarts_total{` + labels + `}`:   0,
	} {
		if have, ok := got[name]; !ok || have != want {
			t.Errorf("%s = %v (there: %t), want %v", name, have, ok, want)
		}
	}
	s.Remove()
	for name := range series(t, registry) {
		if strings.Contains(name, `namespace="payments"`) {
			t.Errorf("%s is there after Remove", name)
		}
	}
	if got := series(t, registry)[`kooperd_source_state{api_version="v1",content="whole",kind="Pod",namespace="search",selector="",state="Waiting"}`]; got != 1 {
		t.Errorf("another source's state is %v after Remove, want 1", got)
	}
}

func TestRolloutMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := NewMetrics(registry)
	r := m.Controller("sites").Rollout()
	of := func() map[string]float64 { return only(series(t, registry), "kooperd_rollout_") }
	if got := of(); len(got) > 0 {
		t.Errorf("a definition without a rollout has %v", got)
	}
	expect := func(updated, updating, held float64) {
		t.Helper()
		want := map[string]float64{
			`kooperd_rollout_parents{controller="sites",state="updated"}`:  updated,
			`kooperd_rollout_parents{controller="sites",state="updating"}`: updating,
			`kooperd_rollout_parents{controller="sites",state="held"}`:     held,
		}
		if diff := cmp.Diff(want, of()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	r.Declare()
	expect(0, 0, 0)
	r.Set(5, 2, 7)
	r.Declare()
	expect(5, 2, 7)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("linting: %v, %v", problems, err)
	}
	r.Remove()
	if got := of(); len(got) > 0 {
		t.Errorf("after the end of the rollout there is %v", got)
	}
	r.Set(1, 0, 0)
	m.Controller("sites").Remove()
	if got := of(); len(got) > 0 {
		t.Errorf("after the end of the definition there is %v", got)
	}
}
