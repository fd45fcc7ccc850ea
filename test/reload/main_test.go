// Package reload_test changes the config of running daemons on a real API server. They are kooperd
// with the plugin "probe", whose calls are recorded. What is asserted is taken from that record,
// from the audit log, and from what a daemon shows: its metrics, its probes and its log.
//
// -conformance makes the tests as large as the promises, and holds times against their limits;
// without it a busy machine may be slow.
package reload_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"kooperd.dev/kooperd/test/cluster"
)

var (
	shared      *cluster.Cluster
	conformance bool
	probed      string // path of the program
)

// scenesAtOnce is how many tests may run at a time. They mostly wait, so the number of cores says
// little about it.
const scenesAtOnce = 8

func TestMain(m *testing.M) {
	flag.BoolVar(&conformance, "conformance", false, "run everything at full size and hold times against their limits")
	flag.StringVar(&probed, "reload.probed", "", "run this `program` instead of building it")
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := flag.Set("test.parallel", strconv.Itoa(scenesAtOnce)); err != nil {
		return complain(err)
	}
	if probed == "" {
		dir, err := os.MkdirTemp("", "kooperd-reload-")
		if err != nil {
			return complain(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		probed = filepath.Join(dir, "probed")
		if err := build(context.Background(), probed); err != nil {
			return complain(err)
		}
	}
	return cluster.Main(m, cluster.Options{Audit: true}, &shared)
}

// build compiles the program as it is shipped, without the race detector: a config is evaluated in
// a process with a limit of its address space.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./probed")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building probed: %w\n%s", err, out)
	}
	return nil
}

func complain(err error) int {
	_, _ = fmt.Fprintf(os.Stderr, "reload: %v\n", err)
	return 1
}

// size returns how large a test is: small, or large with -conformance.
func size(small, large int) int {
	if conformance {
		return large
	}
	return small
}
