package compose_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/events"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// invalid is a child that the API server refuses while the text of the parent is "x".
func invalid() parts.Child {
	child := configMap("bad")
	child.Object["metadata"] = map[string]any{"name": "{name}-bad", "labels": map[string]any{"bad": "not a label!"}}
	child.When = []string{"x"}
	return child
}

// TestManyFailingParents has a child that is refused for every parent. The number of events is
// bounded, also over a restart, and another definition is heard. The metrics do not grow with the
// number of parents, and name none of them.
func TestManyFailingParents(t *testing.T) {
	n := 120
	if conformance {
		n = 10_000 // on its own: it keeps the API server busy for minutes
	} else {
		t.Parallel()
	}
	r := newRig(t)
	watch := func(selector, prefix string) map[string]any {
		return map[string]any{"mode": "concurrent", "workers": 4, "conditionPrefix": prefix, "watch": map[string]any{
			"apiVersion": things.GroupVersion().String(), "kind": "Thing", "namespaces": []string{r.namespace}, "labelSelector": selector,
		}}
	}
	children := parts.Config{Children: []parts.Child{invalid()}}
	r.defineAll(t, map[string]definition{
		"loud": {Config: children, settings: watch("!quiet", "Loud")}, "quiet": {Config: children, settings: watch("quiet", "Quiet")},
	})
	r.createRange(t, 0, 1)
	begun := time.Now()
	p := r.start(t)
	p.awaitFailing(t, "loud", 1)
	series := p.seriesNames(t)

	r.createRange(t, 1, n)
	p.awaitFailing(t, "loud", n)
	p.awaitMetric(t, `kooperd_controller_retries_total{controller="loud"}`, n)
	r.create(t, things, `{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "metadata": {"name": "calm", "labels": {"quiet": ""}}, "spec": {"text": "x"}}`)
	r.awaitEventOn(t, "calm", "Invalid")
	got := r.eventWrites(t, r.begun)
	if most := events.Burst + int(time.Since(begun)/events.Every) + 2; len(got) > most || len(got) < events.Burst {
		t.Errorf("there are %d writes of events for %d parents, want %d to %d: %v", len(got), n, events.Burst, most, got[:min(len(got), 20)])
	}
	now := p.seriesNames(t)
	if missing, more := without(series, now), without(now, series); len(missing)+len(more) > 0 {
		t.Errorf("with %d failing parents instead of 1, there are the series %q, and %q are gone", n, more, missing)
	}
	_, body := p.Get(t, "metrics", "/metrics")
	if found := regexp.MustCompile(`"(p[0-9]+|calm)(-bad)?"`).FindString(body); found != "" {
		t.Errorf("an object is named in the metrics: %s", found)
	}

	r.await(t, things, "the condition of every parent", func(o objects) bool {
		for name, parent := range o {
			prefix := "Loud"
			if name == "calm" {
				prefix = "Quiet"
			}
			if _, reason, _ := conditionOf(parent, prefix+"Degraded"); reason != "Invalid" {
				return false
			}
		}
		return len(o) == n+1
	})
	p.kill9(t)
	mark, killed := shared.AuditMark(t), time.Now()
	p = r.launch(t, "pod-0", r.kubeconfig)
	p.awaitFailing(t, "loud", n)
	p.awaitFailing(t, "quiet", 1)
	ofTheFirst := func(s sent) bool { return s.received.Before(killed) } // and answered when it had been killed
	if got := slices.DeleteFunc(r.eventWrites(t, mark), ofTheFirst); len(got) > 0 {
		t.Errorf("after a restart there are %d writes of events about what was the case before: %v", len(got), got[:min(len(got), 20)])
	}
	r.patch(t, things, "p0", `{"spec": {"text": "good"}}`)
	r.awaitEventOn(t, "p0", "Recovered")
}

// awaitFailing waits until so many parents of a definition fail. For thousands that takes longer
// than Await has patience.
func (p *replica) awaitFailing(t *testing.T, name string, n int) {
	t.Helper()
	p.awaitMetric(t, fmt.Sprintf("kooperd_controller_failing_objects{controller=%q}", name), n)
}

// awaitMetric waits until a metric is at least n.
func (p *replica) awaitMetric(t *testing.T, series string, n int) {
	t.Helper()
	for deadline := time.Now().Add(4 * patience); ; time.Sleep(50 * time.Millisecond) {
		got, _ := p.Metric(t, series)
		value, err := strconv.ParseFloat(got, 64)
		if err == nil && value >= float64(n) {
			return
		}
		if p.Exited() || time.Now().After(deadline) {
			t.Fatalf("%s is %s, want %d", series, got, n)
		}
	}
}

// seriesNames are those of all series but the ones of client-go, which have the codes of answers.
func (p *replica) seriesNames(t *testing.T) (names []string) {
	t.Helper()
	code, body := p.Get(t, "metrics", "/metrics")
	if code != http.StatusOK {
		t.Fatalf("reading /metrics: status %d", code)
	}
	for line := range strings.Lines(body) {
		name, _, ok := strings.Cut(line, "} ")
		if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(name, "rest_client_") {
			names = append(names, name+"}")
		}
	}
	slices.Sort(names)
	return names
}

// without returns what is in all and not in others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(others, name) })
}

// eventWrites are the requests of the installation since mark that are about events.
func (r *rig) eventWrites(t *testing.T, mark cluster.AuditMark) []sent {
	t.Helper()
	return slices.DeleteFunc(r.sent(t, mark), func(s sent) bool {
		return s.resource != "events" || strings.HasPrefix(s.name, leaseName+".") // Those of the lease tell who leads.
	})
}

// awaitEventOn waits for an event about a parent.
func (r *rig) awaitEventOn(t *testing.T, parent, reason string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		list, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatalf("listing events: %v", err)
		}
		if slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.Name == parent && e.Reason == reason }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no event %s", parent, reason)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
