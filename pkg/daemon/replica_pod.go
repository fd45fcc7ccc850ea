package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"kooperd.dev/kooperd/pkg/election"
	"kooperd.dev/kooperd/pkg/kube"
)

// healthPortName is the name of the port in the chart's pods.
const healthPortName = "health"

// uidPattern is the form of a UID, with which the identity of a pod ends.
var uidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// replicaPod is the pod of a replica.
type replicaPod struct {
	pod    types.NamespacedName
	uid    string // empty if it is not known
	port   int
	holder string // as in replica
}

// findPod returns the pod that the flags name, or that of the leader.
func (f *replicaFinder) findPod(ctx context.Context) (replicaPod, error) {
	namespace := cmp.Or(f.flags.namespace, f.where.namespace)
	named, err := f.flags.namedPod(namespace)
	if err != nil {
		return replicaPod{}, err
	}
	found := replicaPod{pod: named}
	if named.Name == "" {
		if found, err = f.findLeader(ctx, types.NamespacedName{Namespace: namespace, Name: f.flags.lease}); err != nil {
			return replicaPod{}, err
		}
	}
	if err := f.lookAtPod(ctx, &found); err != nil {
		return replicaPod{}, err
	}
	return found, nil
}

// findLeader returns the pod of the holder of a lease.
func (f *replicaFinder) findLeader(ctx context.Context, lease types.NamespacedName) (replicaPod, error) {
	lock, err := f.readLock(ctx, lease)
	if err != nil {
		return replicaPod{}, err
	}
	holder := holderOf(lock)
	if holder == "" {
		return replicaPod{}, fmt.Errorf("nobody holds the lease %s, so no replica leads; ask one of them with --pod NAME, or look at its log", lease)
	}
	if renewed := lock.Spec.RenewTime; renewed != nil {
		since, lasts := time.Since(renewed.Time), time.Duration(*lock.Spec.LeaseDurationSeconds)*time.Second
		if since > lasts {
			f.note(fmt.Sprintf("%s has not renewed the lease %s for %s, and it lasts %s: it may have gone", holder, lease, since.Round(time.Second), lasts))
		}
	}
	name, id := holder, ""
	if i := strings.LastIndexByte(holder, '_'); i >= 0 {
		name, id = holder[:i], holder[i+1:]
	}
	found := replicaPod{pod: types.NamespacedName{Namespace: lease.Namespace, Name: name}, holder: holder}
	if uidPattern.MatchString(id) {
		found.uid = id
	}
	return found, nil
}

// readLock reads the lease, or the ConfigMap of its name with the older lock if there is no lease
// that anybody holds.
func (f *replicaFinder) readLock(ctx context.Context, lease types.NamespacedName) (*coordinationv1.Lease, error) {
	leases, err := election.NewLeaseClient(f.where.rest, 0)
	if err != nil {
		return nil, err
	}
	defer leases.Close()
	found, err := leases.Get(ctx, lease.Namespace, lease.Name)
	switch {
	case err == nil && holderOf(found) != "":
		return found, nil
	case err == nil:
	case apierrors.IsForbidden(err):
		return nil, missingRight(lease.Namespace, "coordination.k8s.io", "leases", lease.Name, "get", err)
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("looking for a leader at the lease %s: %w", lease, err)
	}
	configMaps, err := election.NewConfigMapClient(f.where.rest, 0)
	if err != nil {
		return nil, err
	}
	defer configMaps.Close()
	older, err := configMaps.Get(ctx, lease.Namespace, lease.Name)
	switch {
	case err == nil && isLease(older) && (found == nil || holderOf(older) != ""):
		return older, nil
	case found != nil && (err == nil || apierrors.IsNotFound(err)):
		return found, nil
	case found != nil:
		return nil, fmt.Errorf("nobody holds the lease %s, and with lock: \"configMap\" another may lead: %w", lease, err)
	}
	text := fmt.Sprintf("there is no lease %s: name that of kooperd with --namespace and --lease (kubectl get leases --all-namespaces), "+
		"or a process with --pod or --address", lease)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s. With lock: \"configMap\", a ConfigMap is read in its place: %w", text, err)
	}
	return nil, errors.New(text)
}

// lookAtPod finds the port of a pod, and whether it is there. Without the right to get it, what is
// known must do.
func (f *replicaFinder) lookAtPod(ctx context.Context, found *replicaPod) error {
	clients, err := corev1client.NewForConfig(kube.ClientConfig(f.where.rest))
	if err != nil {
		return fmt.Errorf("making the client for pods: %w", err)
	}
	pod, err := clients.Pods(found.pod.Namespace).Get(ctx, found.pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err) && found.holder != "" && found.uid == "":
		return noPod(found) // Nothing says that it is one.
	case apierrors.IsForbidden(err):
		found.port = cmp.Or(f.flags.port, defaultHealthPort)
		return nil
	case apierrors.IsNotFound(err) && found.holder == "":
		return fmt.Errorf("there is no pod %s", found.pod)
	case apierrors.IsNotFound(err) && found.uid != "":
		return fmt.Errorf("pod %s, which holds the lease, is not there: it has gone, and another one leads when the lease has expired; "+
			"or the pods are in another namespace than the lease: --pod NAMESPACE/NAME names one", found.pod)
	case apierrors.IsNotFound(err):
		return noPod(found)
	case err != nil:
		return fmt.Errorf("looking at pod %s: %w", found.pod, err)
	case found.uid != "" && string(pod.UID) != found.uid:
		return fmt.Errorf("pod %s is another one than that which holds the lease (%s): that one has gone, and another one leads when the lease has expired",
			found.pod, found.holder)
	}
	found.port = cmp.Or(f.flags.port, healthPort(pod))
	return nil
}

// noPod says that the leader is no pod.
func noPod(found *replicaPod) error {
	return fmt.Errorf("%s leads, which is no pod of namespace %s: it runs outside the cluster, or in a pod without POD_NAME and POD_UID. "+
		"Ask it where it runs, with --address HOST:PORT of its --health-probe-bind-address, or name its pod with --pod NAMESPACE/NAME",
		found.holder, found.pod.Namespace)
}

// healthPort is the port of the probes, by its name.
func healthPort(pod *corev1.Pod) int {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == healthPortName {
				return int(port.ContainerPort)
			}
		}
	}
	return defaultHealthPort
}

// explainForward names the right that is missing to forward a port.
func explainForward(err error, pod types.NamespacedName) error {
	if apierrors.IsForbidden(err) || strings.Contains(err.Error(), "forbidden") {
		return missingRight(pod.Namespace, "", "pods/portforward", "", "create", err)
	}
	return err
}

func missingRight(namespace, group, resource, name, verb string, err error) error {
	rule := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}
	if name != "" {
		rule.ResourceNames = []string{name}
	}
	return &kube.ForbiddenError{Namespace: namespace, Rule: rule, Err: err}
}
