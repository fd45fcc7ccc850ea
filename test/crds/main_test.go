// Package crds_test gives the CustomResourceDefinitions that kooperd makes of kinds to a real API
// server: what kooperd accepts it must accept, and give back as it was.
package crds_test

import (
	"os"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.Options{}, &shared)) }
