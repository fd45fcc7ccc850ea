package compose

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/config"
)

// TestRolloutOfAnotherAnswer has a composer that fails for a moment, and then wants something else.
func TestRolloutOfAnotherAnswer(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.broken = true
	r.all(t)
	r.broken, r.version = false, "2"
	r.all(t)
	if got := r.has("2"); len(got) != 1 {
		t.Errorf("after passes that failed, %v have moved, want one; %s", got, r.Memory.Rollout.Describe())
	}
}

// TestRolloutOfAnotherAnswerAfterAnOutage has children that were not ready for a while, which is no
// reason to change them all.
func TestRolloutOfAnotherAnswerAfterAnOutage(t *testing.T) {
	r := newRolloutRig(t, 4, 1)
	r.server.do(func(c *cluster) {
		for _, name := range r.websites() {
			c.edit(idOf(configMapKind, "team-a", name+"-page"), "kubectl", annotated(healthy, "no"))
		}
	})
	r.run(t)
	r.version = "2"
	r.all(t)
	if got := r.has("2"); len(got) != 1 {
		t.Errorf("while none is ready, %v have moved, want one; %s", got, r.Memory.Rollout.Describe())
	}
	for range 4 {
		r.heal(r.websites()...)
		r.run(t)
	}
	r.expect(t, "in the end", "2", r.websites()...)
}

// TestRolloutOfWhatComesByAndBy has a parent whose composer wants more when the first child is
// ready: the parent does not wait in the middle.
func TestRolloutOfWhatComesByAndBy(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.change(t, "2")
	r.newWebsite("new", map[string]any{})
	r.mustPass(t, "new")
	r.pages = []string{"page", "more"}
	r.heal("new")
	r.sync()
	r.mustPass(t, "new")
	if n := r.childrenOf("new"); n != 2 {
		t.Errorf("the parent has %d children, want both", n)
	}
}

// TestRolloutStaysPausedByAReload has a parent that is broken since a change. Another revision of
// the definition has to look at it before it goes on.
func TestRolloutStaysPausedByAReload(t *testing.T) {
	at := time.Now()
	r := newRolloutRig(t, 4, 3)
	r.limits.MaxUnavailable.Number = 1
	r.now = func() time.Time { return at }
	r.Memory.Rollout.now = r.now
	r.limits.PauseWhen = &config.PauseWhen{NotReady: config.Share{Number: 1}, LongerThan: time.Minute}
	r.change(t, "2")
	bad := r.has("2")[0]
	r.limits.MaxUnavailable.Number = 3
	at = at.Add(2 * time.Minute)
	r.begin(t, "2")
	others := slices.DeleteFunc(r.websites(), func(name string) bool { return name == bad })
	for _, name := range others {
		r.mustPass(t, name)
	}
	r.run(t)
	r.expect(t, "before the broken one was looked at", "2", bad)
	if got := r.Memory.Rollout.Describe(); !strings.Contains(got, "of 4 parents") || !strings.HasSuffix(got, "; all have to be looked at before one is changed") {
		t.Errorf("it says %q", got)
	}
	r.mustPass(t, bad)
	r.run(t)
	r.expect(t, "when it was looked at", "2", bad)
	if got := r.Memory.Rollout.Describe(); !strings.Contains(got, "it is paused") {
		t.Errorf("it says %q", got)
	}
}
