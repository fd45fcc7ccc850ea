package compose

import (
	"context"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

// deletedAt is when the objects of the tests are deleted.
var deletedAt = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

func TestLasting(t *testing.T) {
	var l lasting
	begin := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	expect := func(after, want time.Duration) {
		t.Helper()
		if got := l.longest(begin.Add(after)); got != want {
			t.Errorf("after %s, it has gone on for %s, want %s", after, got, want)
		}
	}
	expect(time.Hour, 0)
	l.set("a", begin.Add(time.Minute))
	l.set("b", begin)
	l.set("c", begin.Add(2*time.Hour)) // such as the end of a grace period
	expect(time.Hour, time.Hour)
	expect(-time.Hour, 0)
	l.set("b", time.Time{})
	expect(time.Hour, 59*time.Minute)
	l.set("a", begin.Add(-time.Minute))
	if l.oldest.IsZero() {
		t.Error("the first one is to be looked for, though it was told")
	}
	expect(time.Hour, 61*time.Minute)
	l.set("a", begin.Add(time.Minute))
	expect(time.Hour, 59*time.Minute)
	l.set("c", time.Time{})
	if l.oldest.IsZero() {
		t.Error("the first one is to be looked for, though another one has ended")
	}
	if l.set("a", time.Time{}); l.has("a") || l.since != nil {
		t.Errorf("after the end for all, there is %v", l.since)
	}
	l.set("a", begin)
	l.clear()
	expect(time.Hour, 0)
}

func (r *rig) finalizer(child string, names ...any) {
	r.server.do(func(c *cluster) {
		c.edit(idOf(configMapKind, "team-a", child), "operator", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = names })
	})
	r.sync()
}

// remove lets an object go whose finalizers are done.
func (r *rig) remove(child string) {
	r.server.do(func(c *cluster) {
		delete(c.objects, idOf(configMapKind, "team-a", child))
		c.version++
	})
}

// TestChildrenThatDoNotGo prunes a child that a finalizer keeps.
func TestChildrenThatDoNotGo(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(3)})
	r.mustPass(t, "web")
	r.sync()
	r.finalizer("web-c", "example.com/guard")
	hour := func() time.Duration { return r.Memory.goingChildren.longest(deletedAt.Add(time.Hour)) }
	r.mustPass(t, "web")
	r.sync()
	if hour() != 0 || r.Memory.Attention.Totals()[AttentionHeld] != 0 {
		t.Errorf("children that are not deleted have been going for %s", hour())
	}
	prune := func(n int) {
		t.Helper()
		r.setSpec("web", map[string]any{"children": names(n)})
		r.sync()
		r.mustPass(t, "web")
		r.sync()
	}
	prune(2)
	if hour() != time.Hour {
		t.Errorf("right after its deletion, the child has been going for %s, want 1h", hour())
	}
	prune(1) // That one goes at once.
	held := r.Memory.Attention.Of(r.parent("web").UID())
	if hour() != time.Hour || len(held) != 1 || held[0].Kind != AttentionHeld || held[0].Child != "ConfigMap/team-a/web-c" ||
		held[0].Reason != "it is being deleted and waits for finalizer example.com/guard" {
		t.Errorf("the child has been going for %s, and what is said of it is %+v", hour(), held)
	}
	if status, _, _ := r.conditionOf("web", "Ready"); status != "True" || r.Memory.notReady.has(r.parent("web").UID()) {
		t.Errorf("Ready is %s, though all that is desired is there", status)
	}
	r.Pause() // Whoever begins now knows nothing.
	if hour() != 0 {
		t.Errorf("a replica that does not lead says that a child has been going for %s", hour())
	}
	r.mustPass(t, "web")
	if hour() != time.Hour {
		t.Errorf("the next leader says that the child has been going for %s, want 1h", hour())
	}
	r.remove("web-c")
	if called := r.sync(); len(called) != 1 {
		t.Errorf("the end of the child calls for %v", called)
	}
	r.mustPass(t, "web")
	if hour() != 0 || r.Memory.Attention.Totals()[AttentionHeld] != 0 {
		t.Errorf("after its end, the child has been going for %s", hour())
	}
}

