package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestHandlerSeesItsOwnWrites has a handler that counts in its object as fast as it can, by a patch
// that does not look at the version: it would lose counts, or fail, if it were ever given the
// object as it was before its last write.
func TestHandlerSeesItsOwnWrites(t *testing.T) {
	const objects, writes = 5, 60
	var mu sync.Mutex
	last, done := map[string]int{}, map[string]bool{}
	var client kubernetes.Interface
	var namespace string
	ready := make(chan struct{})
	r := start(t, options{
		definitions: `"counter": {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: ["%[1]s"], labelSelector: "count"}, mode: "concurrent", handler: test: {}}`,
		build: func(env handlers.Env) (err error) {
			client, err = kubernetes.NewForConfig(env.Clients.REST)
			return err
		},
		handle: func(ctx context.Context, _ handlers.Env, req handlers.Request) (handlers.Result, error) {
			<-ready
			var object corev1.ConfigMap
			if err := req.Object.Into(&object); err != nil {
				return handlers.Result{}, err
			}
			seen, _ := strconv.Atoi(object.Data["count"])
			mu.Lock()
			want := last[object.Name]
			mu.Unlock()
			if seen != want {
				t.Errorf("%s is seen with %d after %d was written", object.Name, seen, want)
			}
			if seen == writes {
				mu.Lock()
				defer mu.Unlock()
				done[object.Name] = true // The event of the last write may call once more.
				return handlers.Result{}, nil
			}
			patch := fmt.Sprintf(`{"data":{"count":"%d"}}`, seen+1)
			_, err := client.CoreV1().ConfigMaps(namespace).Patch(ctx, object.Name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				last[object.Name] = seen + 1
			}
			return handlers.Result{RequeueAfter: 1}, err // at once, before the change comes back
		},
	})
	namespace = r.namespace
	close(ready)
	for i := range objects {
		shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: %s, labels: {count: \"\"}}\n", i, namespace))
	}
	r.await(t, "all counts", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(done) == objects
	})
	r.stop()
}
