package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestUpgrade changes the config of a release by "helm upgrade" and goes back by "helm rollback",
// while objects come and change without a break. Each time the leader moves once, from the last old
// pod to a new one, only the holder of the lease writes, and in the end every object has been
// handled as it is.
func TestUpgrade(t *testing.T) {
	forOneHelm(t, func(t *testing.T, version string) {
		mark := shared.AuditMark(t)
		r := install(t, version, "--values", examples(t)["custom-resource"], "--set", "shutdownDelaySeconds=4,fence.enabled=true,flowSchema.enabled=true")
		r.leader(t)
		traffic := startTraffic(t, r.namespace)
		old := r.daemons(t)

		r.change(t, r.command("upgrade", "--set", "config.controllers.namespaces.handler.log.message=still a namespace"), old)
		upgraded := r.daemons(t)
		r.leader(t).AwaitLog(t, "still a namespace", "name", r.namespace)

		r.change(t, []string{"rollback", releaseName, "1", "--namespace", r.namespace, "--wait", "--timeout", "60s"}, upgraded)
		r.leader(t).AwaitLog(t, "a namespace", "name", r.namespace)

		traffic.end(t)
		r.stop(t)
		events := shared.AuditSince(t, mark)
		terms := r.terms(t, events)
		if len(terms) != 3 {
			t.Fatalf("there were %d terms, want one before, one between and one after the two changes: %v", len(terms), terms)
		}
		r.checkWriters(t, events, terms)
		for _, e := range events {
			// The fence knows a new leader some milliseconds late, and the call is repeated.
			if e.User.Username == r.user() && e.ResponseStatus.Code == 403 && !strings.Contains(e.ResponseStatus.Message, "ValidatingAdmissionPolicy") {
				t.Errorf("refused: %s %s: %s", e.Verb, e.RequestURI, e.ResponseStatus.Message)
			}
		}
	})
}

// change runs Helm and waits until no pod of before is left; then a new one leads.
func (r *release) change(t *testing.T, command []string, before map[string]*daemon.Process) {
	t.Helper()
	helm(t, r.helm, command...)
	eventually(t, "the old pods are gone", func() bool {
		for _, pod := range r.pods(t) {
			if before[pod.Name] != nil {
				return false
			}
		}
		return true
	})
	for name, p := range before {
		if status := p.AwaitExit(t); status != 0 {
			t.Errorf("the old pod %s has ended with status %d, want 0", name, status)
		}
	}
	r.leader(t)
}

// term is the time that one pod has held the lease for, by when the API server received the
// requests that began and ended it: the answers and the entries of the audit log are not always in
// the order of what happened.
type term struct {
	holder          string
	begun, released time.Time // released is zero while it was not
}

// terms are those of a release, from the writes of its lease.
func (r *release) terms(t *testing.T, events []cluster.AuditEvent) []term {
	t.Helper()
	events = slices.DeleteFunc(slices.Clone(events), func(e cluster.AuditEvent) bool {
		return e.ObjectRef.Resource != "leases" || e.ObjectRef.Namespace != r.namespace || !e.IsWrite() || e.ResponseStatus.Code >= 300
	})
	slices.SortFunc(events, func(a, b cluster.AuditEvent) int { return a.RequestReceived.Compare(b.RequestReceived.Time) })
	var terms []term
	for _, e := range events {
		var lease coordinationv1.Lease
		if err := json.Unmarshal(e.RequestObject, &lease); err != nil {
			t.Fatal(err)
		}
		last := len(terms) - 1
		switch holder := lease.Spec.HolderIdentity; {
		case (holder == nil || *holder == "") && last >= 0 && terms[last].holder == writer(e):
			terms[last].released = e.RequestReceived.Time
		case holder == nil || *holder != writer(e):
			t.Errorf("%s has written the lease for another holder: %s", writer(e), e.RequestObject)
		case last < 0 || terms[last].holder != *holder:
			terms = append(terms, term{holder: *holder, begun: e.RequestReceived.Time})
		}
	}
	return terms
}

