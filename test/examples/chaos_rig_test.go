package examples_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/examples/chaos-operator/chaos"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// chaosRig is a namespace with a service account that has the rights that the chaos operator
// needs there, and no more.
type chaosRig struct {
	namespace, binary, config, kubeconfig string

	mark cluster.AuditMark
}

// newChaosRig prepares the example's config for a namespace. Its lease is as short as lease says.
func newChaosRig(t *testing.T, binary, lease string) *chaosRig {
	t.Helper()
	r := &chaosRig{namespace: shared.Namespace(t), binary: binary, config: filepath.Join(t.TempDir(), "controllers.cue")}
	text := strings.NewReplacer(
		`"default"`, fmt.Sprintf("%q", r.namespace),
		`name:      "chaos-operator"`, `name: "chaos-operator", `+lease,
	).Replace(readExample(t, "chaos-operator", "controllers.cue"))
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shared.Apply(t, readExample(t, "chaos-operator", "crd.yaml"))
	r.kubeconfig = shared.ServiceAccountKubeconfig(t, r.namespace, "chaos-operator")
	shared.Apply(t, run(t, binary, "rbac", r.config, "--service-account", r.namespace+"/chaos-operator", "--name", "chaos",
		"--crds", filepath.Join(daemon.Root(t), "examples", "chaos-operator", "crd.yaml")))
	r.awaitStatusRight(t, true)
	r.mark = shared.AuditMark(t)
	return r
}

// start runs a replica.
func (r *chaosRig) start(t *testing.T) *daemon.Process {
	t.Helper()
	return daemon.Start(t, daemon.Options{Binary: r.binary, Config: r.config, Kubeconfig: r.kubeconfig})
}

// stop ends a replica and wants status 0.
func (r *chaosRig) stop(t *testing.T, p *daemon.Process) {
	t.Helper()
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

// user is the name of the service account.
func (r *chaosRig) user() string {
	return "system:serviceaccount:" + r.namespace + ":chaos-operator"
}

// awaitStatusRight waits until the service account may write the status of PodTerminators, or may
// not any more.
func (r *chaosRig) awaitStatusRight(t *testing.T, want bool) {
	t.Helper()
	for {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: r.user(),
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: r.namespace, Verb: "update", Group: "chaos.example.com", Resource: "podterminators", Subresource: "status",
			},
		}}
		answer, err := shared.Client().AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed == want {
			return
		}
	}
}

// changeStatusRight takes the right to write the status of PodTerminators away, or gives it back.
func (r *chaosRig) changeStatusRight(t *testing.T, granted bool) {
	t.Helper()
	roles := shared.Client().RbacV1().Roles(r.namespace)
	role, err := roles.Get(t.Context(), "chaos", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := false
	for i := range role.Rules {
		if strings.HasPrefix(role.Rules[i].Resources[0], "podterminators/") {
			role.Rules[i].Verbs = map[bool][]string{true: {"update"}, false: {"get"}}[granted]
			changed = true
		}
	}
	if _, err := roles.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil || !changed {
		t.Fatalf("changing the role (changed: %t): %v", changed, err)
	}
	r.awaitStatusRight(t, granted)
}

// createPods makes Pods with the label app=web, the older ones first, and says that they run.
func createPods(t *testing.T, namespace string, names ...string) {
	t.Helper()
	pods := shared.Client().CoreV1().Pods(namespace)
	for _, name := range names {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "registry.example/web:1"}}},
		}
		pod, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod.Status.Phase = corev1.PodRunning
		if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// podsWith returns the names of the Pods that match a selector.
func podsWith(t *testing.T, namespace, selector string) string {
	t.Helper()
	list, err := shared.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, pod := range list.Items {
		names = append(names, pod.Name)
	}
	return strings.Join(names, " ")
}

func podTerminators(namespace string) dynamic.ResourceInterface {
	resource := schema.GroupVersionResource{Group: "chaos.example.com", Version: "v1alpha1", Resource: "podterminators"}
	return shared.Dynamic().Resource(resource).Namespace(namespace)
}

