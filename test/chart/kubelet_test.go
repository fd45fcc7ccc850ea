package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/daemon"
)

// kubeletPeriod is how often the kubelet looks at pods, probes and volumes. It does not go by the
// periods of the probes, which would only make the tests slow.
const kubeletPeriod = 50 * time.Millisecond

// kubelet runs the pods of one namespace: a process of bin/kooperd for the container of each, with
// its arguments, environment and volumes, with a token of its service account that is bound to the
// pod, restarted when it ends, probed for readiness, and asked to stop when the pod is deleted. It
// is no sandbox: a path of the container is one below a folder.
type kubelet struct {
	t         *testing.T
	namespace string
	dir       string
	workers   sync.WaitGroup

	mu   sync.Mutex
	pods map[types.UID]*podRun // gone ones too
}

// podRun is what the kubelet knows of one pod.
type podRun struct {
	kubelet *kubelet
	dir     string
	order   int              // later pods have a higher one
	updates chan *corev1.Pod // the latest state of the pod; nil when it is gone

	mu        sync.Mutex
	pod       *corev1.Pod
	processes []*daemon.Process // all runs of the container, the last one last
}

// startKubelet runs all pods of a namespace until the test ends.
func startKubelet(t *testing.T, namespace string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, namespace: namespace, dir: t.TempDir(), pods: map[types.UID]*podRun{}}
	k.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	k.workers.Go(func() { k.loop(ctx) })
	t.Cleanup(func() {
		cancel()
		k.workers.Wait()
		for _, run := range k.runs() {
			for _, p := range run.all() {
				p.Kill()
				if t.Failed() {
					t.Logf("log of %s:\n%s", run.name(), p.Tail(40))
				}
			}
		}
	})
	return k
}

// loop hands every change of a pod to its worker, and makes workers for new pods.
func (k *kubelet) loop(ctx context.Context) {
	ticker := time.NewTicker(kubeletPeriod)
	defer ticker.Stop()
	for ctx.Err() == nil {
		list, err := shared.Client().CoreV1().Pods(k.namespace).List(ctx, metav1.ListOptions{})
		if err != nil && ctx.Err() == nil {
			k.t.Errorf("kubelet: listing pods: %v", err)
			return
		}
		present := map[types.UID]*corev1.Pod{}
		for i := range list.Items {
			present[list.Items[i].UID] = &list.Items[i]
			k.adopt(ctx, &list.Items[i])
		}
		for _, run := range k.runs() {
			run.offer(present[run.uid()])
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// adopt begins to run a pod that is new.
func (k *kubelet) adopt(ctx context.Context, pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pods[pod.UID] != nil || pod.DeletionTimestamp != nil {
		return
	}
	run := &podRun{kubelet: k, pod: pod, dir: filepath.Join(k.dir, string(pod.UID)), order: len(k.pods), updates: make(chan *corev1.Pod, 1)}
	k.pods[pod.UID] = run
	k.workers.Go(func() {
		if err := run.work(ctx); err != nil && ctx.Err() == nil {
			k.t.Errorf("kubelet: pod %s: %v", pod.Name, err)
		}
	})
}

func (k *kubelet) runs() []*podRun {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []*podRun
	for _, run := range k.pods {
		all = append(all, run)
	}
	return all
}

// run returns what is known of the latest pod of a name.
func (k *kubelet) run(name string) *podRun {
	var latest *podRun
	for _, run := range k.runs() {
		if run.name() == name && (latest == nil || run.order > latest.order) {
			latest = run
		}
	}
	return latest
}

func (r *podRun) uid() types.UID { return r.current().UID }
func (r *podRun) name() string   { return r.current().Name }

func (r *podRun) current() *corev1.Pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pod
}

// all returns every run of the container so far.
func (r *podRun) all() []*daemon.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*daemon.Process(nil), r.processes...)
}