// writer is the identity of the pod that has made a request.
func writer(e cluster.AuditEvent) string {
	extra := func(key string) string { return strings.Join(e.User.Extra["authentication.kubernetes.io/"+key], "") }
	return extra("pod-name") + "_" + extra("pod-uid")
}

// checkWriters fails the test for every write of the release outside of the writer's own term, and
// for terms that overlap.
func (r *release) checkWriters(t *testing.T, events []cluster.AuditEvent, terms []term) {
	t.Helper()
	for i, now := range terms[1:] {
		if before := terms[i]; before.released.IsZero() || now.begun.Before(before.released) {
			t.Errorf("%s leads from %s on, but %s has released the lease at %s", now.holder, now.begun, before.holder, before.released)
		}
	}
	writes := 0
	var outside []string
	for _, e := range events {
		if e.User.Username != r.user() || e.ObjectRef.Resource != "widgets" || !e.IsWrite() {
			continue
		}
		writes++
		at := e.RequestReceived.Time
		if !slices.ContainsFunc(terms, func(term term) bool {
			return term.holder == writer(e) && !at.Before(term.begun) && (term.released.IsZero() || !at.After(term.released))
		}) {
			outside = append(outside, fmt.Sprintf("%s by %s at %s", e.RequestURI, writer(e), at))
		}
	}
	if len(outside) > 0 {
		t.Errorf("of %d writes %d are outside of the writer's term, the first: %s; the terms: %+v", writes, len(outside), outside[0], terms)
	}
	if writes == 0 {
		t.Error("the release has written nothing")
	}
}

// traffic makes and changes widgets until its end.
type traffic struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	prefix string
	count  int
	err    error
}

// trafficPeriod is the time between two writes: a program is started for each.
const trafficPeriod = 100 * time.Millisecond

func startTraffic(t *testing.T, prefix string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{cancel: cancel, prefix: prefix}
	tr.done.Go(func() { tr.run(ctx) })
	t.Cleanup(func() { cancel(); tr.done.Wait() })
	return tr
}

// run makes a widget, and changes one of before, in turn.
func (tr *traffic) run(ctx context.Context) {
	client := shared.Dynamic().Resource(widgets).Namespace("payments")
	ticker := time.NewTicker(trafficPeriod)
	defer ticker.Stop()
	for ; tr.err == nil; tr.count++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if tr.count%2 == 0 {
			widget := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "example.com/v1", "kind": "Widget",
				"metadata": map[string]any{"name": tr.name(tr.count)}, "spec": map[string]any{"who": "somebody"},
			}}
			_, tr.err = client.Create(ctx, widget, metav1.CreateOptions{})
		} else {
			patch := fmt.Appendf(nil, `{"spec":{"who":"number %d"}}`, tr.count)
			_, tr.err = client.Patch(ctx, tr.name(tr.count/4*2), types.MergePatchType, patch, metav1.PatchOptions{})
		}
		if ctx.Err() != nil {
			tr.err = nil
		}
	}
}

func (tr *traffic) name(i int) string { return fmt.Sprintf("%s-%d", tr.prefix, i) }

// end stops the traffic and waits until every object has been handled as it is.
func (tr *traffic) end(t *testing.T) {
	t.Helper()
	tr.cancel()
	tr.done.Wait()
	if tr.err != nil {
		t.Fatalf("making traffic: %v", tr.err)
	}
	var waiting []string
	defer func() {
		if t.Failed() {
			t.Errorf("not handled: %v", waiting)
		}
	}()
	eventually(t, "every object is handled", func() bool {
		list, err := shared.Dynamic().Resource(widgets).Namespace("payments").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		waiting = nil
		seen := 0
		for i := range list.Items {
			widget := &list.Items[i]
			if !strings.HasPrefix(widget.GetName(), tr.prefix+"-") {
				continue
			}
			if seen++; !greeted(t, widget) {
				waiting = append(waiting, widget.GetName())
			}
		}
		if seen == 0 {
			t.Fatal("there are no objects")
		}
		return len(waiting) == 0
	})
}
