package chart

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

// The folders and programs of the tests.
const (
	repository = "../.."
	chartDir   = repository + "/charts/kooperd"
)

// programs is a folder with the programs that the image of a release would have besides kooperd.
var programs string

// conformance runs everything with both versions of Helm.
var conformance = flag.Bool("conformance", false, "run what is slow with each version of Helm")

// faultsAtOnce is how many faults are staged at a time. They mostly wait, so the number of cores
// says little about it.
const faultsAtOnce = 8

// shared is the cluster of all tests.
var shared *cluster.Cluster

// controllers are those of a devcluster, and those that make pods of a Deployment.
var controllers = []string{
	"clusterrole-aggregation-controller", "deployment-controller", "disruption-controller", "garbage-collector-controller",
	"namespace-controller", "replicaset-controller", "resourcequota-controller", "root-ca-certificate-publisher-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "validatingadmissionpolicy-status-controller",
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if err := flag.Set("test.parallel", strconv.Itoa(faultsAtOnce)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, program := range []string{"kooperd", "helm3", "helm4", "kubeconform"} {
		if _, err := os.Stat(binary(program)); err != nil {
			fmt.Fprintf(os.Stderr, "looking for the programs of this test: %v; run: make bin/%s\n", err, program)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "kooperd-chart-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir, "./greet-widget", "../compose/composed")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs of this test: %v\n%s", err, out)
		return 1
	}
	return cluster.Main(m, cluster.Options{
		Audit:                 true,
		ControllerManagerArgs: []string{"controllers=" + strings.Join(controllers, ",")},
	}, &shared)
}

// binary is a program that make has built.
func binary(name string) string {
	path, err := filepath.Abs(filepath.Join(repository, "bin", name))
	if err != nil {
		return name // There is no working directory; looking for it says so.
	}
	return path
}