// terminator reads the PodTerminator "web". It is nil when there is none.
func terminator(t *testing.T, namespace string) *chaos.PodTerminator {
	t.Helper()
	object, err := podTerminators(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	var pt chaos.PodTerminator
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pt)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &pt
}

// round is what a round is about, or nothing.
func round(r *chaos.Round) string {
	if r == nil {
		return "none"
	}
	var names []string
	for _, pod := range r.Pods {
		names = append(names, pod.Name)
	}
	if r.DryRun {
		names = append(names, "in a dry run")
	}
	return strings.Join(names, " ")
}

// awaitRounds waits until the Pods of the next round and of the last one are as given, and the next
// one is not due.
func (r *chaosRig) awaitRounds(t *testing.T, p *daemon.Process, next, last string) *chaos.PodTerminator {
	t.Helper()
	var pt *chaos.PodTerminator
	p.Await(t, fmt.Sprintf("%q to be next, and %q to be last", next, last), func() bool {
		pt = terminator(t, r.namespace)
		return round(pt.Status.Next) == next && round(pt.Status.Last) == last && pt.Status.Next.Time.After(metav1.Now().Time)
	})
	return pt
}

// makeDue lets the time of the next round come.
func (r *chaosRig) makeDue(t *testing.T) {
	t.Helper()
	r.setTime(t, "2000-01-01T00:00:00Z")
}

// setTime changes the time of the next round.
func (r *chaosRig) setTime(t *testing.T, at string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"status":{"next":{"time":%q}}}`, at)
	if _, err := podTerminators(r.namespace).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
}

// wantPods compares all Pods, and those with the label.
func (r *chaosRig) wantPods(t *testing.T, all, labeled string) {
	t.Helper()
	if got := podsWith(t, r.namespace, "app=web"); got != all {
		t.Errorf("there are the pods %q, want %q", got, all)
	}
	if got := podsWith(t, r.namespace, chaos.Label+"=web"); got != labeled {
		t.Errorf("the label is on %q, want on %q", got, labeled)
	}
}

// awaitLabels waits until the label is on the Pods.
func (r *chaosRig) awaitLabels(t *testing.T, p *daemon.Process, names string) {
	t.Helper()
	p.Await(t, "the label on "+names, func() bool { return podsWith(t, r.namespace, chaos.Label+"=web") == names })
}

// awaitEvent waits for an event about the PodTerminator.
func (r *chaosRig) awaitEvent(t *testing.T, p *daemon.Process, reason, note string) {
	t.Helper()
	p.Await(t, "the event "+reason, func() bool {
		list, err := shared.Client().EventsV1().Events(r.namespace).List(context.WithoutCancel(t.Context()), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.Regarding.Kind == "PodTerminator" && e.Regarding.Name == "web" && e.Reason == reason && e.Note == note {
				return true
			}
		}
		return false
	})
}

// requests returns the Pods about which the operator has made requests with a verb that the API
// server has obeyed, and fails the test for those that were refused, and for a deletion that names
// no UID.
func (r *chaosRig) requests(t *testing.T, verb string) string {
	t.Helper()
	var names []string
	for _, e := range shared.AuditSince(t, r.mark, r.user()) {
		if e.User.Username != r.user() {
			continue
		}
		if code := e.ResponseStatus.Code; code == 401 || code == 403 {
			t.Errorf("refused: %s %s: %s", e.Verb, e.RequestURI, e.ResponseStatus.Message)
		}
		if e.Verb != verb || e.ObjectRef.Resource != "pods" || e.ResponseStatus.Code != 200 {
			continue
		}
		names = append(names, e.ObjectRef.Name)
		if body := string(e.RequestObject); verb == "delete" && !strings.Contains(body, `"preconditions":{"uid":"`) {
			t.Errorf("deleting %s: the request has no UID: %s", e.ObjectRef.Name, body)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
