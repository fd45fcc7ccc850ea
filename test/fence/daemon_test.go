package fence_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// objects is how many ConfigMaps the replicas mark.
const objects = 6

// daemonRights are what the replicas and their handler programs need.
var daemonRights = cluster.ClusterWide(
	cluster.Allow("get,list,watch,patch", "", "configmaps"),
	cluster.Allow("get,list,watch,create,update", "coordination.k8s.io", "leases"),
)

// replica starts a kooperd in a pod, which runs the program mark for every object with the label.
func (f fenced) replica(t *testing.T, pod string, env ...string) *daemon.Process {
	t.Helper()
	return daemon.Start(t, daemon.Options{
		Binary:     kooperd,
		Kubeconfig: shared.PodServiceAccountKubeconfig(t, f.namespace, account, pod),
		Env:        append([]string{"POD_NAMESPACE=" + f.namespace}, env...),
		Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms"}
controllers: marks: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "marked"}
	mode: "concurrent", workers: 4
	retry: {initialDelay: "20ms", maxDelay: "500ms"}
	handler: exec: {command: [%q], passEnv: ["KUBECONFIG", "POD_NAME"]}
}`, leaseName, f.namespace, mark),
	})
}

// podEnv is what the downward API puts into a pod.
func (f fenced) podEnv(t *testing.T, pod string) []string {
	t.Helper()
	f.candidate(t, pod)
	identity := f.identity(t, pod)
	return []string{"POD_NAME=" + pod, "POD_UID=" + strings.TrimPrefix(identity, pod+"_")}
}

func (f fenced) createObjects(t *testing.T) {
	t.Helper()
	for i := range objects {
		shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: object-%d, namespace: %s, labels: {marked: \"true\"}}\n", i, f.namespace))
	}
}

// awaitMarked waits until a replica has marked every object with the name of its pod.
func (f fenced) awaitMarked(t *testing.T, p *daemon.Process, pod string) {
	t.Helper()
	p.Await(t, "every object marked by "+pod, func() bool {
		list, err := shared.Client().CoreV1().ConfigMaps(f.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "marked"})
		if err != nil {
			t.Fatal(err)
		}
		marked := 0
		for _, object := range list.Items {
			if object.Data["by"] == pod {
				marked++
			}
		}
		return marked == objects
	})
}

// TestReplicas has two replicas fail over, first by a kill and then by a stop, while something that
// the first leader has left behind in its pod keeps on writing.
func TestReplicas(t *testing.T) {
	f := install(t, daemonRights)
	f.createObjects(t)
	first := f.replica(t, "first", f.podEnv(t, "first")...)
	f.awaitMarked(t, first, "first")
	second := f.replica(t, "second", f.podEnv(t, "second")...)
	second.AwaitReady(t)
	before := shared.AuditMark(t)

	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first, namespace: %s}\n", f.namespace))
	runaway := &writer{candidate: f.candidate(t, "first")}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { runaway.run(ctx, f) })
	second.Await(t, "a write of the program left behind", func() bool { return runaway.accepted.Load() > 0 })

	first.Signal(t, syscall.SIGKILL)
	first.AwaitExit(t)
	f.awaitMarked(t, second, "second")
	second.Await(t, "a refusal of the program left behind", func() bool { return runaway.refused.Load() > 0 })
	stop()
	running.Wait()
	if err := runaway.problem(); err != nil {
		t.Errorf("writing as the program left behind: %v", err)
	}
	f.assertOrder(t, shared.AuditSince(t, before, f.namespace), "first", "second")

	third := f.replica(t, "third", f.podEnv(t, "third")...)
	third.AwaitReady(t)
	before = shared.AuditMark(t)
	stopped := time.Now()
	if status := second.Stop(t); status != 0 {
		t.Errorf("exit status of the stopped leader is %d, want 0", status)
	}
	third.AwaitLog(t, "became leader")
	t.Logf("the next replica led %s after SIGTERM", time.Since(stopped).Round(time.Millisecond))
	f.awaitMarked(t, third, "third")
	f.assertOrder(t, shared.AuditSince(t, before, f.namespace), "second", "third")
}

// assertOrder reads from the audit log that no write of the old leader's pod arrived and was
// accepted after the first one of the new leader's had been.
func (f fenced) assertOrder(t *testing.T, events []cluster.AuditEvent, from, to string) {
	t.Helper()
	var first time.Time // answered
	accepted, refused := map[string]int{}, map[string]int{}
	for _, e := range events {
		if e.ObjectRef.Namespace != f.namespace || e.ObjectRef.Resource != "configmaps" || !e.IsWrite() {
			continue
		}
		pods := e.User.Extra["authentication.kubernetes.io/pod-name"]
		if len(pods) != 1 {
			continue // the test itself
		}
		if e.ResponseStatus.Code >= 400 {
			refused[pods[0]]++
			continue
		}
		accepted[pods[0]]++
		if pods[0] == to && (first.IsZero() || e.Answered.Time.Before(first)) {
			first = e.Answered.Time
		}
	}
	t.Logf("writes by pod: accepted %v, refused %v", accepted, refused)
	if first.IsZero() {
		t.Fatalf("no write by %s was accepted", to)
	}
	for _, e := range events {
		pods := e.User.Extra["authentication.kubernetes.io/pod-name"]
		if len(pods) == 1 && pods[0] == from && e.ObjectRef.Resource == "configmaps" && e.ObjectRef.Namespace == f.namespace &&
			e.IsWrite() && e.ResponseStatus.Code < 400 && e.RequestReceived.Time.After(first) {
			t.Errorf("a write of %s/%s by %s was accepted %s after the first one by %s", e.ObjectRef.Resource, e.ObjectRef.Name, from,
				e.RequestReceived.Sub(first), to)
		}
	}
}

// TestRefusedCallsAreRetried has a replica lead by another lease than the fence's, so that its
// handlers are refused until the fence's Lease names it too.
func TestRefusedCallsAreRetried(t *testing.T) {
	f := install(t, daemonRights)
	f.setHolder(t, "somebody")
	f.awaitHolder(t, "somebody")
	f.createObjects(t)
	// The Lease of the replica must be excluded from the fence, which goes by its name, so it is in
	// another namespace.
	elsewhere := shared.Namespace(t)
	p := f.replica(t, "first", append(f.podEnv(t, "first"), "POD_NAMESPACE="+elsewhere)...)
	p.AwaitLog(t, "handling object failed")
	said := p.AwaitLog(t, "program output").Field("line")
	if want := f.heldBy("somebody") + by(f.identity(t, "first")); !strings.HasSuffix(said, want) {
		t.Errorf("the handler program has said %q, want %q at the end", said, want)
	}
	f.setHolder(t, f.identity(t, "first"))
	f.awaitMarked(t, p, "first")
}

// TestIdentityOfTheHost runs a replica without POD_NAME and POD_UID: the error says why nothing
// can be written.
func TestIdentityOfTheHost(t *testing.T) {
	f := install(t, daemonRights)
	f.createObjects(t)
	p := f.replica(t, "first", "POD_NAME=first")
	leader := p.AwaitLog(t, "became leader").Field("identity")
	said := p.AwaitLog(t, "program output").Field("line")
	if want := f.heldBy(leader) + by(f.identity(t, "first")); !strings.HasSuffix(said, want) {
		t.Errorf("the handler program has said %q, want %q at the end", said, want)
	}
}
