package compose_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestTwoInstallations runs two installations with the same definition for the same parents. The
// second leaves the first one's children alone, in every way.
func TestTwoInstallations(t *testing.T) {
	t.Parallel()
	one := newRig(t)
	two := newInstallation(t, one.namespace)
	secret := func(children ...parts.Child) map[string]definition {
		return map[string]definition{definitionName: {
			Config: parts.Config{Children: children},
			settings: map[string]any{"watch": map[string]any{
				"apiVersion": "v1", "kind": "Secret", "namespaces": []string{one.namespace}, "labelSelector": "parent",
			}},
		}}
	}
	one.defineAll(t, secret(fixed("a"), fixed("b")))
	two.defineAll(t, secret(fixed("a"), fixed("b")))
	one.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"parent": ""}}}`)
	first := one.start(t)
	both := func(o objects) bool { return o["s-a"] != nil && o["s-b"] != nil }
	before := one.await(t, configMaps, "the children", both)
	second := two.start(t)
	two.handled(t, second, "s", 0)
	one.touchSecret(t, "s", "1")
	two.handled(t, second, "s", 1)
	one.touchSecret(t, "s", "2")
	two.handled(t, second, "s", 2)
	for _, child := range before {
		one.untouched(t, configMaps, child)
	}

	// The second drops the children, and has the file without them at its start, too.
	two.defineAll(t, secret())
	second.reload(t)
	one.touchSecret(t, "s", "3")
	two.handled(t, second, "s", 3)
	second.kill9(t)
	second = two.start(t)
	two.handled(t, second, "s", 3)
	one.touchSecret(t, "s", "4")
	two.handled(t, second, "s", 4)
	for _, child := range before {
		one.untouched(t, configMaps, child)
	}
	first.kill9(t)
	one.defineAll(t, secret(fixed("a")))
	one.start(t)
	one.await(t, configMaps, "the first to prune its child", func(o objects) bool { return o["s-a"] != nil && o["s-b"] == nil })
}

// touchSecret changes a parent that is a Secret.
func (r *rig) touchSecret(t *testing.T, name, touch string) {
	t.Helper()
	r.patch(t, secrets, name, fmt.Sprintf(`{"metadata": {"annotations": {%q: %q}}}`, parts.Touch, touch))
}

// handled waits until a process has been called for a parent after its n-th touch.
func (r *rig) handled(t *testing.T, p *replica, parent string, n int) {
	t.Helper()
	touch := ""
	if n > 0 {
		touch = fmt.Sprint(n)
	}
	p.Await(t, "a call for "+parent, func() bool {
		return r.record.has(t, func(c parts.Call) bool { return c.Process == p.Pid() && c.Object == parent && c.Touch == touch })
	})
}

// TestFencedFailover kills the leader in the middle of its work, with the fence on.
func TestFencedFailover(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.short = true
	n := size(30, 300)
	r.define(t, configMap("a"), configMap("b"), configMap("c"))
	r.createMany(t, n)
	r.fence(t)
	first := r.launchInPod(t, "first")
	first.leads(t)
	second := r.launchInPod(t, "second")
	second.AwaitLog(t, "leader changed")
	r.await(t, configMaps, "some children", func(o objects) bool { return len(o) > n })
	first.kill9(t)
	r.await(t, things, "every parent ready", func(o objects) bool {
		for _, parent := range o {
			if !isReady(parent) {
				return false
			}
		}
		return len(o) == n
	})
	for name, child := range r.list(t, configMaps) {
		if strings.HasPrefix(name, "p") && controlledBy(child) == "" {
			t.Errorf("%s is nobody's child", name)
		}
	}
	second.settle(t, "p0")
	mark := shared.AuditMark(t)
	for i := range 5 {
		second.settle(t, fmt.Sprintf("p%d", i))
	}
	r.noWrites(t, mark, "after the failover")
}

// launchInPod starts a process with a token of a pod, as in a cluster.
func (r *rig) launchInPod(t *testing.T, pod string) *replica {
	t.Helper()
	kubeconfig := shared.PodServiceAccountKubeconfig(t, r.leases, r.account, pod)
	object, err := shared.Client().CoreV1().Pods(r.leases).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r.launchAs(t, pod, string(object.UID), kubeconfig)
}

// fence puts what `kooperd fence` prints in force.
func (r *rig) fence(t *testing.T) {
	t.Helper()
	shared.Apply(t, fmt.Sprintf("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: %s, namespace: %s}\n", leaseName, r.leases))
	cmd := exec.CommandContext(t.Context(), composed, "fence", "--config", r.path, "--service-account", r.leases+"/"+r.account)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("printing the fence: %v\n%s", err, stderr.String())
	}
	applied := shared.Apply(t, stdout.String())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		admission := shared.Client().AdmissionregistrationV1()
		for _, o := range applied {
			var err error
			switch o.GetKind() {
			case "ValidatingAdmissionPolicyBinding":
				err = admission.ValidatingAdmissionPolicyBindings().Delete(ctx, o.GetName(), metav1.DeleteOptions{})
			case "ValidatingAdmissionPolicy":
				err = admission.ValidatingAdmissionPolicies().Delete(ctx, o.GetName(), metav1.DeleteOptions{})
			}
			if err != nil {
				t.Errorf("removing the fence: %v", err)
			}
		}
	})
	// A token of no pod holds no lease.
	s := newSubjectAs(t, r.rest, configMapFacts, r.namespace, "fenced")
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return s.apply(t, other, s.write("", ""), "dryRun=All").code == 403, nil
	})
	if err != nil {
		t.Fatalf("waiting for the fence: %v", err)
	}
	r.begun = shared.AuditMark(t) // What has been asked as the installation was not by it.
}