// process returns the present run of the container.
func (r *podRun) process() *daemon.Process {
	all := r.all()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// offer replaces what the worker has not looked at yet.
func (r *podRun) offer(pod *corev1.Pod) {
	select {
	case <-r.updates:
	default:
	}
	r.updates <- pod
}

// work runs the pod to its end.
func (r *podRun) work(ctx context.Context) error {
	pods := shared.Client().CoreV1().Pods(r.kubelet.namespace)
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: r.name(), UID: r.uid()}, Target: corev1.ObjectReference{Kind: "Node", Name: r.kubelet.node()},
	}
	if err := pods.Bind(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("binding it to the node: %w", err)
	}
	if err := r.start(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case pod := <-r.updates:
			if pod == nil {
				r.process().Kill()
				return nil
			}
			r.mu.Lock()
			r.pod = pod
			r.mu.Unlock()
			if ended, err := r.sync(ctx); ended || err != nil {
				return err
			}
		}
	}
}

// sync does what is to be done now, and reports whether that was the last.
func (r *podRun) sync(ctx context.Context) (ended bool, err error) {
	pod, process := r.current(), r.process()
	switch {
	case process.Exited() && pod.DeletionTimestamp != nil:
		now := int64(0)
		err := shared.Client().CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return false, fmt.Errorf("deleting it: %w", err)
		}
		return true, nil
	case process.Exited() && pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return false, r.report(ctx, terminated(process.AwaitExit(r.kubelet.t)), false)
	case process.Exited():
		if err := r.start(ctx); err != nil {
			return false, err
		}
		return false, r.report(ctx, corev1.PodRunning, false)
	case pod.DeletionTimestamp != nil:
		r.terminate(process, pod.DeletionTimestamp.Time)
	}
	if err := r.writeVolumes(ctx); err != nil {
		return false, err
	}
	return false, r.report(ctx, corev1.PodRunning, ready(ctx, &pod.Spec.Containers[0], process))
}

func terminated(status int) corev1.PodPhase {
	if status == 0 {
		return corev1.PodSucceeded
	}
	return corev1.PodFailed
}

// terminate asks a process to stop, once, and ends it when its time is up.
func (r *podRun) terminate(process *daemon.Process, deadline time.Time) {
	marker := filepath.Join(r.dir, fmt.Sprintf("terminated-%d", process.Pid()))
	if _, err := os.Stat(marker); err != nil {
		process.Signal(r.kubelet.t, terminationSignal)
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			r.kubelet.t.Errorf("kubelet: %v", err)
		}
	}
	if time.Now().After(deadline) {
		r.kubelet.t.Errorf("kubelet: %s has not stopped in its %ds", r.name(), *r.current().Spec.TerminationGracePeriodSeconds)
		process.Kill()
	}
}

// ready asks the readiness probe.
func ready(ctx context.Context, container *corev1.Container, process *daemon.Process) bool {
	probe := container.ReadinessProbe
	if probe == nil || probe.HTTPGet == nil {
		return true
	}
	serving := process.Lines("serving", "server", "health")
	if len(serving) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(probe.TimeoutSeconds)*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+serving[0].Field("address")+probe.HTTPGet.Path, http.NoBody)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode >= 200 && response.StatusCode < 400
}

// report writes the status of the pod when it is another one.
func (r *podRun) report(ctx context.Context, phase corev1.PodPhase, isReady bool) error {
	pod := r.current()
	restarts := int32(len(r.all()) - 1)
	if old := pod.Status.ContainerStatuses; len(old) == 1 && pod.Status.Phase == phase && old[0].Ready == isReady && old[0].RestartCount == restarts {
		return nil
	}
	condition := corev1.ConditionFalse
	if isReady {
		condition = corev1.ConditionTrue
	}
	now := metav1.Now()
	container := pod.Spec.Containers[0]
	status := corev1.PodStatus{
		Phase: phase, StartTime: &now, PodIP: "127.0.0.1", PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: container.Name, Image: container.Image, ImageID: container.Image, Ready: isReady, Started: &isReady, RestartCount: restarts,
		}},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		is := condition
		if kind == corev1.PodScheduled || kind == corev1.PodInitialized {
			is = corev1.ConditionTrue
		}
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: is, LastTransitionTime: now})
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("reporting its status: %w", err)
	}
	_, err = shared.Client().CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("reporting its status: %w", err)
	}
	return nil
}
