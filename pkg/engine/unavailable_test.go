package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/handlerstest"
	"kooperd.dev/kooperd/pkg/status"
)

var errNoHook = handlers.Unavailable(errors.New("the hook does not answer"))

// TestUnavailable has a handler that cannot work for any object for a minute.
func TestUnavailable(t *testing.T) {
	inRig(t, 2, func(r *rig) {
		var until time.Duration
		var after time.Duration
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			if time.Since(r.begin) < until {
				return handlers.Result{}, handlers.RetryAfter(errNoHook, after)
			}
			return handlers.Result{}, nil
		}
		until = time.Minute
		r.start(r.definition("d", "1", func(def *config.Definition) { def.Retry.MaxRetries = 1 }))
		r.wantState("d", status.Degraded, "the hook does not answer")
		if have := r.shared.board.Get("d").Reason; have != "the hook does not answer" {
			t.Errorf("the reason is %q", have)
		}
		time.Sleep(40 * time.Second)
		r.expect(
			"0s d1 object-0 initial#0", "0s d1 object-1 initial#0", "1s d1 object-0 retry#1", "1s d1 object-1 retry#1",
			"3s d1 object-0 retry#2", "3s d1 object-1 retry#2", "7s d1 object-0 retry#3", "7s d1 object-1 retry#3",
			"15s d1 object-0 retry#4", "15s d1 object-1 retry#4", "31s d1 object-0 retry#5", "31s d1 object-1 retry#5",
		)
		r.wantState("d", status.Degraded, "the hook does not answer")

		// The first call that works ends it, for objects too that wait for their retry.
		time.Sleep(time.Until(r.begin.Add(time.Minute)))
		r.change(0)
		r.expect("1m0s d1 object-0 change#0")
		r.wantState("d", status.Running, "")
		time.Sleep(10 * time.Second)
		r.expect("1m3s d1 object-1 retry#6")

		// The handler may say when to come back, and another failure is one of an object.
		until, after = 2*time.Hour, 25*time.Minute
		r.change(1)
		r.wantState("d", status.Degraded, "the hook does not answer")
		time.Sleep(time.Hour)
		r.expect("1m10s d1 object-1 change#0", "26m10s d1 object-1 retry#1", "51m10s d1 object-1 retry#2")
		r.api.remove(podKind, key(1))
		r.wantState("d", status.Running, "")
		r.change(0)
		r.wantState("d", status.Degraded, "the hook does not answer")
		r.handle = func(context.Context, string, handlers.Request) (handlers.Result, error) {
			return handlers.Result{}, errTest
		}
		r.change(0)
		r.wantState("d", status.Running, "")
		r.stop()
		if strings.Contains(r.log.String(), "handling object failed\"") && strings.Contains(r.log.String(), "does not answer\" \"logger") {
			t.Errorf("each call is logged:\n%s", r.log.String())
		}
	})
}

// TestOnlyACallThatAsksEndsAnOutage has a composer that cannot work, and calls that do not ask it.
func TestOnlyACallThatAsksEndsAnOutage(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		answer := errNoHook
		plugin := handlers.Plugin[ownerConfig]{
			Name: "owner", Summary: "Asks what the test wants", Schema: "#Config: {owns?: [...string]}",
			Owns: func(ownerConfig) []handlers.OwnedKind { return nil },
			NewComposer: func(context.Context, handlers.Env, ownerConfig) (handlers.Composer, error) {
				return handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
					r.note("compose " + req.Object.Name())
					return handlers.Composition{}, answer
				}), nil
			},
		}
		touchPaused := func() {
			r.api.put(t, podKind, key(1), func(m *metav1.ObjectMeta) {
				m.Annotations = map[string]string{compose.PausedAnnotation: "true"}
			})
		}
		touchPaused()
		r.start(r.definition("d", "", func(def *config.Definition) { def.Handler = handlerstest.Bind(t, plugin, "{}") }))
		defer r.stop()
		r.expect("0s compose object-0")
		r.wantState("d", status.Degraded, "the hook does not answer")
		touchPaused()
		r.expect()
		r.wantState("d", status.Degraded, "the hook does not answer")
		answer = nil
		r.change(0)
		r.expect("0s compose object-0")
		r.wantState("d", status.Running, "")
	})
}

func TestFailuresOfAnOutage(t *testing.T) {
	f := newFailures()
	down := failure{attempts: 5, outage: true, message: "no hook"}
	check := func(want string) {
		t.Helper()
		if have := f.unavailable(); have != want || f.describe() != "" {
			t.Errorf("unavailable is %q, want %q, and %q is said of objects", have, want, f.describe())
		}
	}
	f.add(key(1), down)
	f.add(key(2), down)
	check("no hook")
	f.forget(key(1))
	check("no hook")
	f.forget(key(2))
	check("")
	f.add(key(1), down)
	f.add(key(2), down)
	if f.worked(key(3), false) {
		t.Error("a call that asks nobody changes something")
	}
	check("no hook")
	f.add(key(3), failure{attempts: 1, message: "it could not be asked about"})
	check("no hook")
	if !f.worked(key(3), true) {
		t.Error("the end of an outage changes nothing")
	}
	check("")
	if failing, _ := f.counts(); failing != 2 {
		t.Errorf("%d objects are failing, want two, which wait for their retry", failing)
	}
	f.add(key(1), down)
	f.add(key(2), failure{attempts: 1, asked: true, message: "its own"})
	check("")
	f.add(key(1), down)
	f.clear()
	check("")
	if f.worked(key(3), true) {
		t.Error("a call that works changes something when all is well")
	}
}
