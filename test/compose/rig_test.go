package compose_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
	"kooperd.dev/kooperd/test/daemon"
)

// leaseName is the name of the lease in the namespace of a rig.
const leaseName = "compose"

// definitionName is that of the definition of most rigs.
const definitionName = "things"

// The resources of most tests.
var (
	things     = schema.GroupVersionResource{Group: "demo.kooperd.dev", Version: "v1", Resource: "things"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
)

const thingsDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.demo.kooperd.dev}
spec:
  group: demo.kooperd.dev
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              text: {type: string}
              "n": {type: integer, format: int32, default: 3}
          status:
            type: object
            properties:
              observedGeneration: {type: integer, format: int64}
              text: {type: string}
              conditions:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [type]
                items:
                  type: object
                  required: [type, status, lastTransitionTime, reason, message]
                  properties:
                    type: {type: string}
                    status: {type: string}
                    observedGeneration: {type: integer, format: int64}
                    lastTransitionTime: {type: string, format: date-time}
                    reason: {type: string}
                    message: {type: string}
`

// declareThings makes the kind of the parents.
var declareThings sync.Once

// definition is one of a config: what its composer makes, and further settings.
type definition struct {
	parts.Config
	settings map[string]any
}

// rig is a namespace with parents, a config for them, and an installation of kooperd that may do
// everything. Its processes are replicas of that.
type rig struct {
	namespace  string
	account    string // of the installation, in the namespace of the lease
	leases     string // namespace of the lease
	rest       *rest.Config
	kubeconfig string
	path       string // of the config
	record     *record
	begun      cluster.AuditMark
	touches    int
	removed    []string // definitions that are meant to be gone
	onLost     string   // what a leader does that has lost the lease; empty for what is usual
	short      bool     // the lease: its end is waited for. Others last for as long as a machine may stand still
	defined    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newInstallation(t, shared.Namespace(t))
}

// newInstallation returns a rig for parents in a namespace that may be that of another rig.
func newInstallation(t *testing.T, namespace string) *rig {
	t.Helper()
	declareThings.Do(func() { shared.Apply(t, thingsDefinition) })
	r := &rig{namespace: namespace, account: "kooperd", leases: shared.Namespace(t)}
	dir := t.TempDir()
	r.path, r.record = filepath.Join(dir, "controllers.json"), &record{path: filepath.Join(dir, "calls")}
	if err := os.WriteFile(r.record.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	everything := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	r.rest = shared.ServiceAccount(t, r.leases, r.account, cluster.ClusterWide(everything))
	r.kubeconfig = cluster.WriteKubeconfig(t, r.rest, r.leases)
	r.begun = shared.AuditMark(t)
	t.Cleanup(func() { r.judge(t) })
	return r
}

// define makes the config one definition with these children.
func (r *rig) define(t testing.TB, children ...parts.Child) {
	t.Helper()
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: children}}})
}

// defineAll writes the config, by rename, as editors do.
func (r *rig) defineAll(t testing.TB, definitions map[string]definition) {
	t.Helper()
	controllers := map[string]any{}
	for name, d := range definitions {
		controller := map[string]any{
			"watch":   map[string]any{"apiVersion": things.GroupVersion().String(), "kind": "Thing", "namespaces": []string{r.namespace}},
			"handler": map[string]any{"parts": d.Config},
			"retry":   map[string]any{"initialDelay": "50ms", "maxDelay": "1s"},
		}
		maps.Copy(controller, d.settings)
		controllers[name] = controller
	}
	lease := map[string]any{
		"name": leaseName, "namespace": r.leases, "leaseDuration": "30s", "renewDeadline": "20s", "retryPeriod": "1s",
	}
	if r.short {
		lease["leaseDuration"], lease["renewDeadline"] = "4s", "3s"
	}
	if r.onLost != "" {
		lease["onLost"] = r.onLost
	}
	data, err := json.MarshalIndent(map[string]any{
		"apiVersion": "kooperd.dev/v1alpha1", "leaderElection": lease,
		"controllers": controllers, "removed": append([]string{}, r.removed...),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	r.defined = time.Now()
	if err := os.WriteFile(r.path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(r.path+".new", r.path); err != nil {
		t.Fatal(err)
	}
}

// replica is a process of the installation.
type replica struct {
	*daemon.Process
	rig *rig
}

// launch starts a process in a pod of that name, and does not wait. In the pod where the last
// leader was killed it leads at once.
func (r *rig) launch(t testing.TB, pod, kubeconfig string) *replica {
	t.Helper()
	return r.launchAs(t, pod, pod, kubeconfig)
}

func (r *rig) launchAs(t testing.TB, pod, uid, kubeconfig string) *replica {
	t.Helper()
	return &replica{rig: r, Process: daemon.Start(t, daemon.Options{
		Binary: composed, Config: r.path, Kubeconfig: kubeconfig,
		Env: []string{"PARTS_RECORD=" + r.record.path, "POD_NAME=" + pod, "POD_UID=" + uid},
	})}
}

// start starts a process that leads.
func (r *rig) start(t testing.TB) *replica {
	t.Helper()
	p := r.launch(t, "pod-0", r.kubeconfig)
	p.leads(t)
	return p
}

// leads waits until the process leads.
func (p *replica) leads(t testing.TB) {
	t.Helper()
	p.Await(t, "the leadership", func() bool {
		if p.Exited() {
			t.Fatal("the process has ended")
		}
		return len(p.Lines("became leader")) > 0
	})
}

// reload makes the process read the config that was defined last, and waits for the change. It may
// have found it by itself.
func (p *replica) reload(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGHUP)
	p.Await(t, "a change of the config", func() bool {
		return slices.ContainsFunc(p.Lines("config changed"), func(line daemon.Line) bool { return !line.Time.Before(p.rig.defined.Truncate(time.Millisecond)) })
	})
}

// kill9 kills the process.
func (p *replica) kill9(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGKILL)
	p.AwaitExit(t)
}

// settle waits until the process has gone through a whole pass for a parent that began after the
// call, and another has begun. It makes both passes by touching the parent.
func (p *replica) settle(t testing.TB, parent string) {
	t.Helper()
	p.settleUnless(t, nil, parent)
}

// settleUnless is settle that gives up when stop is closed, and reports whether it has not.
func (p *replica) settleUnless(t testing.TB, stop <-chan struct{}, parent string) bool {
	t.Helper()
	stopped := false
	for range 2 {
		touch := p.rig.touch(t, parent)
		p.Await(t, "a call for "+parent, func() bool {
			select {
			case <-stop:
				stopped = true
			default:
			}
			return stopped || p.rig.record.has(t, func(c parts.Call) bool {
				return c.Process == p.Pid() && c.Object == parent && c.Touch == touch
			})
		})
	}
	return !stopped
}

// touch changes a parent, so that it is handled, and returns by what its calls are found.
func (r *rig) touch(t testing.TB, parent string) string {
	t.Helper()
	r.touches++
	touch := fmt.Sprint(r.touches)
	r.patch(t, things, parent, fmt.Sprintf(`{"metadata": {"annotations": {%q: %q}}}`, parts.Touch, touch))
	return touch
}

// thing makes a parent.
func (r *rig) thing(t testing.TB, name, text string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": things.GroupVersion().String(), "kind": "Thing",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"text": text},
	}}
	created, err := shared.Dynamic().Resource(things).Namespace(r.namespace).Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating thing %s: %v", name, err)
	}
	return created
}

// patch changes an object by a merge patch.
func (r *rig) patch(t testing.TB, resource schema.GroupVersionResource, name, patch string, subresources ...string) *unstructured.Unstructured {
	t.Helper()
	object, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Patch(t.Context(), name, types.MergePatchType,
		[]byte(patch), metav1.PatchOptions{FieldManager: other}, subresources...)
	if err != nil {
		t.Fatalf("changing %s %s: %v", resource.Resource, name, err)
	}
	return object
}

// remove deletes an object.
func (r *rig) remove(t testing.TB, resource schema.GroupVersionResource, name string) {
	t.Helper()
	if err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("deleting %s %s: %v", resource.Resource, name, err)
	}
}

// get returns an object.
func (r *rig) get(t testing.TB, resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	t.Helper()
	object, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading %s %s: %v", resource.Resource, name, err)
	}
	return object
}

// configMap is a child that is a ConfigMap: its name, which {name} in front makes one of its
// parent, and a key with the text of the parent.
func configMap(name string) parts.Child {
	return parts.Child{Name: name, Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "{name}-" + name},
		"data":     map[string]any{"text": "{text}", "child": name},
	}}
}

// object parses a child's object.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("reading %s: %v", strings.TrimSpace(text), err)
	}
	return value
}

// writeTemp writes a file that goes with the test, and returns its path.
func writeTemp(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "object.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
