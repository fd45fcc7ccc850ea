package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// TestOverdue has calls that ignore their deadline, among others, all of which share one timer.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := telemetry.NewMetrics(prometheus.NewRegistry())
		c := &controller{
			def: config.Definition{Name: "test", Timeout: time.Minute}, logger: logr.Discard(),
			metrics: metrics.Controller("test"), board: status.NewBoard(metrics),
			failures: newFailures(), running: map[kube.Key]time.Time{}, overdue: map[kube.Key]time.Time{},
		}
		const limit = time.Minute + overdueGrace
		want := func(when string, overdue int) {
			t.Helper()
			synctest.Wait()
			if len(c.overdue) != overdue {
				t.Errorf("%s: %d calls are overdue, want %d", when, len(c.overdue), overdue)
			}
			if reason := c.condition().overdue; (overdue > 0) != strings.Contains(reason, "ignore the deadline") {
				t.Errorf("%s: the condition is %q", when, reason)
			}
		}
		for term := range 2 {
			quick := c.begin(key(1))
			time.Sleep(time.Second)
			quick()
			first := c.begin(key(2))
			time.Sleep(limit / 2)
			second := c.begin(key(3))
			time.Sleep(limit/2 - time.Millisecond)
			want("just before the first is late", 0)
			time.Sleep(2 * time.Millisecond)
			want("the first is late", 1)
			time.Sleep(limit / 2)
			want("the second is late too", 2)
			first()
			want("the first has returned", 1)
			second()
			want("both have returned", 0)
			c.endWatch()
			if c.deadlinesSet {
				t.Errorf("term %d: the timer is set after the term", term)
			}
			time.Sleep(time.Hour)
		}
	})
}