// TestChildThatGoesWhileNothingIsFoundOut has passes that find out nothing about the parent, while
// what they would tell of it comes to an end, or goes on.
func TestChildThatGoesWhileNothingIsFoundOut(t *testing.T) {
	for name, fails := range map[string]struct {
		with   error
		panics bool
		ends   bool
		listed bool
	}{
		"its hook is down":        {with: handlers.Unavailable(errDamaged), listed: true},
		"its composer fails":      {with: errDamaged, listed: true},
		"its composer panics":     {panics: true, listed: true},
		"the time is over":        {ends: true, listed: true},
		"a cache is not complete": {},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			begun := false
			r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				if !begun {
					return keys(ctx, req)
				}
				if fails.ends {
					end()
				}
				if fails.panics {
					panic("as the test wants")
				}
				return handlers.Composition{}, fails.with
			})})
			handle := func() {
				defer func() { _ = recover() }()
				_, _ = r.Handle(ctx, handlers.Request{Object: r.parent("web")}) // What comes of it is asked of the Memory.
			}
			r.newWebsite("web", map[string]any{"children": names(2)})
			r.mustPass(t, "web")
			r.sync()
			r.finalizer("web-b", "example.com/guard")
			r.server.do(func(c *cluster) { _ = c.delete(idOf(configMapKind, "team-a", "web-b"), "", "") })
			r.sync()
			r.mustPass(t, "web")
			uid := r.parent("web").UID()
			if !r.Memory.goingChildren.has(uid) || !r.Memory.notReady.has(uid) {
				t.Fatal("the child that is being deleted is not noted")
			}

			begun = true
			r.caches[configMapKind].gone = !fails.listed
			handle()
			if r.Memory.notReady.has(uid) {
				t.Error("it counts as one that waits")
			}
			if !r.Memory.goingChildren.has(uid) {
				t.Error("the child is still there, and is not noted any more")
			}
			r.remove("web-b")
			r.sync()
			handle()
			if r.Memory.goingChildren.has(uid) {
				t.Error("the child is noted, and is gone")
			}
		})
	}
}

// TestDesiredChildThatDoesNotGo has one that somebody has deleted. The parent waits for it, and is
// deleted in the end, with all its children: that is another matter.
func TestDesiredChildThatDoesNotGo(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.mustPass(t, "web")
	r.sync()
	r.finalizer("web-a", "example.com/guard")
	r.server.do(func(c *cluster) { _ = c.delete(idOf(configMapKind, "team-a", "web-a"), "", "") })
	r.sync()
	r.mustPass(t, "web")
	uid := r.parent("web").UID()
	if !r.Memory.goingChildren.has(uid) || !r.Memory.notReady.has(uid) {
		t.Error("a desired child that is being deleted is not noted")
	}
	r.server.do(func(c *cluster) {
		id := idOf(websiteKind, "team-a", "web")
		c.edit(id, "operator", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
		_ = c.delete(id, "", "")
	})
	r.sync()
	r.mustPass(t, "web")
	if r.Memory.goingChildren.has(uid) || r.Memory.notReady.has(uid) {
		t.Error("a parent that is being deleted itself is noted")
	}
}

// TestLeaverWhoseChildDoesNotGo has a parent that lives, and is not selected any more.
func TestLeaverWhoseChildDoesNotGo(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(2)})
	r.server.do(func(c *cluster) {
		c.edit(idOf(configMapKind, "team-a", "web-b"), "operator", func(tree map[string]any) {
			object(tree, "metadata")["finalizers"] = []any{"example.com/guard"}
		})
	})
	r.caches[configMapKind].sync(r.server.cluster, configMapKind.GroupKind(), InstallationLabel, false, nil)
	for range 4 {
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	uid := r.left.UID()
	if got := r.Memory.goingChildren.longest(deletedAt.Add(time.Hour)); got != time.Hour || r.childrenOf("web") != 1 {
		t.Fatalf("of %d children that are left, one has been going for %s, want 1h", r.childrenOf("web"), got)
	}
	if held := r.Memory.Attention.Of(uid); len(held) != 1 || held[0].Kind != AttentionHeld || held[0].Child != "ConfigMap/team-a/web-b" {
		t.Errorf("what is said of it is %+v", held)
	}
	pause := func(value string) {
		r.server.do(func(c *cluster) {
			c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, value))
		})
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	pause("true")
	held := r.Memory.Attention.Of(uid)
	if r.Memory.goingChildren.has(uid) || len(held) != 1 || held[0].Child != "" || held[0].Reason != pausedMessage {
		t.Errorf("while it is paused, what is said of it is %+v, and that is noted: %t", held, r.Memory.goingChildren.has(uid))
	}
	if pause("false"); !r.Memory.goingChildren.has(uid) {
		t.Error("after the pause, the child is not noted any more")
	}
	r.remove("web-b")
	r.caches[configMapKind].sync(r.server.cluster, configMapKind.GroupKind(), InstallationLabel, false, nil)
	for r.Leavers.has(webKey, uid) {
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	if r.Memory.goingChildren.since != nil {
		t.Error("it is remembered when it is done")
	}
}

