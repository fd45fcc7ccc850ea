package examples_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/compose"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// leaseNamespace is that of the leases of all examples.
const leaseNamespace = "default"

// shortLease goes with the config of an example, so that another replica leads soon after the
// leader has died.
const shortLease = `apiVersion: kooperd.dev/v1alpha1
leaderElection: {leaseDuration: 8s, renewDeadline: 6s, retryPeriod: 1s}
`

// resident is an example in the cluster, with its processes, during one of its lives.
type resident struct {
	life
	name, dir string
	configs   []string
	cutter    *cluster.Cutter
	kinds     kindTable

	pod       int // of the leader
	leader    *daemon.Process
	processes []*daemon.Process
	uids      map[string]types.UID // of the children, as they were last
	left      []string             // parents that are not selected any more
	made      map[types.UID]string // what was generated, in base64
	refused   bool                 // something is, since the last step
	touches   int
}

func newResident(t *testing.T, name string, l life) *resident {
	t.Helper()
	r := &resident{life: l, name: name, made: map[types.UID]string{}, dir: filepath.Join(daemon.Root(t), "examples", name)}
	lease := filepath.Join(t.TempDir(), "lease.yaml")
	if err := os.WriteFile(lease, []byte(shortLease), 0o600); err != nil {
		t.Fatal(err)
	}
	r.configs = []string{exampleConfig(t, r.dir), lease}
	shared.Apply(t, l.before)
	account := "example-" + name
	user := shared.ServiceAccount(t, leaseNamespace, account)
	args := []string{"rbac", r.configs[0], "--service-account", leaseNamespace + "/" + account}
	if crd := filepath.Join(r.dir, "crd.yaml"); exists(crd) {
		args = append(args, "--crds", crd)
	}
	shared.Apply(t, run(t, daemon.Binary(t), args...))
	r.kinds = servedKinds(t)
	r.cutter = shared.Cutter(t, rest.CopyConfig(user), r.isAboutObjects)
	return r
}

// exists reports whether there is a file.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isAboutObjects reports whether a write is about a parent or a child, and not about the
// installation itself.
func (r *resident) isAboutObjects(req *http.Request) bool {
	for _, part := range []string{"/leases", "/events", "/apis/authorization.k8s.io/", "/configmaps/" + r.name + "-definitions"} {
		if strings.Contains(req.URL.Path, part) {
			return false
		}
	}
	return req.Method != http.MethodPost // Children are applied.
}

// writes are the writes about parents and children since mark, from the audit log. What is tried
// again and again and is refused is left out.
func (r *resident) writes(t *testing.T, mark cluster.AuditMark) []string {
	t.Helper()
	user := "system:serviceaccount:" + leaseNamespace + ":example-" + r.name
	var all []string
	for _, e := range shared.AuditSince(t, mark, user) {
		own := slices.Contains([]string{"leases", "events", "selfsubjectaccessreviews", "selfsubjectrulesreviews"}, e.ObjectRef.Resource) ||
			e.ObjectRef.Resource == "configmaps" && (e.ObjectRef.Name == r.name+"-definitions" || e.Verb == "create")
		again := r.refused && e.ResponseStatus.Code >= http.StatusBadRequest
		if e.User.Username == user && e.IsWrite() && !own && !again {
			all = append(all, fmt.Sprintf("%s %s: %d %s", e.Verb, e.RequestURI, e.ResponseStatus.Code, e.RequestObject))
		}
	}
	return all
}

// nextPod is the name of the pod that the next replica runs in.
func (r *resident) nextPod() string { return fmt.Sprintf("%s-%d", r.name, r.pod+1) }

// launch starts a process. In the pod where the last leader was killed, it leads at once.
func (r *resident) launch(t *testing.T, pod string) *daemon.Process {
	t.Helper()
	p := daemon.Start(t, daemon.Options{
		Config: r.configs[0], Args: []string{"--config", r.configs[1], "-v=1"}, Kubeconfig: r.cutter.Kubeconfig(t, leaseNamespace),
		Env: []string{"POD_NAME=" + pod, "POD_UID=" + pod},
	})
	r.processes = append(r.processes, p)
	return p
}

// start starts the process that leads.
func (r *resident) start(t *testing.T) {
	t.Helper()
	r.leader = r.launch(t, fmt.Sprintf("%s-%d", r.name, r.pod))
	r.leader.AwaitLog(t, "became leader")
}

// lead makes a process that runs the leader.
func (r *resident) lead(t *testing.T, p *daemon.Process) {
	t.Helper()
	p.AwaitLog(t, "became leader")
	r.leader, r.pod = p, r.pod+1
}

