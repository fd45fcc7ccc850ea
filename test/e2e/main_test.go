// Package e2e_test runs built kooperd processes on a real API server and looks at what they do to
// the world: which objects were handled, by whom and when, what the log and the probes say, and how
// the processes end.
package e2e_test

import (
	"os"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Options{Audit: true}, &shared))
}
