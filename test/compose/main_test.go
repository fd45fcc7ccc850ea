// Package compose_test tests on a real API server what becomes of the children of composers. The
// facts are what the API server does that the rules of package compose stand on.
package compose_test

import (
	"os"
	"testing"
	"time"

	"kooperd.dev/kooperd/test/cluster"
)

// patience is how long a test waits for what should come soon, on a machine that has much else to
// do.
const patience = 60 * time.Second

var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.Options{Audit: true}, &shared)) }
