package chart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// release is an installed chart, whose pods run.
type release struct {
	helm      string
	namespace string
	kubelet   *kubelet
	args      []string // of helm install and helm upgrade
	waiting   []string // what Helm has last said to wait with, for kubectl
}

// releaseName is that of every release; its objects are called releaseName + "-kooperd".
const releaseName = "r"

const objectName = releaseName + "-kooperd"

// install installs the chart in a new namespace that enforces "restricted", and waits until
// its pods are ready.
func install(t *testing.T, version string, args ...string) *release {
	t.Helper()
	payments(t)
	shared.Apply(t, readFile(t, "testdata/crds.yaml"))
	r := &release{helm: version, namespace: restrictedNamespace(t), args: args}
	r.kubelet = startKubelet(t, r.namespace)
	helm(t, version, r.command("install")...)
	t.Cleanup(func() { // What is outside of the namespace, or would outlive the kubelet.
		if _, err := tryHelmIn(t, context.WithoutCancel(t.Context()), version, "status", releaseName, "--namespace", r.namespace); err == nil {
			if out, err := tryHelmIn(t, context.WithoutCancel(t.Context()), version, "uninstall", releaseName, "--namespace", r.namespace); err != nil {
				t.Errorf("uninstalling: %v\n%s", err, out)
			}
		}
	})
	return r
}

// command is the command line of a change of the release.
func (r *release) command(verb string, args ...string) []string {
	return slices.Concat([]string{verb, releaseName, chartDir, "--namespace", r.namespace, "--wait", "--timeout", "60s"}, r.args, args)
}

// user is whom the API server takes the pods for.
func (r *release) user() string { return "system:serviceaccount:" + r.namespace + ":" + objectName }

// manifests are the objects of the release as Helm has stored them.
func (r *release) manifests(t *testing.T) manifests {
	t.Helper()
	return parse(t, helm(t, r.helm, "get", "manifest", releaseName, "--namespace", r.namespace))
}

// daemons are the running daemons, by the names of their pods.
func (r *release) daemons(t *testing.T) map[string]*daemon.Process {
	t.Helper()
	all := map[string]*daemon.Process{}
	for _, pod := range r.pods(t) {
		if run := r.kubelet.run(pod.Name); run != nil && run.process() != nil {
			all[pod.Name] = run.process()
		}
	}
	return all
}

// leader waits for the daemon that leads.
func (r *release) leader(t *testing.T) *daemon.Process {
	t.Helper()
	var leader *daemon.Process
	eventually(t, "one of the pods leads", func() bool {
		holder := r.holder(t)
		for name, p := range r.daemons(t) {
			if strings.HasPrefix(holder, name+"_") {
				leader = p
			}
		}
		return leader != nil
	})
	return leader
}

// holder is the identity that holds the lease now, or empty.
func (r *release) holder(t *testing.T) string {
	t.Helper()
	lease, err := shared.Client().CoordinationV1().Leases(r.namespace).Get(t.Context(), objectName, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// stop ends all pods. "helm uninstall" would take their rights away at the same time, and they
// could not release the lease.
func (r *release) stop(t *testing.T) {
	t.Helper()
	shared.Kubectl(t, "--namespace", r.namespace, "scale", "deployment", objectName, "--replicas=0")
	eventually(t, "all pods are gone", func() bool { return len(r.pods(t)) == 0 })
}

// pods are those of the Deployment, also those that are about to end.
func (r *release) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := shared.Client().CoreV1().Pods(r.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=daemon"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(daemon.Timeout); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %s it is not so that %s", daemon.Timeout, what)
		}
		select {
		case <-time.After(kubeletPeriod):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// works are what each example has to do, with its own objects.
var works = map[string]func(t *testing.T, r *release){
	"cluster-pods": func(t *testing.T, r *release) {
		name := "web-" + r.namespace
		shared.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: payments, labels: {app: web}}
spec: {containers: [{name: a, image: a}]}`, name))
		r.leader(t).AwaitLog(t, "web pod", "name", name)
		r.leader(t).AwaitLog(t, "a namespace", "name", r.namespace)
	},
	"one-namespace": func(t *testing.T, r *release) {
		name := "a-" + r.namespace
		shared.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: %[1]s, namespace: payments, labels: {watched: ""}}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: payments}
spec: {clusterIP: None}`, name))
		r.leader(t).AwaitLog(t, "a configmap", "name", name)
		r.leader(t).AwaitLog(t, "a service", "name", name)
	},
	"custom-resource": func(t *testing.T, r *release) {
		name := "a-" + r.namespace
		createWidget(t, name)
		eventually(t, "the widget is greeted", func() bool { return greeted(t, getWidget(t, name)) })
		r.leader(t).AwaitLog(t, "a namespace", "name", r.namespace)
	},
}