// ended waits until the process has ended cleanly.
func (r *resident) ended(t *testing.T) {
	t.Helper()
	if got := r.leader.AwaitExit(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}

// restart stops the process and starts another one, which must write nothing.
func (r *resident) restart(t *testing.T) {
	t.Helper()
	mark := shared.AuditMark(t)
	r.leader.Stop(t)
	r.ended(t)
	r.start(t)
	for controller, names := range r.parents {
		for _, name := range names {
			if _, exists := r.kinds.get(t, name); exists {
				r.leader.AwaitLog(t, "handled object", "controller", controller, "object", parseRef(name).object())
			}
		}
	}
	if found := r.writes(t, mark); len(found) > 0 {
		t.Errorf("after a restart there are %d writes, want none: %s", len(found), strings.Join(found, "\n"))
	}
}

// arrive waits until everything is as a step leaves it.
func (r *resident) arrive(t *testing.T, s step) {
	t.Helper()
	r.arriveUnless(t, nil, s)
	r.kinds.checkMarked(t, childrenOf(r.installation()), s.children.names())
	r.kinds.checkMarked(t, patchedBy(r.installation()), s.patched)
	checkWithdrawn(t, r, s)
	noteGenerated(t, r, s)
	uids := r.kinds.uids(t, s.children)
	for name, uid := range r.uids {
		now, stays := uids[name]
		if stays && now != uid && !slices.Contains(s.renewed, name) && !slices.Contains(s.remove, name) {
			t.Errorf("%s: %s is another object than before", s.name, name)
		}
		if stays && now == uid && slices.Contains(s.renewed, name) {
			t.Errorf("%s: %s is the same object as before", s.name, name)
		}
	}
	r.uids = uids
}

// arriveUnless is the waiting of arrive. It gives up when stop is closed, and reports that.
func (r *resident) arriveUnless(t *testing.T, stop <-chan struct{}, s step) (stopped bool) {
	t.Helper()
	why := "nothing was looked at"
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s", s.name, why)
		}
	}()
	r.leader.Await(t, "the end of "+s.name, func() bool {
		select {
		case <-stop:
			stopped = true
			return true
		default:
		}
		why = r.missing(t, s)
		return why == ""
	})
	return stopped
}

func (r *resident) installation() string { return compose.Installation(leaseNamespace, r.name) }

// settle wants a pass for each parent that writes nothing.
func (r *resident) settle(t *testing.T) {
	t.Helper()
	r.pass(t, nil) // It comes after what was still going on.
	mark := shared.AuditMark(t)
	r.pass(t, nil)
	if found := r.writes(t, mark); len(found) > 0 {
		t.Errorf("when everything was right there were %d writes, want none: %s", len(found), strings.Join(found, "\n"))
	}
}

// settleUnless waits until nothing more is to be written. It gives up when stop is closed, and
// reports that.
func (r *resident) settleUnless(t *testing.T, stop <-chan struct{}) (stopped bool) {
	t.Helper()
	if r.pass(t, stop) {
		return true
	}
	return r.pass(t, stop)
}

// pass touches all parents, and waits until each was handled as it is since then, unless stop is
// closed.
func (r *resident) pass(t *testing.T, stop <-chan struct{}) (stopped bool) {
	t.Helper()
	for controller, names := range r.parents {
		for _, name := range names {
			version, touched := r.touch(t, name)
			if !touched {
				continue
			}
			r.leader.Await(t, "a call for "+name, func() bool {
				select {
				case <-stop:
					stopped = true
				default:
				}
				return stopped || r.handled(controller, parseRef(name).object(), version)
			})
		}
	}
	return stopped
}

// handled reports whether a call has ended that had an object at a version, or a later one.
func (r *resident) handled(controller, object string, version uint64) bool {
	for _, begin := range r.leader.Lines("handling object", "controller", controller, "object", object) {
		seen, err := strconv.ParseUint(begin.Field("resourceVersion"), 10, 64)
		if err == nil && seen >= version && len(r.leader.Lines("handled object", "call", begin.Field("call"))) > 0 {
			return true
		}
	}
	return false
}

// touch changes a parent in a way that means nothing, and returns its version. It leaves alone what
// is not handled, or not for long.
func (r *resident) touch(t *testing.T, name string) (version uint64, touched bool) {
	t.Helper()
	if object, exists := r.kinds.get(t, name); !exists || object.GetDeletionTimestamp() != nil || slices.Contains(r.left, name) {
		return 0, false
	}
	r.touches++
	object, err := r.kinds.client(t, parseRef(name)).Patch(t.Context(), parseRef(name).name, types.MergePatchType,
		fmt.Appendf(nil, `{"metadata": {"annotations": {"test.kooperd.dev/touch": "%d"}}}`, r.touches), metav1.PatchOptions{})
	if err != nil {
		t.Fatalf("touching %s: %v", name, err)
	}
	version, err = strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return version, true
}

// person makes the change of a step.
func (r *resident) person(t *testing.T, s step) {
	t.Helper()
	r.left, r.refused = append(r.left, s.left...), s.refused
	for _, name := range s.remove {
		ref := parseRef(name)
		if err := r.kinds.client(t, ref).Delete(t.Context(), ref.name, metav1.DeleteOptions{}); err != nil {
			t.Fatalf("%s: deleting %s: %v", s.name, name, err)
		}
	}
	if strings.HasSuffix(s.apply, ".yaml") {
		s.apply = readExample(t, r.name, s.apply)
	}
	shared.Apply(t, s.apply)
	for name, patch := range s.patch {
		ref := parseRef(name)
		_, err := r.kinds.client(t, ref).Patch(t.Context(), ref.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, ref.subresources...)
		if err != nil {
			t.Fatalf("%s: changing %s: %v", s.name, name, err)
		}
	}
}

// end stops the process, and looks for what may be nowhere.
func (r *resident) end(t *testing.T) {
	t.Helper()
	r.leader.Stop(t)
	r.ended(t)
	for _, secret := range r.secrets {
		for _, p := range r.processes {
			for _, line := range p.Log() {
				if strings.Contains(line.Raw, secret) {
					t.Errorf("a secret is in the log: %s", line.Raw)
				}
			}
		}
		for _, event := range r.kinds.events(t) {
			if strings.Contains(event, secret) {
				t.Errorf("a secret is in an event: %s", event)
			}
		}
	}
}
