// Command devcluster is a Kubernetes control plane in one binary, for development and tests: etcd,
// kube-apiserver and kube-controller-manager from their own Go modules, with real authentication,
// RBAC, admission, CRDs, watches and leases.
//
// It is not a cluster to run workloads on: there is no scheduler, no kubelet and no network, so
// Pods are data whose status is what somebody writes into it. It serves on 127.0.0.1 only.
//
//	devcluster --dir .devcluster
//
// starts one in the foreground; "devcluster kubectl" is the kubectl that belongs to it.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
