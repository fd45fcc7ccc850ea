package main

import (
	"fmt"
	"io"

	_ "time/tzdata" // CronJobs name time zones, and the machine may have no database of them

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // for --apiserver-arg logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics on the components' /metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // build info on the components' /metrics
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// componentCommand is the first argument with which devcluster runs itself as one component. Each
// has a process of its own: logging and feature gates of Kubernetes components are global and can
// be set once only, and a component that ends takes its process with it.
const componentCommand = "run-component"

// The components, by the name that their log, process id file and messages carry.
const (
	etcdComponent              = "etcd"
	apiserverComponent         = "kube-apiserver"
	controllerManagerComponent = "kube-controller-manager"
)

// runComponent is the body of a component's process: args are the component's name and its flags.
// It ends when the component does, or at once when lifeline is closed, which is what the kernel
// does when devcluster dies, however it dies.
func runComponent(args []string, lifeline io.Reader, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = fmt.Fprintf(stderr, "devcluster: %s is for devcluster's own use\n", componentCommand)
		return exitUsage
	}
	status, gone := make(chan int, 1), make(chan struct{})
	go func() { status <- serveComponent(args[0], args[1:], stderr) }()
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, lifeline)
	}()
	select {
	case code := <-status:
		return code
	case <-gone:
		_, _ = fmt.Fprintln(stderr, "devcluster is gone, ending")
		return exitFailure
	}
}

// serveComponent runs a component until it ends by itself or by a signal.
func serveComponent(name string, flags []string, stderr io.Writer) int {
	switch name {
	case etcdComponent:
		return runEtcd(flags, stderr)
	case apiserverComponent:
		cmd := apiserver.NewAPIServerCommand()
		cmd.SetArgs(flags)
		return cli.Run(cmd)
	case controllerManagerComponent:
		cmd := controllermanager.NewControllerManagerCommand()
		cmd.SetArgs(flags)
		return cli.Run(cmd)
	default:
		_, _ = fmt.Fprintf(stderr, "devcluster: no component is called %q\n", name)
		return exitUsage
	}
}
