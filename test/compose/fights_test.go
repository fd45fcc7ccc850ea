package compose_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/compose/parts"
)

// rivalManager is the field manager of a rival.
const rivalManager = "rival"

// rival changes a ConfigMap fifty times a second until ctx ends.
func (r *rig) rival(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	client := shared.Dynamic().Resource(configMaps).Namespace(r.namespace)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.Patch(ctx, name, types.MergePatchType, []byte(`{"data": {"text": "theirs"}}`),
			metav1.PatchOptions{FieldManager: rivalManager})
		if err != nil && ctx.Err() == nil {
			t.Errorf("changing %s: %v", name, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// TestFight lets another party change a field of a child as often as it can.
func TestFight(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"))
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	p.settle(t, "p")
	p.settle(t, "q")
	mark, begun := shared.AuditMark(t), time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { r.rival(ctx, t, "p-a") })
	if reason := r.awaitCondition(t, "p", rivalManager, "data.text", "p-a"); reason != "Fight" {
		t.Errorf("the reason is %s", reason)
	}
	r.awaitWarning(t, p, "p", "Fight", rivalManager, "data.text")
	p.Await(t, "the metric of fights", func() bool {
		value, _ := p.Metric(t, fmt.Sprintf(`kooperd_compose_fights{controller=%q,manager=%q}`, definitionName, rivalManager))
		return value == "1"
	})
	// Neither the other child nor the other parent notices.
	r.patch(t, configMaps, "p-b", `{"data": {"text": "drift"}}`)
	r.patch(t, configMaps, "q-a", `{"data": {"text": "drift"}}`)
	r.await(t, configMaps, "the other children", func(o objects) bool {
		return o.text("p-b", "data", "text") == "x" && o.text("q-a", "data", "text") == "x"
	})
	r.ready(t, "q")
	for range 8 { // The fight goes on meanwhile.
		p.settle(t, "p")
	}
	stop()
	running.Wait()
	seconds := time.Since(begun).Seconds()
	most := 5 + 1 + int(math.Log2(1+seconds)) // Five at once, and then after 1, 2, 4, 8 s and so on.
	ours, theirs := 0, 0
	for _, e := range shared.AuditSince(t, mark, r.namespace) {
		if e.Verb != "patch" || e.ObjectRef.Resource != "configmaps" || e.ObjectRef.Namespace != r.namespace || e.ObjectRef.Name != "p-a" {
			continue
		}
		if strings.HasPrefix(e.User.Username, "system:serviceaccount:"+r.leases) {
			ours++
		} else {
			theirs++
		}
	}
	if ours > most || theirs < 2*ours {
		t.Errorf("%d writes in %.0f s against %d of the other, want at most %d", ours, seconds, theirs, most)
	}
	r.await(t, configMaps, "the child, one damping window after the end", func(o objects) bool { return o.text("p-a", "data", "text") == "x" })
	r.ready(t, "p")
	r.awaitEventOf(t, p, "p", "the end of the fight", func(e eventsv1.Event) bool {
		return e.Reason == "Recovered" && strings.Contains(e.Note, "Fight of ConfigMap")
	})
}

// TestNoFight makes many children of one parent, and changes the definition three times.
func TestNoFight(t *testing.T) {
	t.Parallel()
	const children = 200
	r := newRig(t)
	define := func(value string) {
		t.Helper()
		var all []parts.Child
		for i := range children {
			child := fixed(fmt.Sprint("c", i))
			child.Object["data"] = map[string]any{"value": value}
			all = append(all, child)
		}
		r.define(t, all...)
	}
	define("0")
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	for _, value := range []string{"1", "2", "3"} {
		define(value)
		p.reload(t)
		r.await(t, configMaps, "the change", func(o objects) bool {
			return o.text("p-c0", "data", "value") == value && o.text(fmt.Sprint("p-c", children-1), "data", "value") == value
		})
		r.ready(t, "p")
	}
	p.settle(t, "p")
	if events := r.eventsAbout(t, "p"); len(events) > 0 {
		t.Errorf("there are events: %v", events)
	}
	if value, _ := p.Metric(t, fmt.Sprintf(`kooperd_compose_fights{controller=%q,manager=""}`, definitionName)); value != "0" {
		t.Errorf("the metric of fights has %q", value)
	}
}

// eventsAbout are the events about a parent.
func (r *rig) eventsAbout(t *testing.T, parent string) []eventsv1.Event {
	t.Helper()
	list, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(e eventsv1.Event) bool { return e.Regarding.Name != parent })
}

func (r *rig) awaitEventOf(t *testing.T, p *replica, parent, what string, is func(eventsv1.Event) bool) {
	t.Helper()
	p.Await(t, what, func() bool { return slices.ContainsFunc(r.eventsAbout(t, parent), is) })
}

// awaitWarning waits for a warning about a parent.
func (r *rig) awaitWarning(t *testing.T, p *replica, parent, reason string, words ...string) {
	t.Helper()
	r.awaitEventOf(t, p, parent, "a warning "+reason, func(e eventsv1.Event) bool {
		has := func(word string) bool { return !strings.Contains(e.Note, word) }
		return e.Type == "Warning" && e.Reason == reason && !slices.ContainsFunc(words, has)
	})
}
