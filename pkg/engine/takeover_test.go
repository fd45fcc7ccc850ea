package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// where gives a definition a condition.
func where(t *testing.T, text string) func(*config.Definition) {
	t.Helper()
	return func(def *config.Definition) { def.Filter = filterOf(t, podKind, nil, text) }
}

// named is a condition that selects one object.
func named(i int) string { return fmt.Sprintf("object.metadata.name == %q", objectName(i)) }

// callsOf returns the objects for which a version of the handler was called.
func (r *rig) callsOf(definition string) (objects []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, call := range r.calls {
		if fields := strings.Fields(call); len(fields) == 4 && fields[1] == definition {
			objects = append(objects, fields[2])
		}
	}
	return objects
}

// TestANewConditionDecidesOnWhatWaits adds or changes the condition of a definition for which many
// objects wait to be handled.
func TestANewConditionDecidesOnWhatWaits(t *testing.T) {
	const pods = 200
	existing := "(oldObject == null || object.spec != oldObject.spec)"
	tests := map[string]struct {
		before, after string
		ask           func(r *rig) // before the definition changes
		want          []string
	}{
		"the first list":              {after: named(7), want: []string{objectName(7)}},
		"of a condition":              {before: "object.metadata.name != 'x'", after: named(7), want: []string{objectName(7)}},
		"changes":                     {after: named(7), ask: (*rig).changeAll, want: []string{objectName(7)}},
		"a condition about changes":   {before: named(7), after: existing + " && " + named(8), want: []string{objectName(8)}},
		"a condition that wants none": {after: "false"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, pods, func(r *rig) {
				release := make(chan struct{})
				r.handle = func(_ context.Context, version string, _ handlers.Request) (handlers.Result, error) {
					if version == "1" {
						<-release
					}
					return handlers.Result{}, nil
				}
				var before []func(*config.Definition)
				if test.before != "" {
					before = append(before, where(t, test.before))
				}
				r.start(r.definition("d", "1", before...))
				if test.ask != nil {
					test.ask(r)
				}
				r.apply(r.definition("d", "2", where(t, test.after)))
				close(release)
				time.Sleep(time.Minute)
				synctest.Wait()
				if have := r.callsOf("d2"); strings.Join(have, " ") != strings.Join(test.want, " ") {
					t.Errorf("%d objects were handled after the change, the first ones %q; want %q", len(have), have[:min(3, len(have))], test.want)
				}
				if depth := r.metric("kooper_controller_event_queue_length", "d"); depth != 0 {
					t.Errorf("%v objects wait in the end", depth)
				}
				r.stop()
			})
		})
	}
}

// changeAll changes every pod.
func (r *rig) changeAll() {
	for i := range 200 {
		r.change(i)
	}
	synctest.Wait()
}

// TestANewConditionEndsRetries leaves out an object whose call fails again and again, or has asked
// for another one.
func TestANewConditionEndsRetries(t *testing.T) {
	inRig(t, 3, func(r *rig) {
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			switch req.Object.Name() {
			case objectName(0):
				return handlers.Result{}, errTest
			case objectName(1):
				return handlers.Result{RequeueAfter: time.Hour}, nil
			}
			return handlers.Result{}, nil
		}
		r.start(r.definition("d", "1"))
		time.Sleep(30 * time.Second)
		r.wantState("d", status.Degraded, "calls keep failing for 1 object(s)")
		r.apply(r.definition("d", "2", where(t, named(2))))
		r.wantState("d", status.Running, "")
		time.Sleep(3 * time.Hour)
		if have := r.callsOf("d2"); strings.Join(have, " ") != objectName(2) {
			t.Errorf("the new handler was called for %q, want %s only", have, objectName(2))
		}
		r.stop()
	})
}

// TestAnObjectThatIsLeftOutIsNoTrouble gives up an object that the condition then leaves out, by a
// change of the object or of the definition, after its call or during it.
func TestAnObjectThatIsLeftOutIsNoTrouble(t *testing.T) {
	wanted := "!has(object.metadata.labels) || object.metadata.labels.on != 'no'"
	leave := func(r *rig) {
		r.api.put(r.t, podKind, key(0), func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"on": "no"} })
	}
	reload := func(r *rig) { r.apply(r.definition("d", "2", where(r.t, named(1)), concurrent(2))) }
	tests := map[string]struct {
		leave  func(r *rig)
		during bool
	}{
		"by its own change":             {leave: leave},
		"by its own change in the call": {leave: leave, during: true},
		"by the definition":             {leave: reload},
		"by the definition in the call": {leave: reload, during: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inRig(t, 2, func(r *rig) {
				release := make(chan struct{})
				r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
					if req.Object.Name() != objectName(0) {
						return handlers.Result{}, nil
					}
					<-release
					return handlers.Result{}, handlers.Terminal(errTest)
				}
				r.start(r.definition("d", "1", where(t, wanted), concurrent(2)))
				if !test.during {
					close(release)
					r.wantState("d", status.Degraded, "1 of them not retried until they change")
				}
				test.leave(r)
				synctest.Wait()
				if test.during {
					close(release)
				}
				r.wantState("d", status.Running, "")
				for _, metric := range []string{"kooperd_controller_objects_out_of_retries", "kooperd_controller_failing_objects"} {
					if n := r.metric(metric, "d"); n != 0 {
						t.Errorf("%s is %v", metric, n)
					}
				}
				r.stop()
			})
		})
	}
}

// TestAConditionAboutChangesForgetsNoFailure has a change that does not count.
func TestAConditionAboutChangesForgetsNoFailure(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, handlers.Terminal(errTest)
		}
		r.start(r.definition("d", "1", where(t, "oldObject == null || object.metadata.name != oldObject.metadata.name")))
		r.change(0)
		r.wantState("d", status.Degraded, "1 of them not retried until they change")
		r.expect("0s d1 object-0 initial#0")
		r.stop()
	})
}
