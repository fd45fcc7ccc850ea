package fence_test

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/cluster"
)

// existing is a ConfigMap, and pod a Pod, in the namespace of every test of operations.
const existing, pod = "existing", "first"

// operation does something in a namespace and leaves nothing behind that would make it fail the
// next time.
type operation func(ctx context.Context, namespace string, c client) error

var dryRun = []string{metav1.DryRunAll}

func create(ctx context.Context, namespace string, c client) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "new"}}
	_, err := c.typed.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
	return err
}

func patch(ctx context.Context, namespace string, c client, kind types.PatchType, body string, opts metav1.PatchOptions) error {
	_, err := c.typed.CoreV1().ConfigMaps(namespace).Patch(ctx, existing, kind, []byte(body), opts)
	return err
}

var widgets = schema.GroupVersionResource{Group: "fence.kooperd.dev", Version: "v1", Resource: "widgets"}

const widgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.fence.kooperd.dev}
spec:
  group: fence.kooperd.dev
  names: {plural: widgets, singular: widget, kind: Widget}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

// writes are what only the holder may do.
var writes = map[string]operation{
	"create": create,
	"create with a generated name": func(ctx context.Context, ns string, c client) error {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "new-"}}
		_, err := c.typed.CoreV1().ConfigMaps(ns).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"update": func(ctx context.Context, ns string, c client) error {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: existing}}
		_, err := c.typed.CoreV1().ConfigMaps(ns).Update(ctx, object, metav1.UpdateOptions{DryRun: dryRun})
		return err
	},
	"patch": func(ctx context.Context, ns string, c client) error {
		return patch(ctx, ns, c, types.MergePatchType, `{"data":{"key":"value"}}`, metav1.PatchOptions{})
	},
	"server-side apply": func(ctx context.Context, ns string, c client) error {
		force := true
		return patch(ctx, ns, c, types.ApplyPatchType, `{"apiVersion":"v1","kind":"ConfigMap","data":{"applied":"value"}}`,
			metav1.PatchOptions{FieldManager: "fence-test", Force: &force})
	},
	"delete": func(ctx context.Context, ns string, c client) error {
		return c.typed.CoreV1().ConfigMaps(ns).Delete(ctx, existing, metav1.DeleteOptions{DryRun: dryRun})
	},
	"delete a collection": func(ctx context.Context, ns string, c client) error {
		return c.typed.CoreV1().ConfigMaps(ns).DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dryRun}, metav1.ListOptions{})
	},
	"subresource": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.CoreV1().Pods(ns).Patch(ctx, pod, types.MergePatchType, []byte(`{"status":{"message":"seen"}}`),
			metav1.PatchOptions{}, "status")
		return err
	},
	"object without a namespace": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.CoreV1().Namespaces().Patch(ctx, ns, types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`),
			metav1.PatchOptions{DryRun: dryRun})
		return err
	},
	"custom resource": func(ctx context.Context, ns string, c client) error {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": widgets.GroupVersion().String(), "kind": "Widget", "metadata": map[string]any{"name": "new"},
		}}
		_, err := c.dynamic.Resource(widgets).Namespace(ns).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"another lease": func(ctx context.Context, ns string, c client) error {
		object := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "another"}}
		_, err := c.typed.CoordinationV1().Leases(ns).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"eviction": func(ctx context.Context, ns string, c client) error {
		return c.typed.CoreV1().Pods(ns).EvictV1(ctx, &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Name: pod}, DeleteOptions: &metav1.DeleteOptions{DryRun: dryRun},
		})
	},
	"token": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.CoreV1().ServiceAccounts(ns).CreateToken(ctx, account, &authenticationv1.TokenRequest{},
			metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"exec": func(ctx context.Context, ns string, c client) error {
		return connected(c.typed.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(pod).SubResource("exec").
			Param("command", "true").Param("stdout", "true").Do(ctx).Error())
	},
	"proxied read": func(ctx context.Context, ns string, c client) error {
		return connected(c.typed.CoreV1().RESTClient().Get().Namespace(ns).Resource("pods").Name(pod).SubResource("proxy").Do(ctx).Error())
	},
}

// connected drops the error of a connection that was let through to a kubelet, which there is none
// of.
func connected(err error) error {
	if apierrors.IsBadRequest(err) {
		return nil
	}
	return err
}

// free is what every account may do.
var free = map[string]operation{
	"read": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.CoreV1().ConfigMaps(ns).Get(ctx, existing, metav1.GetOptions{})
		return err
	},
	"compete for the lease": func(ctx context.Context, ns string, c client) error {
		lease, err := c.typed.CoordinationV1().Leases(ns).Get(ctx, leaseName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = c.typed.CoordinationV1().Leases(ns).Update(ctx, lease, metav1.UpdateOptions{DryRun: dryRun})
		return err
	},
	"create the lease": func(ctx context.Context, ns string, c client) error {
		object := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leaseName}}
		_, err := c.typed.CoordinationV1().Leases(ns).Create(ctx, object, metav1.CreateOptions{DryRun: dryRun})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	},
	"core event": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.CoreV1().Events(ns).Create(ctx, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{GenerateName: "event-"},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: ns, Name: existing},
		}, metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"event": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.EventsV1().Events(ns).Create(ctx, &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "event-"}, EventTime: metav1.NowMicro(), Type: corev1.EventTypeNormal,
			ReportingController: "kooperd.dev/test", ReportingInstance: "test", Reason: "Tested", Action: "Test",
			Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: ns, Name: existing},
		}, metav1.CreateOptions{DryRun: dryRun})
		return err
	},
	"access review": func(ctx context.Context, ns string, c client) error {
		_, err := c.typed.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: ns, Verb: "get", Resource: "pods"},
			},
		}, metav1.CreateOptions{})
		return err
	},
	"token review": func(ctx context.Context, _ string, c client) error {
		_, err := c.typed.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: "none"},
		}, metav1.CreateOptions{})
		return err
	},
}

// rights are what all these operations need, so that nothing but the fence refuses any.
var rights = cluster.ClusterWide(
	cluster.Allow("*", "", "configmaps,events,pods,pods/status,pods/eviction,pods/exec,pods/proxy,serviceaccounts/token"),
	cluster.Allow("*", "events.k8s.io", "events"),
	cluster.Allow("*", "coordination.k8s.io", "leases"),
	cluster.Allow("*", widgets.Group, "*"),
	cluster.Allow("patch", "", "namespaces"),
	cluster.Allow("create", "authentication.k8s.io", "tokenreviews"),
)
