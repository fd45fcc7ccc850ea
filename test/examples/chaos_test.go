package examples_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/daemon"
)

// checkChaosOperator runs the sample, with a shorter period.
func checkChaosOperator(t *testing.T, p *daemon.Process) {
	createPods(t, "default", "web-1", "web-2", "web-3", "web-4", "web-5")
	shared.Apply(t, readExample(t, "chaos-operator", "crd.yaml"))
	shared.Apply(t, strings.Replace(readExample(t, "chaos-operator", "sample.yaml"), "periodSeconds: 15", "periodSeconds: 1", 1))
	p.Await(t, "two pods to be left", func() bool { return podsWith(t, "default", "app=web") == "web-4 web-5" })
	var first metav1.Time
	p.Await(t, "another round", func() bool {
		next := terminator(t, "default").Status.Next
		if next == nil || len(next.Pods) > 0 {
			return false
		}
		if first.IsZero() {
			first = next.Time
		}
		return first.Before(&next.Time)
	})
	if left := podsWith(t, "default", "app=web"); left != "web-4 web-5" {
		t.Errorf("after another round, %q are left, want web-4 and web-5", left)
	}
	if err := podTerminators("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.Await(t, "the end of the PodTerminator", func() bool { return terminator(t, "default") == nil })
}

// TestPodTerminator runs the operator with the rights that `kooperd rbac` prints. The period is an
// hour, and the test lets the time of a round come.
func TestPodTerminator(t *testing.T) {
	binary := daemon.Build(t, filepath.Join(daemon.Root(t), "examples", "chaos-operator"))
	for name, test := range map[string]func(*testing.T, *chaosRig){
		"minimum":       testMinimum,
		"dry run":       testDryRun,
		"changed spec":  testChangedSpec,
		"restart":       testRestart,
		"deletion":      testDeletion,
		"killed leader": testKilledLeader,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lease := `leaseDuration: "30s", renewDeadline: "20s", retryPeriod: "1s"`
			if name == "killed leader" { // whose lease is waited for
				lease = `leaseDuration: "8s", renewDeadline: "6s", retryPeriod: "1s"`
			}
			test(t, newChaosRig(t, binary, lease))
		})
	}
}

// create makes the PodTerminator "web".
func (r *chaosRig) create(t *testing.T, percent, minimum int, dryRun bool) {
	t.Helper()
	shared.Apply(t, fmt.Sprintf(`
apiVersion: chaos.example.com/v1alpha1
kind: PodTerminator
metadata: {name: web, namespace: %s}
spec: {selector: {app: web}, terminationPercent: %d, minimumInstances: %d, periodSeconds: 3600, dryRun: %t}`, r.namespace, percent, minimum, dryRun))
}

