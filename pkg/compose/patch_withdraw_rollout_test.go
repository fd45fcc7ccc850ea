package compose

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestWithdrawPatchesOfARollout leaves what a parent has contributed that is not updated yet.
func TestWithdrawPatchesOfARollout(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	for _, name := range []string{"web", "held"} {
		r.newWebsite(name, patchesOf("shared", "x"))
		r.mustPass(t, name)
		r.sync()
	}
	gate := &Rollout{now: time.Now}
	gate.begin(rolloutTerm{
		limits: &config.Rollout{MaxUnavailable: config.Share{Number: 1}}, digest: "2", metrics: telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout(), call: func(kube.Key) {},
		exists: r.parents.Keys,
	})
	say := func(name string, current bool) {
		gate.say(rolloutWord{key: kube.Key{Namespace: "team-a", Name: name}, uid: r.parent(name).UID(), digest: "2", desired: "x", current: current, since: time.Now})
	}
	say("web", true)
	say("held", false)
	removal := r.patchRemoval(t)
	removal.Now, removal.Updated = &Selection{Kind: websiteKind}, gate.HasUpdated
	check := func(want string) {
		t.Helper()
		var data map[string]any
		r.server.do(func(c *cluster) { data = object(c.objects[id].tree, "data") })
		if got := fmt.Sprint(data); got != want {
			t.Errorf("the object has %s, want %s", got, want)
		}
	}
	if err := removal.WithdrawPatches(t.Context()); err == nil || err.Error() != errNotUpdated.Error() {
		t.Errorf("error %v, want %v", err, errNotUpdated)
	}
	check("map[held:x own:1]")
	say("held", true)
	if err := removal.WithdrawPatches(t.Context()); err != nil {
		t.Error(err)
	}
	check("map[own:1]")
	if gate.HasUpdated(types.UID("unknown")) {
		t.Error("a parent that nobody has looked at is updated")
	}
	gate.clear()
	if !gate.HasUpdated(types.UID("unknown")) {
		t.Error("without bounds, there is something to wait for")
	}
}