var widgets = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}

func createWidget(t *testing.T, name string) {
	t.Helper()
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"who": name},
	}}
	if _, err := shared.Dynamic().Resource(widgets).Namespace("payments").Create(t.Context(), widget, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func getWidget(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	widget, err := shared.Dynamic().Resource(widgets).Namespace("payments").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return widget
}

// greeted reports whether the present generation of a widget has been handled.
func greeted(t *testing.T, widget *unstructured.Unstructured) bool {
	t.Helper()
	generation, _, err := unstructured.NestedInt64(widget.Object, "status", "generation")
	if err != nil {
		t.Fatal(err)
	}
	return generation == widget.GetGeneration()
}

// TestReleases installs each example with each version of Helm, has it work, runs "helm test", and
// judges the rights of the release by what its pods have asked of the API server.
func TestReleases(t *testing.T) {
	forEachHelm(t, func(t *testing.T, version string) {
		for name, file := range examples(t) {
			t.Run(name, func(t *testing.T) {
				mark := shared.AuditMark(t)
				args := []string{"--values", file, "--set", "shutdownDelaySeconds=0"}
				paged := version == "helm3" // Once in the way of API servers that cannot stream a list.
				if paged {
					args = append(args, "--set", "env[0].name=KUBE_FEATURE_WatchListClient", "--set-string", "env[0].value=false")
				}
				r := install(t, version, args...)
				granted := r.manifests(t).grants(t)
				works[name](t, r)
				if said, ok := r.helmTest(t); !ok || !strings.HasPrefix(said, "ok: ") {
					t.Errorf("helm test: %t, kooperd says:\n%s", ok, said)
				}
				if name == "one-namespace" && !paged {
					r.commandsOfDocs(t)
				}
				r.stop(t)
				cluster.CheckGrants(t, r.user(), granted, paged, r.ofDaemons(t, mark))
			})
		}
	})
}

// unreadableNamespaces begins what kooperd says of namespaces that it may not get. The chart grants
// no right to.
const unreadableNamespaces = "leaderElection: cannot tell whether these namespaces exist"

// helmTest runs "helm test --logs" and returns what kooperd says in its pod, but for
// unreadableNamespaces, and whether Helm takes that for a success.
func (r *release) helmTest(t *testing.T) (said string, succeeded bool) {
	t.Helper()
	out, err := tryHelm(t, r.helm, "test", releaseName, "--namespace", r.namespace, "--timeout", "60s", "--logs")
	run := r.kubelet.run(testPod)
	if run == nil {
		t.Fatalf("helm test has run no pod: %v\n%s", err, out)
	}
	said = readFile(t, run.outputFile())
	if (err == nil) != strings.Contains(out, "Phase:          Succeeded") || !strings.Contains(out, said) {
		t.Errorf("helm test --logs, with error %v, says:\n%s\nkooperd has said:\n%s", err, out, said)
	}
	var rest strings.Builder
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, unreadableNamespaces) {
			rest.WriteString(line)
		}
	}
	return rest.String(), err == nil
}

// testPod is the pod of "helm test".
const testPod = objectName + "-validate"

// ofDaemons returns the requests since mark but those of "helm test": what that asks must not make
// up for what the daemons do not.
func (r *release) ofDaemons(t *testing.T, mark cluster.AuditMark) func() []cluster.AuditEvent {
	return func() []cluster.AuditEvent {
		return slices.DeleteFunc(shared.AuditSince(t, mark, r.user()), byPod(testPod))
	}
}

// byPod selects the requests of a pod.
func byPod(name string) func(cluster.AuditEvent) bool {
	return func(e cluster.AuditEvent) bool {
		return slices.Contains(e.User.Extra["authentication.kubernetes.io/pod-name"], name)
	}
}
