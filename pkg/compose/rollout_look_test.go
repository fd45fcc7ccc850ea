package compose

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestRolloutLooksAlone has a revision that takes its time to find its parents. Nobody waits for
// it, what goes meanwhile is not waited for, and who was held meanwhile is called.
func TestRolloutLooksAlone(t *testing.T) {
	key := func(name string) kube.Key { return kube.Key{Namespace: "team-a", Name: name} }
	looking, found := make(chan struct{}), make(chan struct{})
	var called []string
	gate := &Rollout{now: time.Now}
	gate.begin(rolloutTerm{
		limits: &config.Rollout{MaxUnavailable: config.Share{Number: 3}}, digest: "2",
		metrics: telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout(),
		call:    func(key kube.Key) { called = append(called, key.Name) },
		exists: func() []kube.Key {
			close(looking)
			<-found
			return []kube.Key{key("first"), key("second"), key("ready"), key("gone")}
		},
	})
	ask := func(name string) bool {
		no := func() bool { return false }
		return gate.holds(rolloutQuestion{
			key: key(name), uid: types.UID(name), digest: "2", desired: "x", ready: true, isNew: no, wished: no, since: time.Now,
		})
	}
	held := make(chan bool)
	go func() { held <- ask("first") }()
	<-looking
	gate.say(rolloutWord{key: key("ready"), uid: "ready", digest: "2", desired: "x", current: true, ready: true, since: time.Now})
	gate.forget(key("gone"), "gone")
	if !ask("second") {
		t.Error("a parent moves before all are known")
	}
	close(found)
	if <-held {
		t.Errorf("the one that has looked is held: %s", gate.Describe())
	}
	if !slices.Equal(called, []string{"second"}) {
		t.Errorf("called are %q, want the second one", called)
	}
	if ask("second") {
		t.Errorf("the second one is held: %s", gate.Describe())
	}
}