func testMinimum(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2", "web-3", "web-4", "web-5", "web-6")
	r.create(t, 50, 2, false)
	p := r.start(t)
	r.awaitLabels(t, p, "web-1 web-2 web-3")
	r.awaitRounds(t, p, "web-1 web-2 web-3", "none")
	r.wantPods(t, "web-1 web-2 web-3 web-4 web-5 web-6", "web-1 web-2 web-3")

	r.makeDue(t)
	r.awaitRounds(t, p, "web-4", "web-1 web-2 web-3")
	r.awaitEvent(t, p, "Terminated", "web-1, web-2, web-3")
	r.awaitLabels(t, p, "web-4")
	r.wantPods(t, "web-4 web-5 web-6", "web-4")

	r.makeDue(t)
	pt := r.awaitRounds(t, p, "", "web-4")
	condition := meta.FindStatusCondition(pt.Status.Conditions, "Announced")
	if condition.Status != metav1.ConditionFalse || condition.Reason != "TooFewPods" || condition.Message != "2 Pods run, and 2 have to stay" {
		t.Errorf("at the minimum, the condition is %+v", condition)
	}

	// One more runs than has to, and is gone when the round of the announced one is due.
	createPods(t, r.namespace, "web-7")
	r.makeDue(t)
	r.awaitRounds(t, p, "web-5", "web-4")
	if err := shared.Client().CoreV1().Pods(r.namespace).Delete(t.Context(), "web-6", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.makeDue(t)
	r.awaitRounds(t, p, "", "web-4")
	r.awaitLabels(t, p, "")
	r.wantPods(t, "web-5 web-7", "")
	r.stop(t, p)
	if got := r.requests(t, "delete"); got != "web-1 web-2 web-3 web-4" {
		t.Errorf("it has deleted %q", got)
	}
}

func testDryRun(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2", "web-3")
	r.create(t, 100, 1, true)
	p := r.start(t)
	pt := r.awaitRounds(t, p, "web-1 web-2 in a dry run", "none")
	if condition := meta.FindStatusCondition(pt.Status.Conditions, "Announced"); condition.Reason != "DryRun" {
		t.Errorf("the condition is %+v", condition)
	}
	r.makeDue(t)
	r.awaitRounds(t, p, "web-1 web-2 in a dry run", "web-1 web-2 in a dry run")
	r.awaitEvent(t, p, "WouldTerminate", "web-1, web-2")
	r.stop(t, p)
	r.wantPods(t, "web-1 web-2 web-3", "")
	for _, verb := range []string{"delete", "patch", "update"} {
		if got := r.requests(t, verb); got != "" {
			t.Errorf("it has made requests to %s %s", verb, got)
		}
	}
}

// testChangedSpec takes back what is announced and due, by a change of the spec that comes before
// anything looks at it.
func testChangedSpec(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2", "web-3")
	r.create(t, 50, 0, false)
	p := r.start(t)
	r.awaitLabels(t, p, "web-1 web-2")
	r.stop(t, p)
	r.makeDue(t)
	r.create(t, 10, 0, false)
	p = r.start(t)
	r.awaitRounds(t, p, "web-1", "none")
	r.awaitLabels(t, p, "web-1")
	r.stop(t, p)
	if got := r.requests(t, "delete"); got != "" {
		t.Errorf("it has deleted %s, for an announcement that holds no more", got)
	}
}

func testRestart(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2", "web-3", "web-4")
	r.create(t, 50, 0, false)
	p := r.start(t)
	r.awaitLabels(t, p, "web-1 web-2")
	r.stop(t, p)
	r.setTime(t, "2100-01-01T00:00:00Z") // a period that begins anew would end earlier
	before := terminator(t, r.namespace)

	p = r.start(t)
	r.awaitHandled(t, p)
	if diff := cmp.Diff(before, terminator(t, r.namespace)); diff != "" {
		t.Errorf("the restart has changed (-before +after):\n%s", diff)
	}
	r.wantPods(t, "web-1 web-2 web-3 web-4", "web-1 web-2")
	r.makeDue(t)
	r.awaitRounds(t, p, "web-3", "web-1 web-2")
	r.awaitLabels(t, p, "web-3")
	r.stop(t, p)
	r.setTime(t, "2100-01-01T00:00:00Z")
	before = terminator(t, r.namespace)

	p = r.start(t)
	r.awaitHandled(t, p)
	if diff := cmp.Diff(before, terminator(t, r.namespace)); diff != "" {
		t.Errorf("the restart after a round has changed (-before +after):\n%s", diff)
	}
	r.stop(t, p)
	r.makeDue(t)
	p = r.start(t)
	r.awaitRounds(t, p, "web-4", "web-3")
	r.stop(t, p)
	if got := r.requests(t, "delete"); got != "web-1 web-2 web-3" {
		t.Errorf("it has deleted %q, want web-1, web-2 and web-3", got)
	}
}

// awaitHandled waits until the PodTerminator was handled in this process.
func (r *chaosRig) awaitHandled(t *testing.T, p *daemon.Process) {
	t.Helper()
	p.Await(t, "a call", func() bool {
		got, _ := p.Metric(t, `kooper_controller_processed_event_duration_seconds_count{controller="pod-terminators",success="true"}`)
		return got != "" && got != "0"
	})
}

func testDeletion(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2")
	r.create(t, 50, 0, false)
	p := r.start(t)
	r.awaitLabels(t, p, "web-1")
	r.stop(t, p)
	if err := podTerminators(r.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.makeDue(t)
	if pt := terminator(t, r.namespace); pt == nil || len(pt.Finalizers) != 1 {
		t.Fatalf("without an operator, the deletion does not wait: %+v", pt)
	}
	p = r.start(t)
	p.Await(t, "the end of the PodTerminator", func() bool { return terminator(t, r.namespace) == nil })
	r.wantPods(t, "web-1 web-2", "")
	r.stop(t, p)
	if got := r.requests(t, "delete"); got != "" {
		t.Errorf("it has deleted %s", got)
	}
}

// testKilledLeader kills the leader when it has terminated the Pods and has not been able to note
// that. The next leader does not terminate others in their place.
func testKilledLeader(t *testing.T, r *chaosRig) {
	createPods(t, r.namespace, "web-1", "web-2", "web-3", "web-4", "web-5")
	leader := r.start(t)
	leader.AwaitLog(t, "became leader")
	standby := r.start(t)
	standby.AwaitReady(t)
	r.create(t, 40, 0, false)
	r.awaitLabels(t, leader, "web-1 web-2")

	r.changeStatusRight(t, false)
	r.makeDue(t)
	leader.AwaitLog(t, "handling object failed", "controller", "pod-terminators")
	leader.Kill()
	r.wantPods(t, "web-3 web-4 web-5", "")
	standby.AwaitLog(t, "handling object failed", "controller", "pod-terminators")
	r.changeStatusRight(t, true)
	r.awaitRounds(t, standby, "web-3 web-4", "web-1 web-2")
	r.awaitLabels(t, standby, "web-3 web-4")
	r.wantPods(t, "web-3 web-4 web-5", "web-3 web-4")
	r.stop(t, standby)
	var deleted []string
	for _, e := range shared.AuditSince(t, r.mark, r.user()) {
		if e.User.Username == r.user() && e.Verb == "delete" {
			deleted = append(deleted, e.ObjectRef.Name)
		}
	}
	if got := strings.Join(deleted, " "); got != "web-1 web-2" {
		t.Errorf("requests to delete %q, want web-1 and web-2, once each", got)
	}
}
