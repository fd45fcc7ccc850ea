package cluster

import (
	"os"
	"testing"
)

// shared is the cluster of this package's tests, except those that break it for longer.
var shared *Cluster

func TestMain(m *testing.M) { os.Exit(Main(m, Options{Audit: true}, &shared)) }
