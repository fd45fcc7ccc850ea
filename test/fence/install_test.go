package fence_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"kooperd.dev/kooperd/test/cluster"
)

const (
	account   = "kooperd"
	leaseName = "fenced"

	// patience is how long anything may take on a machine that does something else as well.
	patience = time.Minute
)

// fenced is a service account in its own namespace, fenced by a Lease there.
type fenced struct {
	namespace string
	policy    string // name of the policy and of its binding
	observer  kubernetes.Interface
}

// client is one identity at the API server.
type client struct {
	typed   kubernetes.Interface
	dynamic dynamic.Interface
}

// candidate is a pod of the fenced service account.
type candidate struct {
	client

	pod      string
	identity string // as kooperd writes it into the Lease
}

// install puts a fence for the Lease of a new namespace in force. The Lease exists, and no one
// holds it.
func install(t *testing.T, rights ...cluster.RBAC) fenced {
	t.Helper()
	keepLeasesWatched(t)
	f := fenced{namespace: shared.Namespace(t)}
	f.policy = "kooperd-fence." + f.namespace + "." + account
	shared.ServiceAccount(t, f.namespace, account, rights...)

	// A client that may impersonate can be the account in every respect but its token, with the
	// rights of an administrator.
	config := shared.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + f.namespace + ":" + account, Groups: []string{"system:masters"},
	}
	f.observer = newClient(t, config).typed

	f.setHolder(t, "")
	shared.Apply(t, f.print(t))
	t.Cleanup(func() { f.remove(t) })
	f.awaitHolder(t, "")
	return f
}

// print returns what the command prints.
func (f fenced) print(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "controllers.yaml")
	config := fmt.Sprintf("apiVersion: kooperd.dev/v1alpha1\nleaderElection: {name: %s}\n"+
		"controllers: {marks: {watch: {apiVersion: v1, kind: ConfigMap}, handler: {log: {}}}}\n", leaseName)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), kooperd, "fence", "--config", path, "--service-account", f.namespace+"/"+account)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("printing the fence: %v\n%s", err, stderr.String())
	}
	return stdout.String()
}

func (f fenced) remove(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	policies := shared.Client().AdmissionregistrationV1()
	if err := errors.Join(
		policies.ValidatingAdmissionPolicyBindings().Delete(ctx, f.policy, metav1.DeleteOptions{}),
		policies.ValidatingAdmissionPolicies().Delete(ctx, f.policy, metav1.DeleteOptions{}),
	); err != nil {
		t.Errorf("removing the fence: %v", err)
	}
}

// watchLeases is a policy that matches nothing, with a Lease as its parameter.
const watchLeases = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: watch-leases}
spec:
  paramKind: {apiVersion: coordination.k8s.io/v1, kind: Lease}
  matchConstraints: {resourceRules: [{apiGroups: [nothing.invalid], apiVersions: ["*"], resources: ["*"], operations: ["*"]}]}
  validations: [{expression: "true"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: watch-leases}
spec:
  policyName: watch-leases
  paramRef: {namespace: default, name: none, parameterNotFoundAction: Allow}
  validationActions: [Deny]
`

var leasesWatched sync.Once

// keepLeasesWatched has the API server's informer of Leases outlive the fence of one test: an API
// server stops it with the last policy that needs it, and never starts it again
// (https://github.com/kubernetes/kubernetes/issues/130887).
func keepLeasesWatched(t *testing.T) {
	t.Helper()
	leasesWatched.Do(func() { shared.Apply(t, watchLeases) })
}

func newClient(t *testing.T, config *rest.Config) client {
	t.Helper()
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client{typed: typed, dynamic: dyn}
}

// candidate makes a pod of the service account, with a token like the one in its containers.
func (f fenced) candidate(t *testing.T, pod string) candidate {
	t.Helper()
	config := shared.PodServiceAccount(t, f.namespace, account, pod)
	return candidate{client: newClient(t, config), pod: pod, identity: f.identity(t, pod)}
}

func (f fenced) identity(t *testing.T, pod string) string {
	t.Helper()
	object, err := shared.Client().CoreV1().Pods(f.namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod + "_" + string(object.UID)
}

// setHolder writes the Lease as an elector does, for any holder, and makes it if it is not there.
func (f fenced) setHolder(t *testing.T, identity string) {
	t.Helper()
	leases := shared.Client().CoordinationV1().Leases(f.namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		lease, err := leases.Get(t.Context(), leaseName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Spec: leaseSpec(identity)}
			_, err = leases.Create(t.Context(), lease, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		lease.Spec = leaseSpec(identity)
		_, err = leases.Update(t.Context(), lease, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatalf("writing the lease: %v", err)
	}
}

func leaseSpec(identity string) coordinationv1.LeaseSpec {
	seconds, now := int32(15), metav1.NowMicro()
	return coordinationv1.LeaseSpec{HolderIdentity: &identity, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now}
}

// tokenOfNoPod is what the fence says after the holder to a token that is not bound to a pod.
const tokenOfNoPod = "; the token of this request is not bound to a pod"

// heldBy is what the fence says of the Lease.
func (f fenced) heldBy(identity string) string {
	if identity == "" {
		identity = "nobody"
	}
	return "denied request: the lease " + f.namespace + "/" + leaseName + " is held by " + identity
}

// by is what the fence says after that of who asks.
func by(identity string) string { return "; this request is by " + identity }

// awaitHolder waits until the fence is in force and goes by the Lease with this holder.
func (f fenced) awaitHolder(t *testing.T, identity string) {
	t.Helper()
	want := f.heldBy(identity) + tokenOfNoPod
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = create(ctx, f.namespace, client{typed: f.observer})
		return last != nil && strings.HasSuffix(last.Error(), want), nil
	})
	if err != nil {
		t.Fatalf("waiting for the fence to say %q: %v; it says: %v", want, err, last)
	}
}

// awaitOpen waits until the API server knows that there is no Lease.
func (f fenced) awaitOpen(t *testing.T) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = create(ctx, f.namespace, client{typed: f.observer})
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting for the fence to be open: %v; it says: %v", err, last)
	}
}

// refusal fails t unless err is the fence's, with a message that ends in want.
func (f fenced) refusal(t *testing.T, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), f.policy) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error is %v, want 403 by %s, ending in %q", err, f.policy, want)
	}
}
