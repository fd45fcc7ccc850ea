package chart

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/daemon"
)

// TestOneWorker has Helm refuse every change by which old and new pods would work at once, while
// there are pods, also when they have been asked to stop; and accept it once they are gone.
func TestOneWorker(t *testing.T) {
	tests := map[string]struct {
		installed string
		refused   []string
		accepted  string
		lease     string
	}{
		"another lease": {
			installed: "shutdownDelaySeconds=60,replicas=1", // Longer than this test: a second signal ends it.
			refused: []string{
				"leaderElection.name=other", "leaderElection.namespace=payments", "leaderElection.lock=configMap",
				"leaderElection.enabled=false", "fullnameOverride=other", "nameOverride=other",
			},
			accepted: "leaderElection.name=other", lease: "other",
		},
		"a lease at last": {
			installed: "leaderElection.enabled=false,replicas=1",
			refused:   []string{"leaderElection.enabled=true", "fullnameOverride=other"},
			accepted:  "leaderElection.enabled=true,fullnameOverride=third", lease: "third",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			forOneHelm(t, func(t *testing.T, version string) {
				r := install(t, version, "--values", examples(t)["one-namespace"], "--set", tc.installed)
				leads := tc.installed != tests["a lease at last"].installed
				if leads {
					r.leader(t)
				}
				for _, change := range tc.refused {
					r.refused(t, change)
				}
				helm(t, version, r.command("upgrade", "--set", "replicas=0")...)
				if leads {
					r.checkStopping(t, tc.refused)
				}
				r.awaitGone(t, r.waiting)
				helm(t, version, r.command("upgrade", "--set", tc.accepted)...)
				eventually(t, "the new pods lead by the new lease", func() bool {
					lease, err := shared.Client().CoordinationV1().Leases(r.namespace).Get(t.Context(), tc.lease, metav1.GetOptions{})
					return err == nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != ""
				})
			})
		})
	}
}

// checkStopping has changes refused while the only pod of the release, which has been asked to
// stop, goes on leading, and ends that pod.
func (r *release) checkStopping(t *testing.T, changes []string) {
	t.Helper()
	eventually(t, "the pod is asked to stop", func() bool { return r.pods(t)[0].DeletionTimestamp != nil })
	p := r.leader(t)
	p.AwaitLog(t, "asked to stop: this replica leads and goes on working")
	for _, change := range changes {
		r.refused(t, change)
	}
	if len(r.pods(t)) != 1 || r.holder(t) == "" || p.Exited() {
		t.Error("the pod has stopped before the test has asked it a second time")
	}
	p.Signal(t, terminationSignal)
}

// refused has Helm refuse a change, and keeps the command that its message names.
func (r *release) refused(t *testing.T, change string) {
	t.Helper()
	out, err := tryHelm(t, r.helm, r.command("upgrade", "--set", change)...)
	message := regexp.MustCompile(`(?s)works under ".*?new pods would work at the same time under .*?\n  kubectl ([^\n]*)\n`).FindStringSubmatch(out)
	if err == nil || message == nil {
		t.Fatalf("%s: helm upgrade says, with error %v:\n%s", change, err, out)
	}
	r.waiting = strings.Fields(message[1])
}

// awaitGone runs the command that waits until the pods are gone.
func (r *release) awaitGone(t *testing.T, command []string) {
	t.Helper()
	shared.Kubectl(t, command...)
	if left := r.pods(t); len(left) > 0 {
		t.Errorf("after kubectl %s there are %d pods", strings.Join(command, " "), len(left))
	}
}

// TestLeaseSettings has Helm accept another setting of the same lease while pods run.
func TestLeaseSettings(t *testing.T) {
	r := install(t, "helm4", "--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=0,leaderElection.name=mine")
	helm(t, "helm4", r.command("upgrade", "--set", "leaderElection.leaseDuration=20s,leaderElection.lock=lease,leaderElection.namespace="+r.namespace)...)
}

// TestBadConfig upgrades to a config that kooperd refuses: the pods of before go on with theirs,
// also a container that starts again in its pod and a pod that is made again. After an upgrade with
// a good one nothing is left of both.
func TestBadConfig(t *testing.T) {
	forOneHelm(t, func(t *testing.T, version string) {
		r := install(t, version, "--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=0,replicas=1")
		old := r.pods(t)[0]
		bad := r.command("upgrade", "--set-string", `configFiles.more\.yaml=kontrollers: {}`, "--timeout", "3s")
		if out, err := tryHelm(t, version, bad...); err == nil {
			t.Fatalf("helm upgrade --wait takes a bad config for good:\n%s", out)
		}
		r.checkRefusedConfig(t, old.Name)

		first := r.kubelet.run(old.Name).process()
		first.Kill()
		eventually(t, "the old container has started again", func() bool { return r.kubelet.run(old.Name).process() != first })
		r.kubelet.run(old.Name).process().AwaitLog(t, "became leader")
		works["one-namespace"](t, r)

		shared.Kubectl(t, "--namespace", r.namespace, "delete", "pod", old.Name)
		again := r.leader(t)
		if again == first || again.Exited() {
			t.Error("no new pod of the old version leads")
		}

		good := r.command("upgrade", "--set-string", `configFiles.more\.yaml=controllers: {}`)
		helm(t, version, good...)
		eventually(t, "the former pods are gone", func() bool { return len(r.pods(t)) == 1 })
		if have := r.configMaps(t); len(have) < 4 {
			t.Errorf("while there were former pods Helm has left the ConfigMaps %q alone", have)
		}
		helm(t, version, good...)
		wantSame(t, "what is left of the ConfigMaps", r.configMaps(t), r.mounted(t))
	})
}

// checkRefusedConfig waits until a pod other than the old one has ended with the status of a bad
// config.
func (r *release) checkRefusedConfig(t *testing.T, old string) {
	t.Helper()
	var refused *daemon.Process
	for name := range r.daemons(t) {
		if name != old {
			refused = r.kubelet.run(name).all()[0]
		}
	}
	if refused == nil {
		t.Fatal("there is no new pod")
	}
	if status := refused.AwaitExit(t); status != 2 {
		t.Errorf("the new pod has ended with status %d, want 2", status)
	}
}

// mounted are the names of the ConfigMaps that the pods of the release mount.
func (r *release) mounted(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, volume := range r.pods(t)[0].Spec.Volumes {
		if volume.ConfigMap != nil {
			names = append(names, volume.ConfigMap.Name)
		}
	}
	slices.Sort(names)
	return names
}

// configMaps are the names of those that the chart has made.
func (r *release) configMaps(t *testing.T) []string {
	t.Helper()
	list, err := shared.Client().CoreV1().ConfigMaps(r.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kooperd.dev/part"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	slices.Sort(names)
	return names
}