// TestLeaverWithTheChildOfAnother has a child that the brake holds, and one of another
// definition that is being deleted, which is nothing to this one.
func TestLeaverWithTheChildOfAnother(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(20)})
	r.server.do(func(c *cluster) {
		id := idOf(configMapKind, "team-a", "web-b")
		c.edit(id, "operator", func(tree map[string]any) {
			labelled(DefinitionLabel, "shops")(tree)
			object(tree, "metadata")["finalizers"] = []any{"example.com/guard"}
		})
		_ = c.delete(id, "", "")
	})
	r.caches[configMapKind].sync(r.server.cluster, configMapKind.GroupKind(), InstallationLabel, false, nil)
	for range 4 {
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.childrenOf("web"); n != 20 || r.Memory.Brake.Held() == "" {
		t.Fatalf("%d children are left, want 20 that are held", n)
	}
	if r.Memory.goingChildren.has(r.left.UID()) {
		t.Error("the child of another definition is noted")
	}
}

// TestNotReadyForLong has a parent that waits for its child, with a clock. Another leader goes on
// with the time that the status has; without a status, the time begins anew.
func TestNotReadyForLong(t *testing.T) {
	for name, none := range map[string]bool{"with a status": false, "without a status": true} {
		t.Run(name, func(t *testing.T) {
			ready := false
			var fails error
			composer := handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
				c, err := keys(ctx, req)
				if fails != nil {
					return c, fails
				}
				for i := range c.Children {
					c.Children[i].Policy.Ready = func(handlers.Object) (bool, string) { return ready, "it is too early" }
				}
				return c, err
			})
			r := newRig(t, rigOptions{composer: composer})
			r.Status.None = none
			begin := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
			at := begin
			r.now = func() time.Time { return at }
			expect := func(want time.Duration) {
				t.Helper()
				if got := r.Memory.notReady.longest(at); got != want {
					t.Errorf("at %s, it has not been ready for %s, want %s", at.Sub(begin), got, want)
				}
			}
			pass := func(after time.Duration) {
				t.Helper()
				at = at.Add(after)
				_, _ = r.pass(t, "web") // It may fail.
				r.sync()
			}
			r.newWebsite("web", map[string]any{"children": names(1)})
			pass(0)
			pass(10 * time.Minute)
			expect(10 * time.Minute)
			r.Pause()
			expect(0)
			pass(10 * time.Minute)
			if want := 20 * time.Minute; none {
				expect(0)
			} else {
				expect(want)
			}

			r.refuse("web-b", notValid("web-b"))
			r.setSpec("web", map[string]any{"children": names(2)})
			r.sync()
			pass(time.Minute)
			expect(0) // What is refused is told by itself.
			r.refuse("", nil)
			r.setSpec("web", map[string]any{"children": names(1)})
			r.sync()
			pass(time.Minute)
			if !r.Memory.notReady.has(r.parent("web").UID()) {
				t.Error("when nothing is refused any more, it does not wait")
			}
			expect(0) // It has waited for another thing before.
			if r.Pause(); !none {
				pass(time.Minute)
				expect(time.Minute) // The next leader knows since when it is not degraded.
			}
			r.server.do(func(c *cluster) {
				c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, "true"))
			})
			r.sync()
			pass(time.Minute)
			expect(0)
			r.server.do(func(c *cluster) {
				c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, "false"))
			})
			r.sync()
			pass(time.Minute)
			expect(0) // Nobody has waited while it was paused.
			fails = handlers.Unavailable(errDamaged)
			pass(time.Minute)
			expect(0) // What fails is told by itself.
			fails = nil
			pass(time.Minute)
			expect(map[bool]time.Duration{false: 2 * time.Minute}[none])
			ready = true
			pass(time.Minute)
			if expect(0); r.Memory.notReady.since != nil {
				t.Error("it is remembered when it is ready")
			}
			ready = false
			pass(time.Minute)
			expect(0)
			pass(time.Minute)
			expect(time.Minute)
			r.server.do(func(c *cluster) { delete(c.objects, idOf(websiteKind, "team-a", "web")) })
			parent := r.parent("web")
			r.sync()
			r.Forget(webKey, parent.UID())
			expect(0)
		})
	}
}

func TestIsWaiting(t *testing.T) {
	ready := condition{kind: conditionReady, status: true}
	waits := condition{kind: conditionReady, reason: "NotReady"}
	refused := condition{kind: conditionReady, reason: "Foreign"}
	degraded := func(reason string) condition { return condition{kind: conditionDegraded, status: true, reason: reason} }
	for _, tc := range []struct {
		conditions []condition
		want       bool
	}{
		{nil, false},
		{[]condition{ready, degraded("Drift")}, false},
		{[]condition{waits, {kind: conditionDegraded, reason: "AsDesired"}}, true},
		{[]condition{waits, degraded("Drift")}, false}, // That is told by itself, though it waits, too.
		{[]condition{refused, degraded("Foreign")}, false},
	} {
		if got := isWaiting(tc.conditions); got != tc.want {
			t.Errorf("%v: it waits: %t", tc.conditions, got)
		}
	}
}
