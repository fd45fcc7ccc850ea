package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"
)

// TestStandbyGivesUpOnRecords has a replica that would record something else than the leader.
func TestStandbyGivesUpOnRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := fake.NewClientset()
		r := newRig(t, 1, withRecords(clients.CoreV1().ConfigMaps("kooper-system")))
		r.apply(r.composing("pods", nil, "Secret"))
		r.run()
		defer r.stop()
		looks := func() int {
			time.Sleep(24 * time.Hour)
			n := len(clients.Actions())
			clients.ClearActions()
			return n
		}
		if n := looks(); n == 0 || n > learnLooks {
			t.Errorf("in a day it looks %d times, want %d", n, learnLooks)
		}
		r.apply(r.composing("pods", nil, "ConfigMap"))
		if n := looks(); n == 0 || n > learnLooks {
			t.Errorf("after a change of the config it looks %d times in a day, want %d", n, learnLooks)
		}
	})
}
