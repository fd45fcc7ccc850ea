package chart

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/portforward/portforwardtest"
)

// node is the name of the kubelet's Node, where all its pods are.
func (k *kubelet) node() string { return "node-of-" + k.namespace }

// serve makes the Node, and serves the standard outputs and the ports of its containers until the
// test ends: the API server asks there for the log of a pod, and to forward a port.
func (k *kubelet) serve(t *testing.T) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, request *http.Request) {
		run := k.run(request.PathValue("pod"))
		if run == nil || request.PathValue("namespace") != k.namespace {
			http.NotFound(w, request)
			return
		}
		http.ServeFile(w, request, run.outputFile())
	})
	mux.HandleFunc("/portForward/{namespace}/{pod}", func(w http.ResponseWriter, request *http.Request) {
		portforwardtest.Serve(w, request, func(port int) (net.Conn, error) {
			address := k.run(request.PathValue("pod")).address(port)
			if address == "" || request.PathValue("namespace") != k.namespace {
				return nil, fmt.Errorf("nothing listens on port %d", port)
			}
			return new(net.Dialer).DialContext(request.Context(), "tcp", address)
		})
	})
	server := httptest.NewTLSServer(mux) // The API server verifies no kubelet here.
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(address.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	nodes := shared.Client().CoreV1().Nodes()
	_, err = nodes.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: k.node()},
		Status: corev1.NodeStatus{
			Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address.Hostname()}},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(port)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Delete(context.WithoutCancel(t.Context()), k.node(), metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting the node: %v", err)
		}
	})
}

// address is where a process serves what its container has on a port; empty if it does not.
func (r *podRun) address(port int) string {
	if r == nil {
		return ""
	}
	for _, named := range r.current().Spec.Containers[0].Ports {
		if serving := r.process().Lines("serving", "server", named.Name); int(named.ContainerPort) == port && len(serving) > 0 {
			return serving[0].Field("address")
		}
	}
	return ""
}
