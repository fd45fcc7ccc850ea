// Package engine_test runs the engine with handlers of the tests' own on a real API server: what a
// handler returns, and how it misbehaves, and what becomes of its objects, its definition and the
// others.
package engine_test

import (
	"os"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.Options{}, &shared))
}
