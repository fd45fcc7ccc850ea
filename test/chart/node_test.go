package chart

import (
	"fmt"
	"net"
	"net/http"
	"testing"

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
	shared.ServeNode(t, k.node(), mux)
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
